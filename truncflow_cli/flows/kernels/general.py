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
from truncflow_cli.flows.kernels.deadlines import first_crossing, go, hurry
from truncflow_cli.flows.kernels.jit import kernel, part, plain
from truncflow_cli.flows.kernels.passing import passes
from truncflow_cli.flows.kernels.separated import TRUNCATED, UNTRUNCATED, orthonormalise

later = part(pace.later)
next_reach = part(pace.next_reach)
step_length = part(pace.step_length)

#: What to do: see ``act``.
EXPAND, CROSS, ADVANCE, AHEAD, GATHER, MOVE, FIELD, POLISH = range(8)
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


class Passed(NamedTuple):
    """Room for what has been passed: time, row of the points, layer, coordinate and pattern after, for each event."""

    s: Array
    point: Ints
    layer: Ints
    row: Ints
    side: NDArray[np.int8]


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


@plain
def set_order_zero(state, clock, course):
    """Let the series begin at the state."""
    course.energy[0] = clock[ENERGY]
    for l in range(state.b.shape[0]):  # noqa: E741
        for r in range(state.b.shape[1]):
            course.b[0, l, r] = state.b[l, r]
            for a in range(state.b.shape[1]):
                course.R[0, l, r, a] = state.R[l, r, a]


@plain
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


@plain
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
