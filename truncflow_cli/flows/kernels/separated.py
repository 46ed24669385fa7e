"""Taylor series of the flow of Theorem 3.2, from moments; the candidates for the next crossing.

Between events the field is a polynomial in the state, so its solution's Taylor coefficients follow from one another
by Cauchy products. In the co-moving frame, with b = Rβ, u = b + Rỹ and z = Rx + b,

    R' = Ω R,     b' = Ω b − J⊥ u,     energy' = |J⊥ u|² + ‖Ω‖_F²                     (3.22), (3.24), (3.27)
    Ω = ½ (P − Pᵀ),   P_ij = mean_x h_i (z_i u_j + z_j u_i − z_i z_j)                 (3.25), corrected

and with the moments p, G, K of the untruncated points (Cor. 3.5, corrected), g_i = G_i·R_i, q = Rỹ,

    P_ij = (g_i + p_i b_i) u_j + (G_i·R_j + p_i b_j) q_i − g_i b_j − (R_i K_i)·R_j.

A pinned point (z_r = 0) enters with a weight λ(s): P_rj += m λ u_r z_j and (J⊥)_rr −= m λ, where λ is such that
z_r stays 0; its coefficient of each order solves a linear system, the same one for all orders.

Work arrays have the order of the series as their first axis; coefficient n multiplies tⁿ.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.kernels.jit import kernel
from truncflow_cli.flows.kernels.polynomial import first_exit, reach_below

#: Pattern of a coordinate of a point.
TRUNCATED = 0
UNTRUNCATED = 1
PINNED = 2


@kernel
def moments(x, weight, pattern, count, G, K):
    """Fill the moments p·N (``count``, exact integers), G and K of (3.33) ff. from scratch.

    x (M, Q), weight (M,) multiplicity of each point, pattern (M, Q); count (Q,), G (Q, Q), K (Q, Q, Q), with the
    sums over the untruncated points, not yet divided by N.
    """
    size, dim = x.shape
    count[:] = 0.0
    G[:] = 0.0
    K[:] = 0.0
    for i in range(size):
        for r in range(dim):
            if pattern[i, r] == UNTRUNCATED:
                add_point(x[i], weight[i], r, count, G, K)


@kernel
def add_point(x, weight, r, count, G, K):
    """Let a point of multiplicity ``weight`` (negative: take it away) count as untruncated in coordinate r."""
    count[r] += weight
    for a in range(x.size):
        G[r, a] += weight * x[a]
        for c in range(x.size):
            K[r, a, c] += weight * x[a] * x[c]


@kernel
def predict(R, b, near, z_near):
    """Return the time to the next crossing among ``near`` were all velocities constant (inf if none).

    R and b hold the series' first two orders.
    """
    soonest = np.inf
    for k in range(near.shape[0]):
        z, speed = z_near[k, 0], z_near[k, 1]
        if z * speed < 0.0:
            soonest = min(soonest, -z / speed)
    return soonest


@kernel
def expand(
    R, b, energy, u, q, A, S, g, Om, Ju,
    p, G, K, y_tilde, with_zz,
    pin_row, pin_x, pin_mass, pin_inverse, lam, zp, v,
    order, scale_b, scale_energy, tolerance, reach,
):  # fmt: skip
    """Extend the series, order by order, until they are accurate over ``reach``; return (h, order used).

    Arrays R (P+1, Q, Q), b, energy, lam (P+1, m) hold the state in their entry 0; the others are work. ``p``,
    ``G``, ``K`` are means. The length h is where the last two terms are at ``tolerance`` (Jorba and Zou 2005).
    """
    dim = b.shape[1]
    pins = pin_row.size
    size_before = np.inf
    pull_before = np.inf
    h = 0.0
    for n in range(order):
        # The state's n-th coefficients and what is linear in them.
        for i in range(dim):
            total = 0.0
            for a in range(dim):
                total += R[n, i, a] * y_tilde[a]
            q[n, i] = total
            u[n, i] = b[n, i] + total
        for i in range(dim):
            for a in range(dim):
                total = 0.0
                for c in range(dim):
                    total += R[n, i, c] * K[i, c, a]
                A[n, i, a] = total
                total = 0.0
                for c in range(dim):
                    total += G[i, c] * R[n, a, c]
                S[n, i, a] = total + p[i] * b[n, a]
            g[n, i] = S[n, i, i] - p[i] * b[n, i]
        for k in range(pins):
            for a in range(dim):
                total = b[n, a]
                for c in range(dim):
                    total += R[n, a, c] * pin_x[k, c]
                zp[n, k, a] = total
            if n > 0:
                lam[n, k] = 0.0
            total = 0.0
            for m in range(n + 1):
                total += lam[m, k] * u[n - m, pin_row[k]]
            v[n, k] = total

        # P, then Ω = ½ (P − Pᵀ).
        P = np.zeros((dim, dim))
        for m in range(n + 1):
            k = n - m
            for i in range(dim):
                Sii = S[m, i, i]
                gi = g[m, i]
                qi = q[k, i]
                ui = u[k, i]
                if with_zz:
                    for j in range(dim):
                        total = Sii * u[k, j] + S[m, i, j] * qi - gi * b[k, j]
                        for a in range(dim):
                            total -= A[m, i, a] * R[k, j, a]
                        P[i, j] += total
                else:
                    for j in range(dim):
                        P[i, j] += Sii * u[k, j] + S[m, i, j] * ui
            for l in range(pins):  # noqa: E741
                for j in range(dim):
                    P[pin_row[l], j] += pin_mass[l] * v[m, l] * zp[k, l, j]
        for i in range(dim):
            Om[n, i, i] = 0.0
            for j in range(i):
                Om[n, i, j] = 0.5 * (P[i, j] - P[j, i])
                Om[n, j, i] = -Om[n, i, j]
            Ju[n, i] = (1.0 - p[i]) * u[n, i]
        for k in range(pins):
            Ju[n, pin_row[k]] -= pin_mass[k] * v[n, k]

        # Sliding: choose the n-th coefficients of λ so that those of ż vanish.
        if pins > 0:
            residual = np.empty(pins)
            for k in range(pins):
                r = pin_row[k]
                total = -Ju[n, r]
                for m in range(n + 1):
                    for j in range(dim):
                        total += Om[m, r, j] * zp[n - m, k, j]
                residual[k] = total
            for k in range(pins):
                correction = 0.0
                for j in range(pins):
                    correction -= pin_inverse[k, j] * residual[j]
                lam[n, k] += correction
                r = pin_row[k]
                push = pin_mass[k] * u[0, r] * correction
                v[n, k] += u[0, r] * correction
                Ju[n, r] -= push
                for j in range(dim):
                    if j != r:
                        Om[n, r, j] += 0.5 * push * zp[0, k, j]
                        Om[n, j, r] -= 0.5 * push * zp[0, k, j]

        # The state's next coefficients.
        power = 0.0
        for m in range(n + 1):
            k = n - m
            for i in range(dim):
                power += Ju[m, i] * Ju[k, i]
                for j in range(i):
                    power += 2.0 * Om[m, i, j] * Om[k, i, j]
        energy[n + 1] = power / (n + 1)
        largest = abs(energy[n + 1]) / scale_energy
        for i in range(dim):
            total = -Ju[n, i]
            for m in range(n + 1):
                for j in range(dim):
                    total += Om[m, i, j] * b[n - m, j]
            b[n + 1, i] = total / (n + 1)
            largest = max(largest, abs(b[n + 1, i]) / scale_b)
            for a in range(dim):
                R[n + 1, i, a] = 0.0
        for m in range(n + 1):
            k = n - m
            for i in range(dim):
                for j in range(dim):
                    w = Om[m, i, j] / (n + 1)
                    for a in range(dim):
                        R[n + 1, i, a] += w * R[k, j, a]
        for i in range(dim):
            for a in range(dim):
                largest = max(largest, abs(R[n + 1, i, a]))

        pull = 0.0
        for k in range(pins):
            pull = max(pull, abs(lam[n, k]))

        # How far the series of this order can be trusted.
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


@kernel
def displacement(R, b, order, h, R_ref, b_ref, turn, shift):
    """Bound how far row r of R and entry r of b get from the reference anywhere on [0, h]: ``turn``, ``shift`` (Q,)."""
    dim = b.shape[1]
    for r in range(dim):
        total = 0.0
        for a in range(dim):
            d = R[0, r, a] - R_ref[r, a]
            total += d * d
        turn[r] = np.sqrt(total)
        shift[r] = abs(b[0, r] - b_ref[r])
        power = 1.0
        for n in range(1, order + 1):
            power *= h
            total = 0.0
            for a in range(dim):
                total += R[n, r, a] * R[n, r, a]
            turn[r] += np.sqrt(total) * power
            shift[r] += abs(b[n, r]) * power


@kernel
def coordinates(x, R, b, z):
    """Fill z (M, Q) with R x_i + b."""
    size, dim = x.shape
    for i in range(size):
        for r in range(dim):
            total = b[r]
            for a in range(dim):
                total += R[r, a] * x[i, a]
            z[i, r] = total


@kernel
def near_list(z, length, turn, shift, near_point, near_row):
    """List the coordinates that a turn and shift of this size can bring to zero; return how many.

    |Δz_{i,r}| ≤ |ΔR_r| |x_i| + |Δb_r|. With lists too short to hold them all the count alone is right.
    """
    size, dim = z.shape
    found = 0
    for i in range(size):
        for r in range(dim):
            if abs(z[i, r]) <= turn[r] * length[i] + shift[r]:
                if found < near_point.size:
                    near_point[found] = i
                    near_row[found] = r
                found += 1
    return found


@kernel
def series_of(x, R, b, r, order, c):
    """Fill c (order+1,) with the series of z_r = R_r x + b_r."""
    for n in range(order + 1):
        total = b[n, r]
        for a in range(x.size):
            total += R[n, r, a] * x[a]
        c[n] = total


@kernel
def first_crossing(
    x, length, pattern, R, b, order, h, first, near_point, near_row, turn, shift, z_ref, noise_scale, counters
):
    """Return (t, k) of the first of the near coordinates of points ``< first`` to leave its side; k = -1 if none does.

    ``turn`` and ``shift`` bound the displacement since ``z_ref`` was taken, over the whole step.
    """
    best = h
    which = -1
    c = np.empty(order + 1)
    for k in range(near_point.size):
        i = near_point[k]
        if i >= first:
            continue
        r = near_row[k]
        side = pattern[i, r]
        if side == PINNED or abs(z_ref[i, r]) > turn[r] * length[i] + shift[r]:
            continue
        counters[0] += 1
        series_of(x[i], R, b, r, order, c)
        if side == TRUNCATED:
            for n in range(order + 1):
                c[n] = -c[n]
        noise = noise_scale * (length[i] + abs(b[0, r]))
        if reach_below(c, best) >= -noise:
            continue
        t = first_exit(c, best, noise)
        if t >= 0.0 and (t < best or which < 0):
            counters[1] += 1
            best = t
            which = k
    return best, which


@kernel
def passive_crossings(
    x,
    length,
    pattern,
    R,
    b,
    order,
    h,
    first,
    near_point,
    near_row,
    turn,
    shift,
    z_ref,
    noise_scale,
    times,
    which,
):
    """Record all crossings on [0, h] of near coordinates of points ``>= first``; return how many there are.

    They do not act on the field. The pattern is not changed; a coordinate may appear several times.
    """
    found = 0
    c = np.empty(order + 1)
    moved = np.empty(order + 1)
    for k in range(near_point.size):
        i = near_point[k]
        if i < first:
            continue
        r = near_row[k]
        if abs(z_ref[i, r]) > turn[r] * length[i] + shift[r]:
            continue
        series_of(x[i], R, b, r, order, c)
        noise = noise_scale * (length[i] + abs(b[0, r]))
        sign = 1.0 if pattern[i, r] == UNTRUNCATED else -1.0
        start = 0.0
        while True:
            # The series about ``start``: repeated Horner division.
            for n in range(order + 1):
                moved[n] = sign * c[n]
            if start > 0.0:
                for low in range(order):
                    for n in range(order - 1, low - 1, -1):
                        moved[n] += start * moved[n + 1]
            t = first_exit(moved, h - start, noise)
            if t < 0.0:
                break
            start += t
            if found < times.size:
                times[found] = start
                which[found] = k
            found += 1
            sign = -sign
            if start >= h:
                break
    return found


@kernel
def orthonormalise(R):
    """Replace R by its polar factor (Newton–Schulz; R is nearly orthogonal), in place; return ‖RᵀR − 1‖_max before."""
    dim = R.shape[0]
    first = 0.0
    for attempt in range(4):
        defect = np.empty((dim, dim))
        worst = 0.0
        for i in range(dim):
            for j in range(dim):
                total = -1.0 if i == j else 0.0
                for a in range(dim):
                    total += R[i, a] * R[j, a]
                defect[i, j] = total
                worst = max(worst, abs(total))
        if attempt == 0:
            first = worst
        if worst < 4e-16 * dim:
            break
        old = R.copy()
        for i in range(dim):
            for a in range(dim):
                total = 0.0
                for j in range(dim):
                    total += defect[i, j] * old[j, a]
                R[i, a] -= 0.5 * total
    return first


@kernel
def evaluate_state(R, b, energy, order, t, R_out, b_out):
    """Fill R_out (Q, Q), orthonormalised, and b_out (Q,) with the state at ``t``; return (energy, polar defect)."""
    dim = b.shape[1]
    total = energy[order]
    for n in range(order - 1, -1, -1):
        total = total * t + energy[n]
    for i in range(dim):
        value = b[order, i]
        for n in range(order - 1, -1, -1):
            value = value * t + b[n, i]
        b_out[i] = value
        for a in range(dim):
            value = R[order, i, a]
            for n in range(order - 1, -1, -1):
                value = value * t + R[n, i, a]
            R_out[i, a] = value
    return total, orthonormalise(R_out)
