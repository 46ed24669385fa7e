"""Taylor series of the flow of Theorem 5.1 (corrected), point by point through all layers.

In the layers' co-moving frames, with b_ℓ = R_ℓ β^(ℓ), M_ℓ = R_{ℓ+1} R_ℓᵀ and u_j = b_L + R_L ỹ_j, a point of
cluster j has

    forward:   z_1 = R_1 x + b_1,    z_{ℓ+1} = M_ℓ (H_ℓ z_ℓ − b_ℓ) + b_{ℓ+1}
    backward:  w_L = H_L z_L − u_j,  w_ℓ = M_ℓᵀ H_{ℓ+1} w_{ℓ+1}                  (w_ℓ = R_ℓ g_ℓ)

and the flow is, with means over each cluster summed over clusters,

    b_ℓ' = Ω_ℓ b_ℓ + c_ℓ,   c_ℓ = Σ mean H_ℓ⊥ w_ℓ                                 (5.4), corrected
    R_ℓ' = Ω_ℓ R_ℓ,         Ω_ℓ = −½ (P − Pᵀ),  P_ij = Σ mean h_i (z_i w_j + z_j w_i)    (5.6)
    energy' = Σ_ℓ |c_ℓ|² + ‖Ω_ℓ‖_F².

A pinned coordinate (z_r = 0) has h_r = λ(s), such that z_r stays 0; its coefficient of each order solves a linear
system, the same one for all orders. Work arrays of points have the order of the series as their last axis but one.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.kernels.jit import kernel, part
from truncflow_cli.flows.kernels.polynomial import first_exit, reach_below
from truncflow_cli.flows.kernels.separated import PINNED, TRUNCATED, UNTRUNCATED, orthonormalise

#: A coordinate this far on the wrong side, in units of its rounding error, has not got there by rounding.
MISSED = 1e4


@kernel
def polish(R):
    """Make the R of every layer (L, Q, Q) orthogonal to rounding."""
    for layer in range(R.shape[0]):
        orthonormalise(R[layer])


@part
def forward(n, i, x, R, b, M, pattern, z):
    """Fill the n-th coefficients z[i, ℓ, n] of point i in all layers."""
    layers, dim = b.shape[1], b.shape[2]
    for r in range(dim):
        total = b[n, 0, r]
        for a in range(dim):
            total += R[n, 0, r, a] * x[i, a]
        z[i, 0, n, r] = total
    for l in range(1, layers):  # noqa: E741
        for r in range(dim):
            z[i, l, n, r] = b[n, l, r]
        for m in range(n + 1):
            k = n - m
            for a in range(dim):
                y = -b[k, l - 1, a]
                if pattern[i, l - 1, a] == UNTRUNCATED:
                    y += z[i, l - 1, k, a]
                for r in range(dim):
                    z[i, l, n, r] += M[m, l - 1, r, a] * y


@part
def backward(n, i, label, u, M, pattern, pin_of, lam, z, w):
    """Fill the n-th coefficients w[i, ℓ, n] of point i in all layers."""
    layers, dim = z.shape[1], z.shape[3]
    last = layers - 1
    for r in range(dim):
        w[i, last, n, r] = -u[n, label, r]
        if pattern[i, last, r] == UNTRUNCATED:
            w[i, last, n, r] += z[i, last, n, r]
    for l in range(last - 1, -1, -1):  # noqa: E741
        for r in range(dim):
            w[i, l, n, r] = 0.0
        for a in range(dim):
            side = pattern[i, l + 1, a]
            if side == TRUNCATED:
                continue
            for m in range(n + 1):
                k = n - m
                value = w[i, l + 1, k, a] if side == UNTRUNCATED else weighted(k, i, l + 1, a, pin_of, lam, w)
                for r in range(dim):
                    w[i, l, n, r] += M[m, l, a, r] * value


@part
def weighted(n, i, l, a, pin_of, lam, w):  # noqa: E741
    """Return the n-th coefficient of λ w_a for the pinned coordinate a."""
    pin = pin_of[i, l, a]
    total = 0.0
    for m in range(n + 1):
        total += lam[m, pin] * w[i, l, n - m, a]
    return total


@part
def gather(n, i, weight, pattern, pin_of, lam, z, w, c, P):
    """Add the n-th coefficients of point i's part of c (L, Q) and P (L, Q, Q)."""
    layers, dim = z.shape[1], z.shape[3]
    for l in range(layers):  # noqa: E741
        open_rows = 0
        for r in range(dim):
            side = pattern[i, l, r]
            if side == UNTRUNCATED:
                open_rows += 1
            elif side == TRUNCATED:
                c[l, r] += weight * w[i, l, n, r]
            else:
                c[l, r] += weight * (w[i, l, n, r] - weighted(n, i, l, r, pin_of, lam, w))
        if open_rows == dim:
            continue  # H = 1 commutes with everything
        for r in range(dim):
            side = pattern[i, l, r]
            if side == UNTRUNCATED:
                for m in range(n + 1):
                    zr = weight * z[i, l, m, r]
                    wr = weight * w[i, l, n - m, r]
                    for j in range(dim):
                        P[l, r, j] += zr * w[i, l, n - m, j] + z[i, l, m, j] * wr
            elif side == PINNED:
                for m in range(n + 1):
                    lw = weight * weighted(m, i, l, r, pin_of, lam, w)
                    for j in range(dim):
                        P[l, r, j] += lw * z[i, l, n - m, j]


@part
def products(n, R, M):
    """Fill the n-th coefficient of M_ℓ = R_{ℓ+1} R_ℓᵀ."""
    layers, dim = R.shape[1], R.shape[2]
    for l in range(layers - 1):  # noqa: E741
        for i in range(dim):
            for j in range(dim):
                total = 0.0
                for m in range(n + 1):
                    for a in range(dim):
                        total += R[m, l + 1, i, a] * R[n - m, l, j, a]
                M[n, l, i, j] = total


@kernel
def expand(
    R, b, energy, M, u, c, Om, z, w, x, label, weight, y_tilde, pattern, acts,
    pin_of, pin_point, pin_layer, pin_row, lam, pin_c, pin_Om, pin_inverse, member_point, member_pin, member_w,
    order, scale_b, scale_energy, tolerance, reach,
):  # fmt: skip
    """Extend the series, order by order, until they are accurate over ``reach``; return (h, order used).

    R (P+1, L, Q, Q), b (P+1, L, Q), energy (P+1,), lam (P+1, m) hold the state in their entry 0. A pinned surface may
    be that of several points, of which ``pin_point`` is one. ``pin_c`` (m, L, Q) and ``pin_Om`` (m, L, Q, Q) say how c
    and Ω answer to λ, and ``member_w`` (k, L, Q) how the w of point ``member_point`` does, to λ ``member_pin``.
    """
    size = x.shape[0]
    layers, dim = b.shape[1], b.shape[2]
    pins = pin_row.size
    size_before = np.inf
    pull_before = np.inf
    h = 0.0
    products(0, R, M)
    for i in range(size):
        forward(0, i, x, R, b, M, pattern, z)
    for n in range(order):
        for j in range(u.shape[1]):
            for r in range(dim):
                total = b[n, layers - 1, r]
                for a in range(dim):
                    total += R[n, layers - 1, r, a] * y_tilde[j, a]
                u[n, j, r] = total
        if n > 0:
            for k in range(pins):
                lam[n, k] = 0.0
        P = np.zeros((layers, dim, dim))
        c[n] = 0.0
        for i in range(size):
            if acts[i]:
                backward(n, i, label[i], u, M, pattern, pin_of, lam, z, w)
                gather(n, i, weight[i], pattern, pin_of, lam, z, w, c[n], P)
        for l in range(layers):  # noqa: E741
            for i in range(dim):
                Om[n, l, i, i] = 0.0
                for j in range(i):
                    Om[n, l, i, j] = -0.5 * (P[l, i, j] - P[l, j, i])
                    Om[n, l, j, i] = -Om[n, l, i, j]
        next_state(n, R, b, c, Om)
        products(n + 1, R, M)
        if pins > 0:
            # Sliding: choose the n-th coefficients of λ so that z_{n+1} vanishes on the pinned surfaces.
            speed = np.empty(pins)
            corrections = np.empty(pins)
            for k in range(pins):
                forward(n + 1, pin_point[k], x, R, b, M, pattern, z)
                speed[k] = (n + 1) * z[pin_point[k], pin_layer[k], n + 1, pin_row[k]]
            for k in range(pins):
                correction = 0.0
                for j in range(pins):
                    correction -= pin_inverse[k, j] * speed[j]
                lam[n, k] += correction
                for l in range(layers):  # noqa: E741
                    for r in range(dim):
                        c[n, l, r] += correction * pin_c[k, l, r]
                        for j in range(dim):
                            Om[n, l, r, j] += correction * pin_Om[k, l, r, j]
                corrections[k] = correction
            for k in range(member_pin.size):
                for l in range(layers):  # noqa: E741
                    for r in range(dim):
                        w[member_point[k], l, n, r] += corrections[member_pin[k]] * member_w[k, l, r]
            next_state(n, R, b, c, Om)
            products(n + 1, R, M)
        for i in range(size):
            forward(n + 1, i, x, R, b, M, pattern, z)

        power = 0.0
        largest = 0.0
        for l in range(layers):  # noqa: E741
            for i in range(dim):
                largest = max(largest, abs(b[n + 1, l, i]) / scale_b)
                for j in range(dim):
                    largest = max(largest, abs(R[n + 1, l, i, j]))
                    for m in range(n + 1):
                        power += Om[m, l, i, j] * Om[n - m, l, i, j]
                for m in range(n + 1):
                    power += c[m, l, i] * c[n - m, l, i]
        energy[n + 1] = power / (n + 1)
        largest = max(largest, abs(energy[n + 1]) / scale_energy)
        pull = 0.0
        for k in range(pins):
            pull = max(pull, abs(lam[n, k]))
        if not np.isfinite(largest):
            return -1.0, n + 1
        if n >= 1:
            h = np.inf
            if largest > 0.0:
                h = (tolerance / largest) ** (1.0 / (n + 1))
            if size_before > 0.0:
                h = min(h, (tolerance / size_before) ** (1.0 / n))
            # The weights are derivatives of the state, as it were, and converge one order later.
            if pull > 0.0:
                h = min(h, (tolerance / pull) ** (1.0 / n))
            if n >= 2 and pull_before > 0.0:
                h = min(h, (tolerance / pull_before) ** (1.0 / (n - 1)))
            if n >= 2 and h >= reach:
                return h, n + 1
        size_before = largest
        pull_before = pull
    return h, order


@part
def next_state(n, R, b, c, Om):
    """Fill the (n+1)-th coefficients of R and b from the field's coefficients up to n."""
    layers, dim = b.shape[1], b.shape[2]
    for l in range(layers):  # noqa: E741
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


@kernel
def first_crossing(z, pattern, order, h, noise, counters):
    """Return (t, i, ℓ, r) of the first coordinate to leave its side within [0, h]; i = -1 if none does."""
    size, layers, _, dim = z.shape
    best = h
    where = (-1, 0, 0)
    c = np.empty(order + 1)
    for i in range(size):
        for l in range(layers):  # noqa: E741
            for r in range(dim):
                side = pattern[i, l, r]
                if side == PINNED:
                    continue
                sign = 1.0 if side == UNTRUNCATED else -1.0
                for n in range(order + 1):
                    c[n] = sign * z[i, l, n, r]
                if reach_below(c, best) >= -noise[i]:
                    continue
                counters[0] += 1
                # One that is on the wrong side by more than rounding has been missed: it changes now.
                t = 0.0 if c[0] < -MISSED * noise[i] else first_exit(c, best, noise[i])
                if t >= 0.0 and (t < best or where[0] < 0):
                    counters[1] += 1
                    best = t
                    where = (i, l, r)
    return best, where


@kernel
def evaluate_state(R, b, energy, order, t, R_out, b_out):
    """Fill R_out (L, Q, Q), orthonormalised, and b_out (L, Q) with the state at ``t``; return the energy."""
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
