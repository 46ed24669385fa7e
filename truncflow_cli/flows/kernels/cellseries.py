"""Taylor series of the flow of Theorem 5.1 (corrected), cell by cell through all layers.

In the layers' co-moving frames, with b_ℓ = R_ℓ β^(ℓ), M_ℓ = R_{ℓ+1} R_ℓᵀ and u_j = b_L + R_L ỹ_j, a point of
cluster j has

    forward:   z_1 = R_1 x + b_1,    z_{ℓ+1} = M_ℓ (H_ℓ z_ℓ − b_ℓ) + b_{ℓ+1}
    backward:  w_L = H_L z_L − u_j,  w_ℓ = M_ℓᵀ H_{ℓ+1} w_{ℓ+1}                  (w_ℓ = R_ℓ g_ℓ)

and the flow is, with means over each cluster summed over clusters,

    b_ℓ' = Ω_ℓ b_ℓ + c_ℓ,   c_ℓ = Σ mean H_ℓ⊥ w_ℓ                                 (5.4), corrected
    R_ℓ' = Ω_ℓ R_ℓ,         Ω_ℓ = −½ Σ mean [H_ℓ, z_ℓ w_ℓᵀ + w_ℓ z_ℓᵀ]             (5.6)
    energy' = Σ_ℓ |c_ℓ|² + ‖Ω_ℓ‖_F².

Points of one cell have z_ℓ = Z_ℓ x̂ with the same Z_ℓ; their w_ℓ are needed in T_ℓ = Σ weight w_ℓ x̂ᵀ only, where

    T_L = H_L Z_L S − b_L sᵀ − R_L Y,    V_ℓ = Σ H_{ℓ+1} T_{ℓ+1} (over the nodes below),    T_ℓ = M_ℓᵀ V_ℓ,

and Σ weight z wᵀ = Z Tᵀ, Σ weight w = the last column of T. Cauchy products so run over the columns of nodes, not over
points. A pinned coordinate (z_r = 0) has h_r = λ(s), such that z_r stays 0; its coefficient of each order solves a
linear system, the same one for all orders.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.kernels.cells import FRAME, LEAVES, WIDTH
from truncflow_cli.flows.kernels.columns import Columns
from truncflow_cli.flows.kernels.jit import part, plain
from truncflow_cli.flows.kernels.separated import UNTRUNCATED, orthonormalise, where_accurate


@part
def columns_of(cells, tree, room, order):
    """Return the columns up to ``order`` as arrays: as narrow as there are nodes, for the sake of the cache."""
    width = cells.tally[WIDTH]
    dim = room.work.shape[0]
    size = (order + 1) * dim * width
    entries = tree.tally[0]
    frame = cells.tally[FRAME]
    return Columns(
        room.Z[:size].reshape((order + 1, dim, width)),
        room.H[:size].reshape((order + 1, dim, width)),
        room.T[:size].reshape((order + 1, dim, width)),
        room.V[:size].reshape((order + 1, dim, width)),
        room.pinned[: (order + 1) * entries * frame].reshape((order + 1, entries, frame)),
    )


@plain
def add_product(A, B, C):
    """Add A B to C, where A is (Q, Q) and B and C are (Q, n)."""
    dim = A.shape[0]
    for r in range(dim):
        a = 0
        while a + 3 <= dim:
            v, w, x = A[r, a], A[r, a + 1], A[r, a + 2]
            for c in range(C.shape[1]):
                C[r, c] += v * B[a, c] + w * B[a + 1, c] + x * B[a + 2, c]
            a += 3
        while a < dim:
            v = A[r, a]
            for c in range(C.shape[1]):
                C[r, c] += v * B[a, c]
            a += 1


@plain
def products(n, course):
    """Fill the n-th coefficient of M_ℓ = R_{ℓ+1} R_ℓᵀ."""
    R, M, Mt = course.R, course.M, course.Mt
    dim = R.shape[2]
    for l in range(R.shape[1] - 1):  # noqa: E741
        for i in range(dim):
            for j in range(dim):
                total = 0.0
                for m in range(n + 1):
                    for a in range(dim):
                        total += R[m, l + 1, i, a] * R[n - m, l, j, a]
                M[n, l, i, j] = total
                Mt[n, l, j, i] = total


@plain
def forward(n, course, cells, tree, room, cols):
    """Fill the n-th coefficients of Z and H at all nodes."""
    R, b, M, Z, H = course.R, course.b, course.M, cols.Z, cols.H
    work, X, above, untruncated = room.work, room.X, tree.above, tree.open
    dim = b.shape[2]
    frame = cells.tally[FRAME]
    for l in range(b.shape[1]):  # noqa: E741
        first, nodes = tree.first[l], tree.nodes[l]
        below, count = tree.first[l + 1], tree.nodes[l + 1]
        own = work[:, first:below]
        affine = (frame - 1) * nodes
        for r in range(dim):
            shift = b[n, l, r]
            for c in range(own.shape[1]):
                own[r, c] = 0.0
            for a in range(dim):
                if l == 0:
                    for c in range(own.shape[1]):
                        own[r, c] += R[n, 0, r, a] * X[a, c]
                else:
                    for m in range(n + 1):
                        shift -= M[m, l - 1, r, a] * b[n - m, l - 1, a]
            for c in range(affine, own.shape[1]):
                own[r, c] += shift
        if l > 0:
            for m in range(n + 1):
                add_product(M[m, l - 1], H[n - m, :, first:below], own)
        for r in range(dim):
            for a in range(frame):
                for node in range(count):
                    z = own[r, a * nodes + above[l + 1, node]]
                    Z[n, r, below + a * count + node] = z
                    H[n, r, below + a * count + node] = z * untruncated[l + 1, r, node]


@plain
def output(n, course, cells, tree, cols):
    """Fill the n-th coefficients of T at the cells: H Z S − b sᵀ − R Y of the last layer."""
    R, b, S, Y, H, T = course.R, course.b, cells.S, cells.Y, cols.H, cols.T
    last, dim = b.shape[1] - 1, b.shape[2]
    frame, leaves = cells.tally[FRAME], cells.tally[LEAVES]
    first = tree.first[last + 1]
    for r in range(dim):
        for c in range(frame):
            here = T[n, r, first + c * leaves : first + (c + 1) * leaves]
            v = b[n, last, r]
            for k in range(leaves):
                here[k] = -v * S[frame - 1, c, k]
            for q in range(dim):
                v = R[n, last, r, q]
                for k in range(leaves):
                    here[k] -= v * Y[q, c, k]
            for a in range(frame):
                z = H[n, r, first + a * leaves : first + (a + 1) * leaves]
                for k in range(leaves):
                    here[k] += z[k] * S[a, c, k]


@plain
def backward(n, course, cells, tree, room, cols, lam):
    """Fill the n-th coefficients of T and V at all nodes, and those of c and Ω."""
    T, V, c, Mt = cols.T, cols.V, course.c, course.Mt
    above, untruncated, held = tree.above, tree.open, tree.held
    dim = c.shape[2]
    frame = cells.tally[FRAME]
    output(n, course, cells, tree, cols)
    entry = np.int64(0)
    for depth in range(c.shape[1], 0, -1):
        first, count = tree.first[depth], tree.nodes[depth]
        start, nodes = tree.first[depth - 1], tree.nodes[depth - 1]
        for r in range(dim):
            for k in range(start, first):
                V[n, r, k] = 0.0
            for a in range(frame):
                for node in range(count):
                    V[n, r, start + a * nodes + above[depth, node]] += (
                        T[n, r, first + a * count + node] * untruncated[depth, r, node]
                    )
            total = 0.0
            for node in range(count):
                if untruncated[depth, r, node] == 0.0:
                    total += T[n, r, first + (frame - 1) * count + node]
            c[n, depth - 1, r] = total
        turn(n, depth, course, tree, cols, room.work)
        while entry < tree.tally[0] and held[entry, 0] == depth:
            hold_entry(n, entry, course, tree, cols, lam, frame)
            entry += 1
        if depth > 1:
            for r in range(dim):
                for k in range(start, first):
                    T[n, r, k] = 0.0
            for m in range(n + 1):
                add_product(Mt[m, depth - 2], V[n - m, :, start:first], T[n, :, start:first])


@plain
def turn(n, depth, course, tree, cols, sums):
    """Fill the n-th coefficients of Ω of the layer above nodes of this depth, without the pinned coordinates' λ."""
    Z, T, Om, untruncated = cols.Z, cols.T, course.Om, tree.open
    first, end, count = tree.first[depth], tree.first[depth + 1], tree.nodes[depth]
    for i in range(Om.shape[2]):
        Om[n, depth - 1, i, i] = 0.0
        for j in range(i):
            for c in range(end - first):
                sums[j, c] = 0.0
        for m in range(n + 1):
            z, w = Z[m, :, first:end], T[n - m, :, first:end]
            for j in range(i):
                for c in range(end - first):
                    sums[j, c] += z[i, c] * w[j, c] + z[j, c] * w[i, c]
        for j in range(i):
            total = 0.0
            for node in range(count):
                jump = untruncated[depth, i, node] - untruncated[depth, j, node]
                if jump != 0.0:
                    for c in range(node, end - first, count):
                        total += jump * sums[j, c]
            Om[n, depth - 1, i, j] = -0.5 * total
            Om[n, depth - 1, j, i] = 0.5 * total


@plain
def hold_entry(n, entry, course, tree, cols, lam, frame):
    """Add what λ of a pinned coordinate does to V, c and Ω of order n."""
    Z, T, V, pinned, held, Om = cols.Z, cols.T, cols.V, cols.pinned, tree.held, course.Om
    depth, node, r, pin = held[entry, 0], held[entry, 1], held[entry, 2], held[entry, 3]
    first, count = tree.first[depth], tree.nodes[depth]
    parent = tree.first[depth - 1] + tree.above[depth, node]
    total = 0.0
    for a in range(frame):
        total = 0.0
        for m in range(n + 1):
            total += lam[m, pin] * T[n - m, r, first + a * count + node]
        pinned[n, entry, a] = total
        V[n, r, parent + a * tree.nodes[depth - 1]] += total
    course.c[n, depth - 1, r] -= total
    for j in range(Om.shape[2]):
        if j == r:
            continue
        total = 0.0
        for a in range(frame):
            for m in range(n + 1):
                total += pinned[m, entry, a] * Z[n - m, j, first + a * count + node]
        Om[n, depth - 1, r, j] -= 0.5 * total
        Om[n, depth - 1, j, r] += 0.5 * total


@plain
def point_forward(n, k, course, cloud, held):
    """Fill the n-th coefficients z[n, k, ℓ] of the point of pin k in all layers."""
    R, b, M, z, x, pattern = course.R, course.b, course.M, held.z, cloud.x, cloud.pattern
    dim = b.shape[2]
    i = held.surface[k, 0]
    for r in range(dim):
        total = b[n, 0, r]
        for a in range(dim):
            total += R[n, 0, r, a] * x[i, a]
        z[n, k, 0, r] = total
    for l in range(1, b.shape[1]):  # noqa: E741
        for r in range(dim):
            z[n, k, l, r] = b[n, l, r]
        for m in range(n + 1):
            for a in range(dim):
                y = -b[n - m, l - 1, a]
                if pattern[i, l - 1, a] == UNTRUNCATED:
                    y += z[n - m, k, l - 1, a]
                for r in range(dim):
                    z[n, k, l, r] += M[m, l - 1, r, a] * y


@plain
def next_state(n, course):
    """Fill the (n+1)-th coefficients of R and b, and of M, from the field's coefficients up to n."""
    R, b, Om, c = course.R, course.b, course.Om, course.c
    dim = b.shape[2]
    for l in range(b.shape[1]):  # noqa: E741
        for i in range(dim):
            total = c[n, l, i]
            for m in range(n + 1):
                for j in range(dim):
                    total += Om[m, l, i, j] * b[n - m, l, j]
            b[n + 1, l, i] = total / (n + 1)
            for a in range(dim):
                total = 0.0
                for m in range(n + 1):
                    for j in range(dim):
                        total += Om[m, l, i, j] * R[n - m, l, j, a]
                R[n + 1, l, i, a] = total / (n + 1)
    products(n + 1, course)


@plain
def hold_pins(n, course, cloud, held):
    """Choose the n-th coefficients of λ so that z_{n+1} vanishes on the pinned surfaces."""
    surface, lam, z = held.surface, held.lam, held.z
    for k in range(surface.shape[0]):
        point_forward(n + 1, k, course, cloud, held)
    for k in range(surface.shape[0]):
        total = 0.0
        for j in range(surface.shape[0]):
            total += held.inverse[k, j] * z[n + 1, j, surface[j, 1], surface[j, 2]]
        lam[n, k] -= (n + 1) * total


@part
def begin(course, cloud, cells, tree, room, held, order):
    """Return the columns, with the coefficients of order 0 of the points' coordinates filled in."""
    cols = columns_of(cells, tree, room, order)
    n = np.int64(0)  # a plain 0 would be a type of its own
    products(n, course)
    forward(n, course, cells, tree, room, cols)
    for k in range(held.surface.shape[0]):
        point_forward(n, k, course, cloud, held)
    return cols


@part
def expand(course, cloud, cells, tree, room, held, scale_b, scale_energy, tolerance, reach):
    """Extend the series, order by order, until they are accurate over ``reach``; return the length on which they are.

    Order 0 of ``course`` and ``held.lam`` hold the state. The length is -1 where the state is not finite.
    """
    highest = course.energy.size - 1
    lam = held.lam
    pins = lam.shape[1]
    size_before = np.inf
    size_earlier = np.inf
    pull_before = np.inf
    h = 0.0
    cols = begin(course, cloud, cells, tree, room, held, highest)
    for n in range(highest):
        if n > 0:
            for k in range(pins):
                lam[n, k] = 0.0
        backward(n, course, cells, tree, room, cols, lam)
        next_state(n, course)
        if pins > 0:
            # Sliding: with λ_n as it should be, once more.
            hold_pins(n, course, cloud, held)
            backward(n, course, cells, tree, room, cols, lam)
            next_state(n, course)
            for k in range(pins):
                point_forward(n + 1, k, course, cloud, held)
        forward(n + 1, course, cells, tree, room, cols)

        largest = size_of_order(n, course, scale_b, scale_energy)
        pull = 0.0
        for k in range(pins):
            pull = max(pull, abs(lam[n, k]))
        course.order[0] = n + 1
        if not np.isfinite(largest):
            return -1.0
        if n >= 1:
            h = where_accurate(largest, size_before, size_earlier, n, tolerance)
            # The weights are derivatives of the state, as it were, and converge one order later.
            if pull > 0.0:
                h = min(h, (tolerance / pull) ** (1.0 / n))
            if n >= 2 and pull_before > 0.0:
                h = min(h, (tolerance / pull_before) ** (1.0 / (n - 1)))
            if n >= 2 and h >= reach:
                return h
        size_earlier = size_before
        size_before = largest
        pull_before = pull
    return h


@plain
def size_of_order(n, course, scale_b, scale_energy):
    """Fill the (n+1)-th coefficient of the energy; return the size of those of the state, relative to it."""
    R, b, Om, c = course.R, course.b, course.Om, course.c
    dim = b.shape[2]
    power = 0.0
    largest = 0.0
    for l in range(b.shape[1]):  # noqa: E741
        for i in range(dim):
            largest = max(largest, abs(b[n + 1, l, i]) / scale_b)
            for m in range(n + 1):
                power += c[m, l, i] * c[n - m, l, i]
            for j in range(dim):
                largest = max(largest, abs(R[n + 1, l, i, j]))
                for m in range(n + 1):
                    power += Om[m, l, i, j] * Om[n - m, l, i, j]
    course.energy[n + 1] = power / (n + 1)
    return max(largest, abs(course.energy[n + 1]) / scale_energy)


@part
def evaluate_state(course, t, R_out, b_out):
    """Fill R_out (L, Q, Q), orthonormalised, and b_out (L, Q) with the state at ``t``; return the energy."""
    R, b, energy = course.R, course.b, course.energy
    order = course.order[0]
    layers, dim = b.shape[1], b.shape[2]
    total = energy[order]
    for n in range(order - 1, -1, -1):
        total = total * t + energy[n]
    for l in range(layers):  # noqa: E741
        for i in range(dim):
            value = b[order, l, i]
            for n in range(order - 1, -1, -1):
                value = value * t + b[n, l, i]
            b_out[l, i] = value
            for a in range(dim):
                value = R[order, l, i, a]
                for n in range(order - 1, -1, -1):
                    value = value * t + R[n, l, i, a]
                R_out[l, i, a] = value
        orthonormalise(R_out[l])
    return total
