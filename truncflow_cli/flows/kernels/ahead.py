"""The event loop of ``integrate.solver`` for the usual step, compiled: one coordinate goes through, no more.

Every step is taken with the same kernels as one that goes through Python, so that the two give the same numbers. What
is out of the ordinary ends the loop before the step in question, which is then taken from its beginning in Python.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.flows.kernels import pace
from truncflow_cli.flows.kernels.crossings import (
    coordinate_series,
    first_crossing,
    foreign_crossings,
    rest_of,
)
from truncflow_cli.flows.kernels.jit import part, plain
from truncflow_cli.flows.kernels.nearby import NOISE
from truncflow_cli.flows.kernels.polynomial import derivative
from truncflow_cli.flows.kernels.separated import (
    TRUNCATED,
    UNTRUNCATED,
    count_point,
    evaluate_state,
    expand,
    sum_moments,
)
from truncflow_cli.flows.kernels.shapes import HITS, HORIZON, Array

later = part(pace.later)
next_reach = part(pace.next_reach)
step_length = part(pace.step_length)

#: A kink that turns a coordinate back is left to Python, and so is one that does so but for this share of the jump.
CLEAR = 0.01
#: The same for a coordinate that hardly moves, relative to the speed of the state.
SLOW = 1e-9
#: A field below this, relative to the state, may be at rest.
MAY_REST = 1e-11
#: The next crossing is first looked for within this share of the reach.
SOON = 0.75
#: Rank-one updates of the moments after which they are summed anew, so that rounding does not pile up.
REFRESH_MOMENTS = 4096

EPS = float(np.finfo(np.float64).eps)
#: Entries of the clock: time, its rounding error, reach, dissipated energy, start of the last step, end of the run,
#: where to stop, the length of the present series or step, and how far the next crossing is first looked for.
S, LOST, REACH, ENERGY, BEFORE, S_END, UNTIL, LENGTH, NEARBY = range(9)
CLOCK = 9
#: Entries of the counts, as ``flows.base.Counters``.
STEPS, ORDERS, CANDIDATES, ROOTS, EVENTS, UNUSUAL = range(6)
COUNTS = 6


class Accuracy(NamedTuple):
    """What the length of a step depends on.

    Attributes:
        with_zz: whether Ω has its term −½ z zᵀ (the printed one has not).
        tolerance: share of the state that one step may be off.
        floor: size of the state below which it counts as this large.
        spread: largest distance of an own point to the mean.
    """

    with_zz: bool
    tolerance: float
    floor: float
    spread: float


class Log(NamedTuple):
    """Room for what has been passed: time, row of the points, coordinate and pattern after, for each event."""

    s: Array
    point: NDArray[np.int64]
    row: NDArray[np.int64]
    side: NDArray[np.int8]


class State(NamedTuple):
    """The state, room for the next one, and the moments' m before the last event.

    Attributes:
        R, b: (Q, Q), (Q,).
        R_next, b_next: the same.
        untruncated: (Q,) untruncated own points in each coordinate along the last step.
    """

    R: Array
    b: Array
    R_next: Array
    b_next: Array
    untruncated: Array


@plain
def expand_state(state, energy, points, moments, motion, work, pins, accuracy, reach):
    """Expand the solution about the state; return the length on which the series are accurate."""
    if moments.updates[0] > max(REFRESH_MOMENTS, points.weight.size):
        sum_moments(points, moments)
    dim = state.b.size
    motion.energy[0] = energy
    scale = accuracy.floor
    square = 0.0
    for r in range(dim):
        for a in range(dim):
            motion.R[0, r, a] = state.R[r, a]
        motion.b[0, r] = state.b[r]
        u = speed_of_bias(state.R, state.b, points.y_tilde, r)
        scale = max(scale, abs(u), abs(state.b[r]))
        square += u * u
    scale_energy = max(square, accuracy.spread * accuracy.spread, accuracy.floor * accuracy.floor)
    return expand(
        motion,
        moments,
        work,
        pins,
        points.y_tilde,
        accuracy.with_zz,
        scale,
        scale_energy,
        accuracy.tolerance,
        reach,
    )


@plain
def speed_of_bias(R, b, y_tilde, r):
    """Return u_r = (b + R ỹ)_r."""
    u = b[r]
    for a in range(b.size):
        u += R[r, a] * y_tilde[a]
    return u


@plain
def run_ahead(
    state, clock, points, moments, motion, work, pins, near, accuracy, log, counts, times, entries, seen
):
    """Take steps until ``clock[UNTIL]`` is passed, something unusual is next, or the log is full; return their number.

    ``state``, ``clock`` and the other arrays are where the last step has led to; ``motion`` holds its series unless
    ``counts[UNUSUAL]`` is 1: the next step has then to be taken in Python. ``times`` and ``entries`` have room for the
    foreign crossings of a step, ``seen`` (2,) for its counts.
    """
    steps = 0
    s_end = clock[S_END]
    until = clock[UNTIL]
    counts[UNUSUAL] = 0
    while counts[EVENTS] + times.size < log.s.size:
        s = clock[S]
        left = s_end - s
        h = expand_state(
            state, clock[ENERGY], points, moments, motion, work, pins, accuracy, min(clock[REACH], left)
        )
        counts[UNUSUAL] = 1
        if not h > 0.0:
            break
        h = step_length(h, clock[REACH], left)
        seen[0] = 0
        seen[1] = 0
        t, which = first_crossing(points, motion, h, SOON * clock[REACH], near, seen)
        if which == -2 or not t > 4 * EPS * s:
            break
        energy = evaluate_state(
            motion.R, motion.b, motion.energy, motion.order[0], t, state.R_next, state.b_next
        )
        if which >= 0 and not passes(state, points, moments, motion, near, t, which, accuracy):
            break
        foreign = 0
        if points.weight.size < points.length.size:
            foreign = foreign_crossings(points, motion, t, near, times, entries)
            if foreign > times.size:
                break

        counts[UNUSUAL] = 0
        steps += 1
        counts[STEPS] += 1
        counts[ORDERS] += motion.order[0]
        counts[CANDIDATES] += seen[0]
        counts[ROOTS] += seen[1]
        for k in range(foreign):
            note(points, near, entries[k], s + times[k], log, counts)
        for r in range(state.b.size):
            for a in range(state.b.size):
                state.R[r, a] = state.R_next[r, a]
            state.b[r] = state.b_next[r]
            state.untruncated[r] = moments.m[r, state.b.size]
        clock[BEFORE] = s
        clock[ENERGY] = energy
        clock[REACH] = next_reach(clock[REACH], t, which >= 0, s_end)
        if which < 0 and h >= left:
            clock[S] = s_end
        else:
            s_next, clock[LOST] = later(s, clock[LOST], t)
            clock[S] = min(s_next, s_end)
        if which >= 0:
            entry = near.hit[which]
            sign = 1.0 if points.pattern[near.pool[entry, 0], near.pool[entry, 1]] == TRUNCATED else -1.0
            count_point(points, near.pool[entry, 0], near.pool[entry, 1], sign, moments)
            note(points, near, entry, clock[S], log, counts)
        if clock[S] >= until or clock[S] >= s_end:
            break
    return steps


@plain
def note(points, near, entry, s, log, counts):
    """Let the coordinate of this near entry change sides, and write that down."""
    i = near.pool[entry, 0]
    r = near.pool[entry, 1]
    points.pattern[i, r] = TRUNCATED if points.pattern[i, r] == UNTRUNCATED else UNTRUNCATED
    event = counts[EVENTS]
    log.s[event] = s
    log.point[event] = i
    log.row[event] = r
    log.side[event] = points.pattern[i, r]
    counts[EVENTS] = event + 1


@plain
def passes(state, points, moments, motion, near, t, which, accuracy):
    """Return whether hit ``which``, at zero at t, clearly goes through, alone, and the flow goes on after it."""
    i = near.pool[near.hit[which], 0]
    r = near.pool[near.hit[which], 1]
    dim = state.b.size
    if not alone(state, points, motion, near, t, which):
        return False
    # ż_r(untruncated) − ż_r(truncated) = (m/N) u_r (1 + ½ Σ_{j≠r} z_j²)
    normal = 1.0
    for j in range(dim):
        if j != r:
            z = state.b_next[j]
            for a in range(dim):
                z += state.R_next[j, a] * points.x[i, a]
            normal += 0.5 * z * z
    share = points.weight[i] / moments.total[0]
    jump = share * speed_of_bias(state.R_next, state.b_next, points.y_tilde, r) * normal
    c = motion.line[0, : motion.order[0] + 1]
    side = points.pattern[i, r]
    coordinate_series(points, motion, i, r, -1.0 if side == UNTRUNCATED else 1.0, c)
    before = derivative(c, t)
    after = before + jump  # downwards: −(ż − jump); upwards: ż + jump
    power = max(derivative(motion.energy[: motion.order[0] + 1], t), 0.0)
    margin = CLEAR * abs(jump) + SLOW * np.sqrt(power * normal)
    if not (before > margin and after > margin):
        return False
    # At rest only if J⊥u vanishes, with the moments after the event.
    largest = 0.0
    moving = 0.0
    for j in range(dim):
        count = moments.m[j, dim]
        if j == r:
            count += -points.weight[i] if side == UNTRUNCATED else points.weight[i]
        rate = (1.0 - count / moments.total[0]) * speed_of_bias(state.R_next, state.b_next, points.y_tilde, j)
        moving = max(moving, abs(rate))
        largest = max(largest, abs(state.b_next[j]))
    return moving > MAY_REST * (largest + accuracy.spread)


@plain
def alone(state, points, motion, near, t, which):
    """Return whether no other own coordinate is zero, to rounding, where hit ``which`` crosses."""
    part = t / near.scale[HORIZON]
    dim = state.b.size
    for k in range(near.tally[HITS]):
        i = near.pool[near.hit[k], 0]
        if k == which or i >= points.weight.size:
            continue
        r = near.pool[near.hit[k], 1]
        noise = 4 * NOISE * (points.length[i] + abs(state.b_next[r]) + abs(motion.b[0, r]))
        rest = rest_of(points, near, i, r)
        if abs(near.line[k, 0] + near.line[k, 1] * t) > rest * part * part + noise:
            continue
        z = state.b_next[r]
        for a in range(dim):
            z += state.R_next[r, a] * points.x[i, a]
        if abs(z) <= noise:
            return False
    return True
