"""Which coordinates of `general` can leave their sides next: each has a deadline in the way that its layer has gone.

With x̂ = (x, 1), a coordinate z = Z_r x̂ changes over a step by at most |ΔZ_r| (|x| + κ), where |ΔZ_r| is the greatest
way of the linear part, or 1/κ of that of the affine one, over all rows and nodes of its layer. So a coordinate that is
at z when its layer has gone the way ρ is safe until ρ + |z| / (|x| + κ): its deadline. Only points with a deadline
within the step are looked at, and get a new one. Deadlines up to a horizon are listed, so that not all are compared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from truncflow_cli.flows.kernels.cells import FRAME, Array, Ints
from truncflow_cli.flows.kernels.jit import part, plain
from truncflow_cli.flows.kernels.polynomial import first_exit
from truncflow_cli.flows.kernels.separated import PINNED, UNTRUNCATED

#: How many steps like the present one the horizon is away.
STEPS_LISTED = 24.0
#: Listed are at most these times as many steps, unless only ``SHORT`` deadlines are.
TOO_MANY = 4.0
SHORT = 64
#: The share of the step that is looked at first where there is nothing to go by, and how much longer it gets each time.
FIRST = 2.0**-12
LONGER = 8.0
#: A coordinate this far on the wrong side, in units of its rounding error, has not got there by rounding.
MISSED = 1e4
#: Rounding error of a way, in units of rounding errors of a coordinate.
SLACK = 8.0

#: Entries of ``Watch.way``: how far a layer has gone, up to where deadlines are listed, a bound over the present step,
#: and what of it the orders from the second on contribute, in the linear and the affine part.
GONE, HORIZON, AHEAD, REST_TURN, REST_SHIFT = range(5)


class Watch(NamedTuple):
    """The deadlines of all points in all layers.

    Attributes:
        due: (L, M).
        soon: (L, M) the points with deadlines up to the horizon, in order.
        size: (L,) how many those are.
        way: (L, 5), see ``GONE`` ff.
        speed: (P+1, L, 2) bounds of each order's coefficients, of the linear and the affine part.
        scale: (2,) κ, and the rounding error of a way.
        hit: (L M, 2) layer and point of those that the step may bring to zero.
        line: (L M, Q, 2) the value and velocity of their coordinates.
        hits: (1,) how many those are.
    """

    due: Array
    soon: Ints
    size: Ints
    way: Array
    speed: Array
    scale: Array
    hit: Ints
    line: Array
    hits: Ints


@plain
def bound_speeds(course, cells, tree, cols, watch):
    """Bound the coefficients of all rows of all nodes, for each layer and order from the first on."""
    Z, speed = cols.Z, watch.speed
    for l in range(speed.shape[1]):  # noqa: E741
        count = tree.nodes[l + 1]
        first = tree.first[l + 1]
        affine = first + (cells.tally[FRAME] - 1) * count
        for n in range(1, course.order[0] + 1):
            turn = 0.0
            shift = 0.0
            for r in range(Z.shape[1]):
                for node in range(count):
                    square = 0.0
                    for c in range(first + node, affine, count):
                        square += Z[n, r, c] * Z[n, r, c]
                    turn = max(turn, square)
                    shift = max(shift, abs(Z[n, r, affine + node]))
            speed[n, l, 0] = np.sqrt(turn)
            speed[n, l, 1] = shift


@plain
def bound_way(course, watch, h):
    """Bound how far each layer goes on [0, h]."""
    way, speed = watch.way, watch.speed
    for l in range(way.shape[0]):  # noqa: E741
        turn = 0.0
        shift = 0.0
        power = h
        for n in range(2, course.order[0] + 1):
            power *= h
            turn += speed[n, l, 0] * power
            shift += speed[n, l, 1] * power
        way[l, REST_TURN] = turn
        way[l, REST_SHIFT] = shift
        turn += speed[1, l, 0] * h
        shift += speed[1, l, 1] * h
        way[l, AHEAD] = max(turn, shift / watch.scale[0]) + watch.scale[1]


@plain
def go(course, watch, t):
    """Note that all layers have gone on to ``t`` of the present step."""
    bound_way(course, watch, t)
    for l in range(watch.size.size):  # noqa: E741
        watch.way[l, GONE] += watch.way[l, AHEAD]


@plain
def list_soon(watch, l):  # noqa: E741
    """List the deadlines of a layer anew, counting its way from here."""
    due, soon, way = watch.due, watch.soon, watch.way
    gone = way[l, GONE]
    horizon = STEPS_LISTED * way[l, AHEAD]
    found = 0
    for i in range(due.shape[1]):
        due[l, i] -= gone
        if due[l, i] <= horizon:
            soon[l, found] = i
            found += 1
    watch.size[l] = found
    way[l, GONE] = 0.0
    way[l, HORIZON] = horizon


@plain
def hurry(watch, l, i):  # noqa: E741
    """Let point i be looked at next, in this layer: it has come under another node."""
    if watch.due[l, i] > watch.way[l, HORIZON]:
        place = watch.size[l]
        while place > 0 and watch.soon[l, place - 1] > i:
            watch.soon[l, place] = watch.soon[l, place - 1]
            place -= 1
        watch.soon[l, place] = i
        watch.size[l] += 1
    watch.due[l, i] = -np.inf


@plain
def coordinate(n, l, r, i, cloud, cells, tree, cols):  # noqa: E741
    """Return the n-th coefficient of z_{ℓ,i,r}."""
    Z, x = cols.Z, cloud.x
    last = cells.tally[FRAME] - 1
    count = tree.nodes[l + 1]
    column = tree.first[l + 1] + tree.node[l + 1, cloud.cell[i]]
    total = Z[n, r, column + last * count]
    for a in range(last):
        total += Z[n, r, column + a * count] * x[i, a]
    return total


@plain
def look(h, course, cloud, cells, tree, cols, watch):
    """List the points and layers with a coordinate that may leave its side on [0, h]."""
    due, soon, way, hit, line = watch.due, watch.soon, watch.way, watch.hit, watch.line
    pattern = cloud.pattern
    bound_way(course, watch, h)
    value, velocity = np.int64(0), np.int64(1)
    found = 0
    for l in range(way.shape[0]):  # noqa: E741
        left = way[l, HORIZON] - way[l, GONE]
        long = watch.size[l] > SHORT and left > TOO_MANY * STEPS_LISTED * way[l, AHEAD]
        if long or way[l, AHEAD] > left:
            list_soon(watch, l)
        gone, horizon = way[l, GONE], way[l, HORIZON]
        end = gone + way[l, AHEAD]
        kept = 0
        for entry in range(watch.size[l]):
            i = soon[l, entry]
            if due[l, i] <= end:
                margin = np.inf
                for r in range(pattern.shape[2]):
                    z = coordinate(value, l, r, i, cloud, cells, tree, cols)
                    line[found, r, 0] = z
                    if pattern[i, l, r] != PINNED:
                        margin = min(margin, z if pattern[i, l, r] == UNTRUNCATED else -z)
                due[l, i] = gone + max(margin, 0.0) / (cloud.length[i] + watch.scale[0])
                if due[l, i] <= end:
                    for r in range(pattern.shape[2]):
                        line[found, r, 1] = coordinate(velocity, l, r, i, cloud, cells, tree, cols)
                    hit[found, 0] = l
                    hit[found, 1] = i
                    found += 1
            if due[l, i] <= horizon:
                soon[l, kept] = i
                kept += 1
        watch.size[l] = kept
    watch.hits[0] = found


@plain
def rest_of(hit, cloud, watch):
    """Return a bound of what the orders from the second on can do to the coordinates of a hit."""
    l = watch.hit[hit, 0]  # noqa: E741
    return watch.way[l, REST_TURN] * cloud.length[watch.hit[hit, 1]] + watch.way[l, REST_SHIFT]


@part
def first_within(h, course, cloud, cells, tree, cols, watch, counters):
    """Return (t, entry) of the first coordinate to leave its side on [0, h]; entry is hit Q + r, -1 if none does."""
    hit, line, pattern = watch.hit, watch.line, cloud.pattern
    dim = pattern.shape[2]
    look(h, course, cloud, cells, tree, cols, watch)
    hits = watch.hits[0]
    counters[0] += hits
    # The one that seems to be first makes the stretch short on which the others have to be looked at.
    lead = -1
    soonest = h
    for entry in range(hits * dim):
        k, r = entry // dim, entry % dim
        side = pattern[hit[k, 1], hit[k, 0], r]
        toward = -line[k, r, 1] if side == UNTRUNCATED else line[k, r, 1]
        distance = abs(line[k, r, 0])
        if side != PINNED and toward > 0.0 and distance < soonest * toward:
            soonest = distance / toward
            lead = entry
    best = h
    which = -1
    c = np.empty(course.order[0] + 1)
    for turn in range(-1, hits * dim):
        entry = lead if turn < 0 else turn
        if entry < 0 or turn == lead:
            continue
        k, r = entry // dim, entry % dim
        l, i = hit[k, 0], hit[k, 1]  # noqa: E741
        side = pattern[i, l, r]
        if side == PINNED:
            continue
        sign = 1.0 if side == UNTRUNCATED else -1.0
        noise = cloud.noise[i]
        z0 = sign * line[k, r, 0]
        part = best / h if h > 0.0 else 1.0
        # The rest grows at least like t², so that z1 t − rest is least at one of the ends.
        fall = min(0.0, sign * line[k, r, 1] * best - rest_of(k, cloud, watch) * part * part)
        if z0 + fall >= min(0.0, z0) - noise:
            continue
        for n in range(c.size):
            c[n] = sign * coordinate(n, l, r, i, cloud, cells, tree, cols)
        # One that is on the wrong side by more than rounding has been missed: it changes now.
        t = 0.0 if c[0] < -MISSED * noise else first_exit(c, best, noise)
        if t >= 0.0 and (t < best or which < 0):
            counters[1] += 1
            best = t
            which = entry
    return best, which


@plain
def first_crossing(h, soon, course, cloud, cells, tree, cols, watch, counters):
    """Return (t, entry) of the first coordinate to leave its side on [0, h]; entry is hit Q + r, -1 if none does.

    One that is found on a short stretch saves looking at those that come later: on [0, soon], or on shorter ones if
    that is all. ``counters`` (2,) counts the points looked at and the crossings located.
    """
    bound_speeds(course, cells, tree, cols, watch)
    end = soon if soon < h else FIRST * h
    while True:
        t, which = first_within(end, course, cloud, cells, tree, cols, watch, counters)
        if which >= 0 or end >= h:
            return t, which
        end = min(LONGER * end, h)
