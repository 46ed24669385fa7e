"""What Python may ask of the compiled code of `general`, through one function, and its event loop for the usual step.

The usual step ends where one coordinate of one point goes through, alone. It is taken with the same functions as one
that goes through Python, so that the two give the same numbers. What is out of the ordinary ends the loop before the
step in question, which is then taken from its beginning in Python.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.flows.kernels import pace
from truncflow_cli.flows.kernels.cells import (
    LEAVES,
    UPDATES,
    Array,
    Ints,
    enter,
    gather_points,
    leave,
    plant,
)
from truncflow_cli.flows.kernels.cellseries import (
    backward,
    begin,
    columns_of,
    evaluate_state,
    expand,
)
from truncflow_cli.flows.kernels.deadlines import (
    coordinate,
    first_crossing,
    go,
    hurry,
    rest_of,
)
from truncflow_cli.flows.kernels.jit import kernel, part
from truncflow_cli.flows.kernels.polynomial import derivative
from truncflow_cli.flows.kernels.separated import TRUNCATED, UNTRUNCATED, orthonormalise

later = part(pace.later)
next_reach = part(pace.next_reach)
step_length = part(pace.step_length)

#: What to do: see ``act``.
EXPAND, CROSS, ADVANCE, AHEAD, GATHER, MOVE, FIELD, POLISH = range(8)
#: A kink that turns a coordinate back is left to Python, and so is one that does so but for this share of the jump.
CLEAR = 0.01
#: The same for a coordinate that hardly moves, relative to the speed of the state.
SLOW = 1e-9
#: A field below this, relative to the state, may be at rest.
MAY_REST = 1e-11
#: The next crossing is first looked for within this share of the reach.
SOON = 0.75
#: Rank-one updates of the cells' sums after which they are summed anew, so that rounding does not pile up.
REFRESH = 4096

EPS = float(np.finfo(np.float64).eps)
#: Entries of the clock: time, its rounding error, reach, dissipated energy, start of the last step, end of the run,
#: where to stop, the length of the present series or step, and how far the next crossing is first looked for.
S, LOST, REACH, ENERGY, BEFORE, S_END, UNTIL, LENGTH, NEARBY = range(9)
CLOCK = 9
#: Entries of the counts: those of ``flows.base.Counters``, events in the log, and whether the next step is unusual.
STEPS, ORDERS, CANDIDATES, ROOTS, EVENTS, UNUSUAL = range(6)
COUNTS = 6


class Accuracy(NamedTuple):
    """What the length of a step depends on.

    Attributes:
        tolerance: share of the state that one step may be off.
        floor: size of the state below which it counts as this large.
        spread: largest distance of a point to the mean.
    """

    tolerance: float
    floor: float
    spread: float


class Passed(NamedTuple):
    """Room for what has been passed: time, row of the points, layer, coordinate and pattern after, for each event."""

    s: Array
    point: Ints
    layer: Ints
    row: Ints
    side: NDArray[np.int8]


class State(NamedTuple):
    """The state, room for the next one, and what was truncated before the last event.

    Attributes:
        R, b: (L, Q, Q), (L, Q).
        R_next, b_next: the same.
        truncated: (L, Q) training inputs truncated in each coordinate along the last step.
    """

    R: Array
    b: Array
    R_next: Array
    b_next: Array
    truncated: Array


@kernel
def act(task, state, clock, cloud, cells, tree, course, room, held, watch, accuracy, log, counts):
    """Do one of these and return what is said of it; ``clock`` and ``counts`` hold its numbers.

    - EXPAND the solution about the state, to be accurate over clock[REACH]: clock[LENGTH] is how far it is.
    - CROSS: find the first coordinate to leave its side within clock[LENGTH], first looking within clock[NEARBY];
      clock[LENGTH] becomes the time, and (hit, coordinate) is returned as one number (-1: none).
    - ADVANCE the state to clock[LENGTH] of the series.
    - AHEAD: see ``run_ahead``.
    - GATHER the points in cells, and sum those up from scratch.
    - MOVE the first counts[EVENTS] points of ``log`` to the cells of their codes; ``log.side`` says whether they have
      to leave one (0) or be put into one (1). Returns how many pinned coordinates the nodes have.
    - FIELD: fill order 0 of c and Ω.
    - POLISH: make R orthogonal to rounding.
    """
    if task == EXPAND:
        clock[LENGTH] = expand_state(
            state, clock, cloud, cells, tree, course, room, held, accuracy, clock[REACH]
        )
    elif task == CROSS:
        cols = columns_of(cells, tree, room, course.energy.size - 1)
        seen = counts[CANDIDATES : ROOTS + 1]
        clock[LENGTH], which = first_crossing(
            clock[LENGTH], clock[NEARBY], course, cloud, cells, tree, cols, watch, seen
        )
        return which
    elif task == ADVANCE:
        clock[ENERGY] = evaluate_state(course, clock[LENGTH], state.R, state.b)
        go(course, watch, clock[LENGTH])
    elif task == AHEAD:
        return run_ahead(state, clock, cloud, cells, tree, course, room, held, watch, accuracy, log, counts)
    elif task == GATHER:
        gather_points(cloud, cells)
        plant(cells, tree)
        return tree.tally[0]
    elif task == MOVE:
        for k in range(counts[EVENTS]):
            if log.side[k] == 0:
                leave(cloud, cells, log.point[k])
            else:
                enter(cloud, cells, log.point[k])
                for l in range(state.b.shape[0]):  # noqa: E741
                    hurry(watch, l, log.point[k])
        plant(cells, tree)
        return tree.tally[0]
    elif task == FIELD:
        set_order_zero(state, clock, course)
        cols = begin(course, cloud, cells, tree, room, held, course.energy.size - 1)
        backward(np.int64(0), course, cells, tree, room, cols, held.lam)
    elif task == POLISH:
        for l in range(state.R.shape[0]):  # noqa: E741
            orthonormalise(state.R[l])
    return 0


@part
def set_order_zero(state, clock, course):
    """Let the series begin at the state."""
    course.energy[0] = clock[ENERGY]
    for l in range(state.b.shape[0]):  # noqa: E741
        for r in range(state.b.shape[1]):
            course.b[0, l, r] = state.b[l, r]
            for a in range(state.b.shape[1]):
                course.R[0, l, r, a] = state.R[l, r, a]


@part
def expand_state(state, clock, cloud, cells, tree, course, room, held, accuracy, reach):
    """Expand the solution about the state; return the length on which the series are accurate."""
    set_order_zero(state, clock, course)
    scale = accuracy.floor
    for l in range(state.b.shape[0]):  # noqa: E741
        for r in range(state.b.shape[1]):
            scale = max(scale, abs(state.b[l, r]))
    scale_energy = max(accuracy.spread, scale) ** 2
    return expand(course, cloud, cells, tree, room, held, scale, scale_energy, accuracy.tolerance, reach)


@part
def run_ahead(state, clock, cloud, cells, tree, course, room, held, watch, accuracy, log, counts):
    """Take steps until ``clock[UNTIL]`` is passed, something unusual is next, or the log is full; return their number.

    ``state``, ``clock`` and the other arrays are where the last step has led to; ``course`` holds its series unless
    ``counts[UNUSUAL]`` is 1: the next step has then to be taken in Python.
    """
    steps = 0
    layers, dim = state.b.shape
    s_end = clock[S_END]
    until = clock[UNTIL]
    counts[UNUSUAL] = 0
    seen = np.zeros(2, np.int64)
    while counts[EVENTS] < log.s.size:
        counts[UNUSUAL] = 1
        if cells.tally[LEAVES] >= cells.root.size or cells.tally[UPDATES] > REFRESH:
            break
        s = clock[S]
        left = s_end - s
        reach = min(clock[REACH], left)
        h = expand_state(state, clock, cloud, cells, tree, course, room, held, accuracy, reach)
        if not h > 0.0:
            break
        h = step_length(h, clock[REACH], left)
        seen[0] = 0
        seen[1] = 0
        cols = columns_of(cells, tree, room, course.energy.size - 1)
        t, entry = first_crossing(h, SOON * reach, course, cloud, cells, tree, cols, watch, seen)
        if not t > 4 * EPS * s:
            break
        energy = evaluate_state(course, t, state.R_next, state.b_next)
        if entry >= 0 and not passes(state, t, entry, course, cloud, cells, tree, cols, watch, accuracy):
            break

        counts[UNUSUAL] = 0
        steps += 1
        counts[STEPS] += 1
        counts[ORDERS] += course.order[0]
        counts[CANDIDATES] += seen[0]
        counts[ROOTS] += seen[1]
        go(course, watch, t)
        for l in range(layers):  # noqa: E741
            for r in range(dim):
                for a in range(dim):
                    state.R[l, r, a] = state.R_next[l, r, a]
                state.b[l, r] = state.b_next[l, r]
                state.truncated[l, r] = cells.truncated[l, r]
        clock[BEFORE] = s
        clock[ENERGY] = energy
        clock[REACH] = next_reach(clock[REACH], t, entry >= 0, s_end)
        if entry < 0 and h >= left:
            clock[S] = s_end
        else:
            s_next, clock[LOST] = later(s, clock[LOST], t)
            clock[S] = min(s_next, s_end)
        if entry >= 0:
            hit = entry // dim
            cross(
                watch.hit[hit, 1],
                watch.hit[hit, 0],
                entry % dim,
                clock[S],
                cloud,
                cells,
                tree,
                watch,
                log,
                counts,
            )
        if clock[S] >= until or clock[S] >= s_end:
            break
    return steps


@part
def cross(i, l, r, s, cloud, cells, tree, watch, log, counts):  # noqa: E741
    """Let a coordinate change sides, and write that down."""
    gone = leave(cloud, cells, i)
    side = TRUNCATED if cloud.pattern[i, l, r] == UNTRUNCATED else UNTRUNCATED
    cloud.pattern[i, l, r] = side
    cloud.code[i, l, r] = side
    fresh = enter(cloud, cells, i)
    if gone or fresh:
        plant(cells, tree)
    cells.truncated[l, r] += cloud.inputs[i] if side == TRUNCATED else -cloud.inputs[i]
    for m in range(l + 1, watch.size.size):
        hurry(watch, m, i)
    event = counts[EVENTS]
    log.s[event] = s
    log.point[event] = i
    log.layer[event] = l
    log.row[event] = r
    log.side[event] = side
    counts[EVENTS] = event + 1


@part
def passes(state, t, entry, course, cloud, cells, tree, cols, watch, accuracy):
    """Return whether this coordinate, at zero at t, clearly goes through, alone, and the flow goes on after it."""
    dim = state.b.shape[1]
    i = watch.hit[entry // dim, 1]
    l = watch.hit[entry // dim, 0]  # noqa: E741
    r = entry % dim
    z = np.empty(state.b.shape)
    if not alone(state, t, entry, course, cloud, watch, z):
        return False
    pass_point(state, i, cloud, z)
    w_r = push_on(state, i, l, r, cloud, z)
    normal = square_of_gradient(state, i, l, r, cloud, z)
    # ż_r(untruncated) − ż_r(truncated) = −(m/N) w_r |∇z_r|²
    jump = -cloud.weight[i] * w_r * normal
    c = np.empty(course.order[0] + 1)
    side = cloud.pattern[i, l, r]
    sign = -1.0 if side == UNTRUNCATED else 1.0
    for n in range(c.size):
        c[n] = sign * coordinate(n, l, r, i, cloud, cells, tree, cols)
    before = derivative(c, t)
    after = before + jump  # downwards: −(ż − jump); upwards: ż + jump
    power = max(derivative(course.energy[: course.order[0] + 1], t), 0.0)
    margin = CLEAR * abs(jump) + SLOW * np.sqrt(power * normal)
    if not (before > margin and after > margin):
        return False
    # The field after the event is at least as large as its part along ∇z_r.
    largest = accuracy.spread
    for a in range(state.b.shape[0]):
        for q in range(dim):
            largest = max(largest, abs(state.b_next[a, q]))
    return after > MAY_REST * largest * max(1.0, largest) * np.sqrt(normal)


@part
def alone(state, t, entry, course, cloud, watch, z):
    """Return whether no other coordinate is zero, to rounding, where this one crosses."""
    dim = state.b.shape[1]
    for hit in range(watch.hits[0]):
        l = watch.hit[hit, 0]  # noqa: E741
        i = watch.hit[hit, 1]
        noise = 4 * cloud.noise[i]
        rest = rest_of(hit, cloud, watch)
        passed = False
        for r in range(dim):
            if hit * dim + r == entry:
                continue
            if abs(watch.line[hit, r, 0] + watch.line[hit, r, 1] * t) > rest + noise:
                continue
            if not passed:
                pass_point(state, i, cloud, z)
                passed = True
            if abs(z[l, r]) <= noise:
                return False
    return True


@part
def pass_point(state, i, cloud, z):
    """Fill z (L, Q) with the coordinates of point i at the next state."""
    layers, dim = z.shape
    before = np.empty(dim)
    for a in range(dim):
        before[a] = cloud.x[i, a]
    for l in range(layers):  # noqa: E741
        for r in range(dim):
            total = state.b_next[l, r]
            for a in range(dim):
                total += state.R_next[l, r, a] * before[a]
            z[l, r] = total
        back(state, i, l, cloud, z[l], state.b_next[l], before)


@part
def back(state, i, l, cloud, z, b, t):  # noqa: E741
    """Fill t (Q,) with R_ℓᵀ (H z − b)."""
    dim = t.size
    for a in range(dim):
        t[a] = 0.0
    for r in range(dim):
        value = -b[r]
        if cloud.pattern[i, l, r] == UNTRUNCATED:
            value += z[r]
        for a in range(dim):
            t[a] += state.R_next[l, r, a] * value


@part
def push_on(state, i, l, r, cloud, z):  # noqa: E741
    """Return w_{ℓ,r} of point i at the next state."""
    layers, dim = z.shape
    last = layers - 1
    w = np.empty(dim)
    g = np.empty(dim)
    for q in range(dim):
        total = -state.b_next[last, q]
        for a in range(dim):
            total -= state.R_next[last, q, a] * cloud.target[i, a]
        if cloud.pattern[i, last, q] == UNTRUNCATED:
            total += z[last, q]
        w[q] = total
    zero = np.zeros(dim)
    for m in range(last, l, -1):
        back(state, i, m, cloud, w, zero, g)
        for q in range(dim):
            w[q] = 0.0
            for a in range(dim):
                w[q] += state.R_next[m - 1, q, a] * g[a]
    return w[r]


@part
def square_of_gradient(state, i, l, r, cloud, z):  # noqa: E741
    """Return |∇z_{ℓ,r}|² of point i at the next state, see ``model.network.adjoint``."""
    dim = z.shape[1]
    total = 1.0
    for j in range(dim):
        if j != r:
            total += 0.5 * z[l, j] ** 2
    g = np.empty(dim)
    q = np.empty(dim)
    zero = np.zeros(dim)
    for a in range(dim):
        g[a] = state.R_next[l, r, a]
    for m in range(l - 1, -1, -1):
        for k in range(dim):
            q[k] = 0.0
            for a in range(dim):
                q[k] += state.R_next[m, k, a] * g[a]
            if cloud.pattern[i, m, k] != UNTRUNCATED:
                total += q[k] ** 2
        for k in range(dim):
            for j in range(k):
                h_k = 1.0 if cloud.pattern[i, m, k] == UNTRUNCATED else 0.0
                h_j = 1.0 if cloud.pattern[i, m, j] == UNTRUNCATED else 0.0
                skew = (h_k - h_j) * (q[k] * z[m, j] + q[j] * z[m, k])
                total += 0.5 * skew**2
        back(state, i, m, cloud, q, zero, g)
    return total
