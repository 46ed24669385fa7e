"""Taylor series of the flow of Theorem 3.2, from moments.

Between events the field is a polynomial in the state, so its solution's Taylor coefficients follow from one another
by Cauchy products. In the co-moving frame, with b = Rβ, u = b + Rỹ and z = Rx + b,

    R' = Ω R,     b' = Ω b − J⊥ u,     energy' = |J⊥ u|² + ‖Ω‖_F²                     (3.22), (3.24), (3.27)
    Ω = ½ (P − Pᵀ),   P_ij = mean_x h_i (z_i u_j + z_j (u_i − z_i))                   (3.25), corrected

As u − z = R(ỹ − x), the moments m = mean h (x, 1) and M = mean h x (x, 1)ᵀ of the untruncated points (Cor. 3.5,
corrected) give, with R̂_j = (R_j, b_j),

    P_ij = S_i u_j + B_i·R̂_j,    S_i = m_i·R̂_i,    B_i = mean h_i (u_i − z_i)(x, 1) = (R_i·ỹ) m_i − R_i M_i.

A pinned point (z_r = 0) enters with a weight λ(s): P_rj += m λ u_r z_j and (J⊥)_rr −= m λ, where λ is such that
z_r stays 0; its coefficient of each order solves a linear system, the same one for all orders.

Coefficient n multiplies tⁿ. The blocks of all orders lie on top of one another, one factor's in reverse, so that each
Cauchy product is one matrix product.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.kernels.jit import kernel, part, plain

#: Pattern of a coordinate of a point.
TRUNCATED = 0
UNTRUNCATED = 1
PINNED = 2

#: From this many entries of a product on, BLAS is quicker than loops (and worth loading).
BLAS_PAYS = 25

#: The terms of a series fall fast where each is at most this share of the one before.
FALLING = 0.1


@plain
def sum_moments(points, moments):
    """Sum the moments from scratch, over the untruncated own points."""
    dim = points.x.shape[1]
    for r in range(dim):
        for a in range(dim + 1):
            moments.m[r, a] = 0.0
            for c in range(dim):
                moments.M[r, c, a] = 0.0
    for i in range(points.weight.size):
        for r in range(dim):
            if points.pattern[i, r] == UNTRUNCATED:
                count_point(points, i, r, 1.0, moments)
    moments.updates[0] = 0


@plain
def count_point(points, i, r, sign, moments):
    """Let own point i count as untruncated in coordinate r (``sign`` −1: no longer)."""
    dim = points.x.shape[1]
    weight = sign * points.weight[i]
    for a in range(dim):
        xa = weight * points.x[i, a]
        moments.m[r, a] += xa
        for c in range(dim):
            moments.M[r, a, c] += xa * points.x[i, c]
        moments.M[r, a, dim] += xa
    moments.m[r, dim] += weight
    moments.updates[0] += 1


@plain
def expand(motion, moments, work, pins, y_tilde, with_zz, scale_b, scale_energy, tolerance, reach):
    """Extend the series, order by order, until they are accurate over ``reach``; return the length h where they are.

    Order 0 of ``motion`` and ``pins.lam`` hold the state. The length h is that of ``where_accurate``; -1 where the
    state is not finite.
    """
    highest = motion.energy.size - 1
    dim = motion.b.shape[1]
    size_before = np.inf
    size_earlier = np.inf
    pull_before = np.inf
    h = 0.0
    for r in range(dim):
        for a in range(dim):
            work.state[r, a] = motion.R[0, r, a]
        work.state[r, dim] = motion.b[0, r]
    for n in range(highest):
        linear_terms(motion, moments, work, y_tilde, with_zz, n)
        if pins.row.size > 0:
            pinned_terms(motion, work, pins, n)
        rotation_rate(moments, work, pins, n)
        if pins.row.size > 0:
            hold_pins(work, pins, n)
        size = next_order(motion, work, n, scale_b, scale_energy)
        pull = 0.0
        for k in range(pins.row.size):
            pull = max(pull, abs(pins.lam[n, k]))

        # How far the series of this order can be trusted.
        motion.order[0] = n + 1
        if not np.isfinite(size):
            return -1.0
        if n >= 1:
            h = where_accurate(size, size_before, size_earlier, n, tolerance)
            # The weights are derivatives of the state, as it were, and converge one order later.
            if pull > 0.0:
                h = min(h, (tolerance / pull) ** (1.0 / n))
            if n >= 2 and pull_before > 0.0:
                h = min(h, (tolerance / pull_before) ** (1.0 / (n - 1)))
            if n >= 2 and h >= reach:
                return h
        size_earlier = size_before
        size_before = size
        pull_before = pull
    return h


@plain
def where_accurate(last, before, earlier, n, tolerance):
    """Return the length up to which a series is accurate whose terms n+1, n and n-1 have these sizes.

    That is where the last two terms are at ``tolerance`` (Jorba and Zou 2005), and where only the last one is, if by
    then the terms fall so fast that those left out are a small share of it.
    """
    h = np.inf
    if last > 0.0:
        h = (tolerance / last) ** (1.0 / (n + 1))
    alone = h
    if before > 0.0:
        h = min(h, (tolerance / before) ** (1.0 / n))
        if n >= 2:
            # Where the last term happens to be small, the one before stands in for it.
            radius = earlier / before
            alone = min(alone, (tolerance * radius / before) ** (1.0 / (n + 1)))
            if last > 0.0:
                radius = min(radius, before / last, np.sqrt(earlier / last))
            h = max(h, min(alone, FALLING * radius))
    return h


@plain
def linear_terms(motion, moments, work, y_tilde, with_zz, n):
    """Put the state's n-th coefficients and what is linear in them (u, B, S) in their places."""
    dim = y_tilde.size
    top = motion.energy.size - 1 - n
    inverse = 1.0 / moments.total[0]
    rows = work.rows[top * dim : (top + 1) * dim]
    columns = work.columns[top * (dim + 2) : (top + 1) * (dim + 2)]
    B = work.B[n * (dim + 2) : (n + 1) * (dim + 2)]
    u = work.u[n]
    for r in range(dim):
        m_r = moments.m[r]
        R_r = rows[r]
        q = 0.0
        S = 0.0
        for a in range(dim):
            R_r[a] = work.state[r, a]
            columns[a, r] = R_r[a]
            q += R_r[a] * y_tilde[a]
            S += R_r[a] * m_r[a]
        R_r[dim] = work.state[r, dim]
        columns[dim, r] = R_r[dim]
        u[r] = R_r[dim] + q
        columns[dim + 1, r] = u[r]
        B[dim + 1, r] = (S + R_r[dim] * m_r[dim]) * inverse
        if not with_zz:
            for a in range(dim + 1):
                B[a, r] = u[r] * m_r[a] * inverse
            continue
        # The last column of M_r is m_r.
        B[dim, r] = (q * m_r[dim] - S) * inverse
        M_r = moments.M[r]
        four = dim - dim % 4
        for a in range(0, four, 4):
            s0 = s1 = s2 = s3 = 0.0
            for c in range(dim):
                w = R_r[c]
                s0 += w * M_r[c, a]
                s1 += w * M_r[c, a + 1]
                s2 += w * M_r[c, a + 2]
                s3 += w * M_r[c, a + 3]
            B[a, r] = (q * m_r[a] - s0) * inverse
            B[a + 1, r] = (q * m_r[a + 1] - s1) * inverse
            B[a + 2, r] = (q * m_r[a + 2] - s2) * inverse
            B[a + 3, r] = (q * m_r[a + 3] - s3) * inverse
        for a in range(four, dim):
            s0 = 0.0
            for c in range(dim):
                s0 += R_r[c] * M_r[c, a]
            B[a, r] = (q * m_r[a] - s0) * inverse


@part
def multiply(A, B, C):
    """Fill C (n, m) with Aᵀ B, where A is (k, n) and B is (k, m)."""
    if C.size >= BLAS_PAYS:
        np.dot(A.T, B, C)
        return
    C[:] = 0.0
    for k in range(A.shape[0]):
        for i in range(C.shape[0]):
            w = A[k, i]
            for j in range(C.shape[1]):
                C[i, j] += w * B[k, j]


@plain
def along(a, b):
    """Return Σ_k a_k b_k, from four sums that do not wait for one another."""
    s0 = s1 = s2 = s3 = 0.0
    four = a.size - a.size % 4
    for k in range(0, four, 4):
        s0 += a[k] * b[k]
        s1 += a[k + 1] * b[k + 1]
        s2 += a[k + 2] * b[k + 2]
        s3 += a[k + 3] * b[k + 3]
    for k in range(four, a.size):
        s0 += a[k] * b[k]
    return (s0 + s1) + (s2 + s3)


@plain
def rotation_rate(moments, work, pins, n):
    """Fill the n-th coefficients of Ω = ½ (P − Pᵀ) and J⊥u."""
    dim = work.Ju.shape[1]
    end = work.Ju.shape[0]
    size = dim + 2
    multiply(work.B[: (n + 1) * size], work.columns[(end - 1 - n) * size : end * size], work.P)
    for k in range(pins.row.size):
        for m in range(n + 1):
            for j in range(dim):
                work.P[pins.row[k], j] += pins.mass[k] * pins.v[m, k] * pins.z[n - m, k, j]
    Om = work.Om[n * dim : (n + 1) * dim]
    for i in range(dim):
        for j in range(dim):
            Om[i, j] = 0.5 * (work.P[i, j] - work.P[j, i])
        work.Ju[n, i] = (1.0 - moments.m[i, dim] / moments.total[0]) * work.u[n, i]
    for k in range(pins.row.size):
        work.Ju[n, pins.row[k]] -= pins.mass[k] * pins.v[n, k]


@plain
def pinned_terms(motion, work, pins, n):
    """Fill the n-th coefficients of the pinned points' z, and of v = λ u_r as far as they are known."""
    dim = work.state.shape[0]
    for k in range(pins.row.size):
        for a in range(dim):
            total = work.state[a, dim]
            for c in range(dim):
                total += work.state[a, c] * pins.x[k, c]
            pins.z[n, k, a] = total
        if n > 0:
            pins.lam[n, k] = 0.0
        total = 0.0
        for m in range(n + 1):
            total += pins.lam[m, k] * work.u[n - m, pins.row[k]]
        pins.v[n, k] = total


@part
def hold_pins(work, pins, n):
    """Choose the n-th coefficients of λ so that those of ż vanish on the pinned surfaces."""
    dim = work.Ju.shape[1]
    residual = np.empty(pins.row.size)
    for k in range(pins.row.size):
        r = pins.row[k]
        total = -work.Ju[n, r]
        for m in range(n + 1):
            for j in range(dim):
                total += work.Om[m * dim + r, j] * pins.z[n - m, k, j]
        residual[k] = total
    for k in range(pins.row.size):
        correction = 0.0
        for j in range(pins.row.size):
            correction -= pins.inverse[k, j] * residual[j]
        pins.lam[n, k] += correction
        r = pins.row[k]
        u_r = work.u[0, r]
        push = pins.mass[k] * u_r * correction
        pins.v[n, k] += u_r * correction
        work.Ju[n, r] -= push
        for j in range(dim):
            if j != r:
                work.Om[n * dim + r, j] += 0.5 * push * pins.z[0, k, j]
                work.Om[n * dim + j, r] -= 0.5 * push * pins.z[0, k, j]


@plain
def next_order(motion, work, n, scale_b, scale_energy):
    """Fill the state's coefficients of order n+1; return their size relative to the state's."""
    dim = work.Ju.shape[1]
    end = work.Ju.shape[0]
    power = 0.0
    for m in range(n // 2 + 1):
        k = n - m
        power += (1.0 if m == k else 2.0) * (
            along(work.Om_flat[m], work.Om_flat[k]) + along(work.Ju[m], work.Ju[k])
        )
    motion.energy[n + 1] = power / (n + 1)
    size = abs(motion.energy[n + 1]) / scale_energy
    # Ω is antisymmetric: minus the transpose of the stack is the row of the blocks Ω_0 … Ω_n.
    multiply(work.Om[: (n + 1) * dim], work.rows[(end - 1 - n) * dim : end * dim], work.state)
    scale = 1.0 / (n + 1)
    for r in range(dim):
        total = 0.0
        for a in range(dim):
            value = -work.state[r, a] * scale
            work.state[r, a] = value
            motion.R[n + 1, r, a] = value
            total += value * value
        motion.turn[n + 1, r] = np.sqrt(total)
        work.state[r, dim] = (-work.state[r, dim] - work.Ju[n, r]) * scale
        motion.b[n + 1, r] = work.state[r, dim]
        size = max(size, motion.turn[n + 1, r], abs(work.state[r, dim]) / scale_b)
        if not np.isfinite(total + work.state[r, dim]):
            return np.inf
    return size


@part
def orthonormalise(R):
    """Replace R by its polar factor (Newton–Schulz; R is nearly orthogonal), in place; return ‖RᵀR − 1‖_max before."""
    dim = R.shape[0]
    first = 0.0
    defect = np.empty((dim, dim))
    old = np.empty(dim)
    for attempt in range(4):
        for a in range(dim):
            for c in range(dim):
                defect[a, c] = 0.0
            defect[a, a] = -1.0
        for i in range(dim):
            for a in range(dim):
                w = R[i, a]
                for c in range(dim):
                    defect[a, c] += w * R[i, c]
        worst = 0.0
        for a in range(dim):
            for c in range(dim):
                worst = max(worst, abs(defect[a, c]))
        if attempt == 0:
            first = worst
        if worst < 4e-16 * dim:
            break
        for i in range(dim):
            for a in range(dim):
                old[a] = R[i, a]
            for a in range(dim):
                w = 0.5 * old[a]
                for c in range(dim):
                    R[i, c] -= w * defect[a, c]
        # The defect is squared by each round: from here on there is none left.
        if worst * dim < 1e-9:
            break
    return first


@kernel
def evaluate_state(R, b, energy, order, t, R_out, b_out):
    """Fill R_out (Q, Q), orthonormalised, and b_out (Q,) with the state at ``t``; return the energy."""
    dim = b.shape[1]
    total = energy[order]
    for i in range(dim):
        b_out[i] = b[order, i]
        for a in range(dim):
            R_out[i, a] = R[order, i, a]
    for n in range(order - 1, -1, -1):
        total = total * t + energy[n]
        for i in range(dim):
            b_out[i] = b_out[i] * t + b[n, i]
            for a in range(dim):
                R_out[i, a] = R_out[i, a] * t + R[n, i, a]
    orthonormalise(R_out)
    return total
