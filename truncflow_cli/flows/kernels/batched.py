"""Steps over many crossings at once, each located afterwards: `separated` with very many points.

On a step [0, h] the moments m(s), M(s) of the untruncated points are step functions of s, with a jump of one point's
share 1/N at each crossing. They are replaced by their L²-projection onto polynomials of degree d: then the solution
is a Taylor series again. What is left out is orthogonal to polynomials of degree d, so that the state at the end of
the step hardly notices it; inside the step the trajectory is off by about the area under it.

The crossings follow from the trajectory and the trajectory from the crossings: the two are found in turns ("sweeps"),
until they agree. Each sweep gains a factor of the order of h.

The projection of 1[s > t] has the coefficients, in Legendre polynomials P_k of 2s/h − 1 with τ = 2t/h − 1,

    a_0 = ½ (1 − τ),     a_k = ½ (P_{k−1}(τ) − P_{k+1}(τ))
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.flows.kernels.ahead import speed_of_bias
from truncflow_cli.flows.kernels.crossings import (
    coordinate_series,
    gather_hits,
    lowest,
    noise_of,
    rest_of,
    shift_series,
)
from truncflow_cli.flows.kernels.jit import kernel, part
from truncflow_cli.flows.kernels.nearby import add_displacement, look_around
from truncflow_cli.flows.kernels.polynomial import first_exit
from truncflow_cli.flows.kernels.separated import (
    TRUNCATED,
    UNTRUNCATED,
    count_point,
    evaluate_state,
    multiply,
    next_order,
    sum_moments,
    where_accurate,
)
from truncflow_cli.flows.kernels.shapes import (
    HITS,
    REST_SHIFT,
    REST_TURN,
    SHIFT,
    STEP_SHIFT,
    STEP_TURN,
    TURN,
    Array,
)

#: Degree d of the moments along a step.
DEGREE = 4
#: Sweeps after which a step is given up.
SWEEPS = 8
#: Two sweeps agree when the states they lead to differ by this share of the tolerance.
AGREED = 0.1
#: By what share of a coordinate's motion the sweeps may disagree before all coordinates are looked at again.
MARGIN = 0.05
#: Crossings of one coordinate in one step; more of them are a sign that it does not just pass.
OFTEN = 4
#: Rank-one updates of the moments after which they are summed anew, for each point.
REFRESH_MOMENTS = 1

#: Legendre polynomials of 2x − 1: row k has the coefficients of xⁿ.
LEGENDRE = np.array(
    [np.polynomial.Polynomial(np.polynomial.legendre.leg2poly(row))(np.polynomial.Polynomial([-1.0, 2.0])).coef.tolist()
     + [0.0] * (DEGREE - k)
     for k, row in enumerate(np.eye(DEGREE + 1))]
)  # fmt: skip

#: What a step came to: done; the near lists, or the list of crossings, need more room; the sweeps do not agree.
DONE, LISTS_FULL, CROSSINGS_FULL, ASTRAY = range(4)
#: Entries of ``Batch.scalars``: length of the step, what the trajectory is off by inside it, tolerance for that.
LENGTH, INSIDE, TOLERANCE = range(3)
#: Entries of ``Batch.tally``: crossings, candidates looked at, sweeps, orders.
CROSSINGS, CANDIDATES, SWEPT, ORDERS = range(4)


class Batch(NamedTuple):
    """A step's crossings, and the moments along it.

    Attributes:
        m: (d+2, Q, Q+1) coefficients of the moments m in powers of s/h; the last row is the next Legendre coefficient.
        M: (d+2, Q, Q, Q+1) the same for M.
        q: (P+1, Q) coefficients of R ỹ.
        m_rate, M_rate: (Q, Q+1), (Q, Q, Q+1) how fast the moments changed over the last step.
        before: (2, Q, Q+1) state at the middle and at the end, by the sweep before.
        scalars: see ``LENGTH`` ff.
        tally: see ``CROSSINGS`` ff.
        time: (room,) when each crossing takes place.
        entry: (room,) its pool entry in the near lists.
        side: (room,) the pattern after it.
    """

    m: Array
    M: Array
    q: Array
    m_rate: Array
    M_rate: Array
    before: Array
    scalars: Array
    tally: NDArray[np.int64]
    time: Array
    entry: NDArray[np.int64]
    side: NDArray[np.int8]


def batch_arrays(dim: int, order: int, room: int) -> Batch:
    """Return room for a step with up to ``room`` crossings."""
    return Batch(
        m=np.zeros((DEGREE + 2, dim, dim + 1)),
        M=np.zeros((DEGREE + 2, dim, dim, dim + 1)),
        q=np.zeros((order + 1, dim)),
        m_rate=np.zeros((dim, dim + 1)),
        M_rate=np.zeros((dim, dim, dim + 1)),
        before=np.zeros((2, dim, dim + 1)),
        scalars=np.zeros(3),
        tally=np.zeros(4, np.int64),
        time=np.empty(room),
        entry=np.empty(room, np.int64),
        side=np.empty(room, np.int8),
    )


@kernel
def batch_step(state, energy, points, moments, motion, work, near, accuracy, batch):
    """Take one step of at most ``batch.scalars[LENGTH]``, which becomes its length; return how it went.

    When DONE, ``state.R_next`` and ``b_next`` are the state at the end, ``motion`` is the trajectory, and the crossings
    are listed in ``batch`` in no order; patterns and moments are those after the step.
    """
    if moments.updates[0] > REFRESH_MOMENTS * max(4096, points.weight.size):
        sum_moments(points, moments)
    batch.tally[:] = 0
    scale = start_series(state, energy, points, motion, accuracy)
    h = batch.scalars[LENGTH]
    expected_moments(moments, h, batch)
    found = 0
    for sweep in range(SWEEPS + 1):
        accurate = expand_batch(motion, moments, work, points.y_tilde, accuracy, scale, h, batch)
        if not accurate > 0.0:
            return ASTRAY
        if sweep == 0 and accurate < h:
            h = accurate
            expected_moments(moments, h, batch)
            expand_batch(motion, moments, work, points.y_tilde, accuracy, scale, h, batch)
        elif accurate < 0.5 * h:
            return ASTRAY
        batch.tally[SWEPT] += 1
        batch.tally[ORDERS] += motion.order[0]
        gap = gap_to_last_sweep(motion, h, scale, batch)
        if sweep > 0 and gap <= AGREED * accuracy.tolerance:
            break
        if sweep == SWEEPS:
            return ASTRAY
        if sweep == 0 or reaches_further(motion, h, near):
            if not look_around(points, motion, h, True, near):
                return LISTS_FULL
            add_displacement(motion, near)
            allow_for_sweeps(near)
            gather_hits(points, motion, near)
            batch.tally[CANDIDATES] += near.tally[HITS]
            keep_likely_hits(points, near, h)
        else:
            follow_hits(points, motion, near)
        found = locate(points, motion, h, near, batch)
        if found < 0:
            return ASTRAY
        if found > batch.time.size:
            batch.tally[CROSSINGS] = found
            return CROSSINGS_FULL
        moments_along(points, moments, near, h, found, batch)
    batch.scalars[LENGTH] = h
    batch.scalars[INSIDE] = off_inside(motion, points, moments, work, accuracy, scale, h, batch)
    batch.tally[CROSSINGS] = found
    evaluate_state(motion.R, motion.b, motion.energy, motion.order[0], h, state.R_next, state.b_next)
    batch.m_rate[:] = moments.m
    batch.M_rate[:] = moments.M
    settle(points, moments, near, found, batch)
    batch.m_rate[:] = (moments.m - batch.m_rate) / h
    batch.M_rate[:] = (moments.M - batch.M_rate) / h
    return DONE


@part
def start_series(state, energy, points, motion, accuracy):
    """Put the state into order 0 of the series; return the scale of b."""
    dim = state.b.size
    motion.energy[0] = energy
    scale = accuracy.floor
    for r in range(dim):
        for a in range(dim):
            motion.R[0, r, a] = state.R[r, a]
        motion.b[0, r] = state.b[r]
        scale = max(scale, abs(state.b[r]), abs(speed_of_bias(state.R, state.b, points.y_tilde, r)))
    return scale


@part
def expected_moments(moments, h, batch):
    """Let the moments along the step change as fast as they did over the last one."""
    batch.m[:] = 0.0
    batch.M[:] = 0.0
    batch.m[0] = moments.m
    batch.M[0] = moments.M
    batch.m[1] = batch.m_rate * h
    batch.M[1] = batch.M_rate * h


@part
def allow_for_sweeps(near):
    """Make room in the bounds for what later sweeps will say."""
    for r in range(near.bound.shape[1]):
        for whole, rest, step in ((TURN, REST_TURN, STEP_TURN), (SHIFT, REST_SHIFT, STEP_SHIFT)):
            more = MARGIN * near.bound[whole, r] + 2.0 * near.bound[rest, r]
            near.bound[rest, r] += more
            near.bound[whole, r] += more
            near.bound[step, r] += more


@part
def reaches_further(motion, h, near):
    """Return whether the coordinates may move further than ``near.bound`` allows for."""
    for r in range(motion.b.shape[1]):
        turn = 0.0
        shift = 0.0
        power = 1.0
        for n in range(1, motion.order[0] + 1):
            power *= h
            turn += motion.turn[n, r] * power
            shift += abs(motion.b[n, r]) * power
        rest_turn = turn - motion.turn[1, r] * h
        rest_shift = shift - abs(motion.b[1, r]) * h
        if turn > near.bound[TURN, r] or shift > near.bound[SHIFT, r]:
            return True
        if rest_turn > near.bound[REST_TURN, r] or rest_shift > near.bound[REST_SHIFT, r]:
            return True
    return False


@part
def keep_likely_hits(points, near, h):
    """Keep the hits that come to zero, or nearly so, by two terms of their series and the bound of the rest."""
    kept = 0
    for k in range(near.tally[HITS]):
        i = near.pool[near.hit[k], 0]
        r = near.pool[near.hit[k], 1]
        sign = 1.0 if points.pattern[i, r] == UNTRUNCATED else -1.0
        margin = MARGIN * (near.bound[TURN, r] * points.length[i] + near.bound[SHIFT, r])
        if lowest(sign * near.line[k, 0], sign * near.line[k, 1], rest_of(points, near, i, r), h) < margin:
            near.hit[kept] = near.hit[k]
            near.line[kept, 0] = near.line[k, 0]
            near.line[kept, 1] = near.line[k, 1]
            kept += 1
    near.tally[HITS] = kept


@part
def follow_hits(points, motion, near):
    """Give the hits the velocities that the present series says they have."""
    for k in range(near.tally[HITS]):
        i = near.pool[near.hit[k], 0]
        r = near.pool[near.hit[k], 1]
        z1 = motion.b[1, r]
        for a in range(points.x.shape[1]):
            z1 += motion.R[1, r, a] * points.x[i, a]
        near.line[k, 1] = z1


@part
def gap_to_last_sweep(motion, h, scale, batch):
    """Return how far middle and end of the trajectory are from those of the last sweep, and keep them."""
    dim = motion.b.shape[1]
    order = motion.order[0]
    gap = 0.0
    for place in range(2):
        t = h if place == 1 else 0.5 * h
        for r in range(dim):
            for a in range(dim + 1):
                value = motion.R[order, r, a] if a < dim else motion.b[order, r]
                for n in range(order - 1, -1, -1):
                    value = value * t + (motion.R[n, r, a] if a < dim else motion.b[n, r])
                off = abs(value - batch.before[place, r, a])
                gap = max(gap, off if a < dim else off / scale)
                batch.before[place, r, a] = value
    return gap


@part
def expand_batch(motion, moments, work, y_tilde, accuracy, scale, h, batch):
    """Extend the series until they are accurate over h; return how far they are (-1.0: the state is not finite)."""
    highest = motion.energy.size - 1
    dim = motion.b.shape[1]
    size_before = np.inf
    size_earlier = np.inf
    accurate = 0.0
    square = accuracy.floor**2 + accuracy.spread**2
    for r in range(dim):
        for a in range(dim):
            work.state[r, a] = motion.R[0, r, a]
        work.state[r, dim] = motion.b[0, r]
    for n in range(highest):
        place_state(motion, work, y_tilde, n, batch)
        linear_terms_along(motion, moments, work, accuracy.with_zz, h, n, batch)
        rotation_rate_along(moments, work, h, n, batch)
        if n == 0:
            power = 0.0
            for r in range(dim):
                power += work.u[0, r] ** 2
            square = max(square, power)
        size = next_order(motion, work, n, scale, square)
        motion.order[0] = n + 1
        if not np.isfinite(size):
            return -1.0
        if n > DEGREE:
            accurate = where_accurate(size, size_before, size_earlier, n, accuracy.tolerance)
            if accurate >= h:
                return accurate
        size_earlier = size_before
        size_before = size
    return accurate


@part
def place_state(motion, work, y_tilde, n, batch):
    """Put the state's n-th coefficients, and those of u and R ỹ, in their places."""
    dim = y_tilde.size
    top = motion.energy.size - 1 - n
    rows = work.rows[top * dim : (top + 1) * dim]
    columns = work.columns[top * (dim + 2) : (top + 1) * (dim + 2)]
    for r in range(dim):
        q = 0.0
        for a in range(dim):
            value = work.state[r, a]
            rows[r, a] = value
            columns[a, r] = value
            q += value * y_tilde[a]
        rows[r, dim] = work.state[r, dim]
        columns[dim, r] = work.state[r, dim]
        batch.q[n, r] = q
        work.u[n, r] = work.state[r, dim] + q
        columns[dim + 1, r] = work.u[n, r]


@part
def linear_terms_along(motion, moments, work, with_zz, h, n, batch):
    """Fill the n-th coefficients of B and S (see ``separated``), with moments that depend on s."""
    dim = work.Ju.shape[1]
    inverse = 1.0 / moments.total[0]
    B = work.B[n * (dim + 2) : (n + 1) * (dim + 2)]
    for r in range(dim):
        S = 0.0
        line = work.line
        for a in range(dim + 1):
            line[a] = 0.0
        power = 1.0
        for k in range(min(n, DEGREE) + 1):
            top = motion.energy.size - 1 - (n - k)
            R_r = work.rows[top * dim + r]
            m_r = batch.m[k, r]
            head = batch.q[n - k, r] if with_zz else work.u[n - k, r]
            for a in range(dim + 1):
                S += power * R_r[a] * m_r[a]
                line[a] += power * head * m_r[a]
            if with_zz:
                for c in range(dim):
                    w = power * R_r[c]
                    M_rc = batch.M[k, r, c]
                    for a in range(dim + 1):
                        line[a] -= w * M_rc[a]
            power /= h
        B[dim + 1, r] = S * inverse
        for a in range(dim + 1):
            B[a, r] = line[a] * inverse


@part
def rotation_rate_along(moments, work, h, n, batch):
    """Fill the n-th coefficients of Ω and J⊥u."""
    dim = work.Ju.shape[1]
    end = work.Ju.shape[0]
    size = dim + 2
    multiply(work.B[: (n + 1) * size], work.columns[(end - 1 - n) * size : end * size], work.P)
    Om = work.Om[n * dim : (n + 1) * dim]
    for i in range(dim):
        for j in range(dim):
            Om[i, j] = 0.5 * (work.P[i, j] - work.P[j, i])
        value = work.u[n, i]
        power = 1.0 / moments.total[0]
        for k in range(min(n, DEGREE) + 1):
            value -= power * batch.m[k, i, dim] * work.u[n - k, i]
            power /= h
        work.Ju[n, i] = value


@part
def locate(points, motion, h, near, batch):
    """List the crossings of all hits on [0, h]; return how many there are, or -1 if one keeps crossing."""
    found = 0
    order = motion.order[0]
    c = np.empty(order + 1)
    moved = np.empty(order + 1)
    for k in range(near.tally[HITS]):
        entry = near.hit[k]
        i = near.pool[entry, 0]
        r = near.pool[entry, 1]
        side = points.pattern[i, r]
        sign = 1.0 if side == UNTRUNCATED else -1.0
        noise = noise_of(points, motion, i, r)
        z0 = sign * near.line[k, 0]
        z1 = sign * near.line[k, 1]
        if lowest(z0, z1, rest_of(points, near, i, r), h) >= min(0.0, z0) - noise:
            continue
        coordinate_series(points, motion, i, r, sign, c)
        start = 0.0
        times = 0
        if z0 > noise and falls_throughout(c, h):
            start = root_of_falling(c, h)
            if start >= 0.0:
                put(batch, found, start, entry, side, 1)
                found += 1
            continue
        turned = 1.0
        while True:
            shift_series(c, start, turned, moved)
            t = first_exit(moved, h - start, noise)
            if t < 0.0:
                break
            start += t
            times += 1
            if times > OFTEN:
                return -1
            put(batch, found, start, entry, side, times)
            found += 1
            turned = -turned
            if start >= h:
                break
    return found


@part
def put(batch, found, t, entry, side, times):
    """Note crossing number ``times`` of a coordinate that was on ``side``, if there is room."""
    if found < batch.time.size:
        batch.time[found] = t
        batch.entry[found] = entry
        batch.side[found] = side if times % 2 == 0 else UNTRUNCATED + TRUNCATED - side


@part
def falls_throughout(c, h):
    """Return whether Σ c_n tⁿ clearly falls on all of [0, h]."""
    slope = c[1]
    power = 1.0
    for n in range(2, c.size):
        power *= h
        slope += n * abs(c[n]) * power
    return slope < 0.0


@part
def root_of_falling(c, h):
    """Return where a falling polynomial that starts above zero reaches it, -1.0 if it does not by h (Newton)."""
    t = min(-c[0] / c[1], h)
    low = 0.0
    high = h
    for _ in range(50):
        value = c[c.size - 1]
        slope = 0.0
        for n in range(c.size - 2, -1, -1):
            slope = slope * t + value
            value = value * t + c[n]
        if value > 0.0:
            if t >= h:
                return -1.0
            low = t
        else:
            high = t
        step = t - value / slope
        if not (low < step < high):
            step = high if step >= high else 0.5 * (low + high)
        if abs(step - t) <= 1e-15 * h:
            return step
        t = step
    return t


@part
def moments_along(points, moments, near, h, found, batch):
    """Project the moments, as these crossings make them, onto polynomials over the step."""
    dim = points.x.shape[1]
    legendre = np.empty(DEGREE + 3)
    share = np.empty(DEGREE + 2)
    batch.m[:] = 0.0
    batch.M[:] = 0.0
    for k in range(found):
        i = near.pool[batch.entry[k], 0]
        if i >= points.weight.size:
            continue
        r = near.pool[batch.entry[k], 1]
        weight = points.weight[i] if batch.side[k] == UNTRUNCATED else -points.weight[i]
        tau = 2.0 * batch.time[k] / h - 1.0
        legendre[0] = 1.0
        legendre[1] = tau
        for n in range(1, DEGREE + 2):
            legendre[n + 1] = ((2 * n + 1) * tau * legendre[n] - n * legendre[n - 1]) / (n + 1)
        share[0] = 0.5 * weight * (1.0 - tau)
        for n in range(1, DEGREE + 2):
            share[n] = 0.5 * weight * (legendre[n - 1] - legendre[n + 1])
        for n in range(DEGREE + 2):
            m = batch.m[n, r]
            M = batch.M[n, r]
            for a in range(dim):
                value = share[n] * points.x[i, a]
                m[a] += value
                for c in range(dim):
                    M[a, c] += value * points.x[i, c]
            m[dim] += share[n]
    to_powers(moments, batch)


@part
def to_powers(moments, batch):
    """Turn the Legendre coefficients up to d into those of powers of s/h, and add the moments at the start."""
    dim = moments.m.shape[0]
    value = np.empty(DEGREE + 1)
    for r in range(dim):
        for a in range(dim + 1):
            for n in range(DEGREE + 1):
                value[n] = 0.0
                for k in range(n, DEGREE + 1):
                    value[n] += LEGENDRE[k, n] * batch.m[k, r, a]
            for n in range(DEGREE + 1):
                batch.m[n, r, a] = value[n]
            batch.m[0, r, a] += moments.m[r, a]
            for c in range(dim):
                for n in range(DEGREE + 1):
                    value[n] = 0.0
                    for k in range(n, DEGREE + 1):
                        # M is symmetric in its first columns, the last of which is m.
                        value[n] += LEGENDRE[k, n] * batch.M[k, r, c, a]
                for n in range(DEGREE + 1):
                    batch.M[n, r, c, a] = value[n] if a < dim else batch.m[n, r, c]
                if a < dim:
                    batch.M[0, r, c, a] += moments.M[r, c, a]


@part
def off_inside(motion, points, moments, work, accuracy, scale, h, batch):
    """Return what the trajectory may be off by inside: the next coefficient's field, for a part of the step."""
    dim = work.Ju.shape[1]
    last = DEGREE + 1
    worst = 0.0
    P = work.P
    inverse = 1.0 / moments.total[0]
    for r in range(dim):
        u_r = work.u[0, r]
        worst = max(worst, abs(batch.m[last, r, dim] * inverse * u_r) / scale)
        S = motion.b[0, r] * batch.m[last, r, dim]
        for a in range(dim):
            S += motion.R[0, r, a] * batch.m[last, r, a]
        for a in range(dim + 1):
            m_a = batch.m[last, r, a]
            work.line[a] = (batch.q[0, r] if accuracy.with_zz else u_r) * m_a
            if accuracy.with_zz:
                for c in range(dim):
                    M_ca = batch.M[last, r, c, a] if a < dim else batch.m[last, r, c]
                    work.line[a] -= motion.R[0, r, c] * M_ca
        for j in range(dim):
            value = S * work.u[0, j] + work.line[dim] * motion.b[0, j]
            for a in range(dim):
                value += work.line[a] * motion.R[0, j, a]
            P[r, j] = value * inverse
    for i in range(dim):
        for j in range(dim):
            worst = max(worst, 0.5 * abs(P[i, j] - P[j, i]))
    return worst * h / (2.0 * (DEGREE + 1))


@part
def settle(points, moments, near, found, batch):
    """Let the listed coordinates change sides, and the moments with them."""
    for k in range(found):
        i = near.pool[batch.entry[k], 0]
        r = near.pool[batch.entry[k], 1]
        up = points.pattern[i, r] == TRUNCATED
        points.pattern[i, r] = UNTRUNCATED if up else TRUNCATED
        if i < points.weight.size:
            count_point(points, i, r, 1.0 if up else -1.0, moments)
