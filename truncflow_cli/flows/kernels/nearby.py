"""The few surfaces that can be reached soon: lists within lists, as molecular dynamics keeps them (Verlet skin).

While the rows of R have moved by at most D and b by at most c D, a coordinate has moved by |Δz_{i,r}| ≤ D (|x_i| + c).
So a list of all coordinates with |z| ≤ skin (|x| + c) misses nothing as long as D ≤ skin. The shortest list reaches a
few steps far; it is made anew from one that reaches further, that from the next, and the longest one, rarely, from all
points: the work per step hardly depends on how many there are.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.kernels.jit import part, plain
from truncflow_cli.flows.kernels.separated import BLAS_PAYS, along
from truncflow_cli.flows.kernels.shapes import (
    HORIZON,
    LEVEL,
    NEEDS,
    RATIO,
    REFRESHES,
    REST_SHIFT,
    REST_TURN,
    SHIFT,
    STEP_SHIFT,
    STEP_TURN,
    TOP,
    TURN,
)

#: The shortest list reaches this many times as far as the present step.
SKIN = 3.0
#: Each list reaches this many times as far as the next shorter one.
WIDER = 6.0
#: Most lists there can be.
LEVELS = 10
#: Rounding error of a coordinate z, in units of |x| + |b|.
NOISE = 32 * np.finfo(np.float64).eps
#: Points that are looked at together.
BLOCK = 64
#: Below this many entries a list is never too long.
SHORT = 32


@plain
def distance(a, b):
    """Return |a − b|, summed as in ``along``."""
    s0 = s1 = s2 = s3 = 0.0
    four = b.size - b.size % 4
    for k in range(0, four, 4):
        d0, d1, d2, d3 = a[k] - b[k], a[k + 1] - b[k + 1], a[k + 2] - b[k + 2], a[k + 3] - b[k + 3]
        s0 += d0 * d0
        s1 += d1 * d1
        s2 += d2 * d2
        s3 += d3 * d3
    for k in range(four, b.size):
        d0 = a[k] - b[k]
        s0 += d0 * d0
    return np.sqrt((s0 + s1) + (s2 + s3))


@plain
def wider(skin, level):
    """Return how far list ``level`` reaches if the shortest has this skin."""
    for _ in range(level):
        skin *= WIDER
    return skin


@plain
def look_around(points, motion, h, shortest, near):
    """Choose a list that holds every coordinate that [0, h] can bring to zero; return whether there is one.

    It is level 0 if it is to be the ``shortest``, which is made anew if need be, else whichever suffices. Without
    success, the pool has less room than ``near.tally[NEEDS]``, and there are no lists.
    """
    travel(motion, h, near)
    turn = 0.0
    shift = 0.0
    largest = 0.0
    for r in range(motion.b.shape[1]):
        turn = max(turn, near.bound[TURN, r])
        shift = max(shift, near.bound[SHIFT, r])
        largest = max(largest, abs(motion.b[0, r]))
    top = near.tally[TOP]
    source = 0
    wanted = 0.0
    if top >= 0:
        ratio = near.scale[RATIO]
        floor = 8 * NOISE * max(1.0, largest / ratio)
        wanted = SKIN * max(turn, shift / ratio) + floor
        wide = near.place[0, 1] - near.place[0, 0] > SHORT and near.skin[0] > WIDER * WIDER * wanted
        for level in range(0 if not (shortest and wide) else 1, 1 if shortest else top + 1):
            if room_left(motion, near, level, 1.0) >= floor:
                near.tally[LEVEL] = level
                return True
        near.tally[REFRESHES] += 1
        reach = wanted
        for level in range(1, top + 1):
            enough = room_left(motion, near, level, 0.0) >= 0.5 * reach
            reach *= WIDER
            if enough and near.skin[level] <= WIDER * WIDER * reach:
                source = level
                break
    if source == 0:
        near.tally[REFRESHES] += 1 if top < 0 else 0
        ratio = typical_ratio(points, turn, shift, largest)
        near.scale[RATIO] = ratio
        wanted = SKIN * max(turn, shift / ratio) + 8 * NOISE * max(1.0, largest / ratio)
        if not list_all(points, motion, wanted, near):
            return False
        source = near.tally[TOP]
    near.tally[LEVEL] = 0
    return shorten(points, motion, source, wanted, near)


@plain
def typical_ratio(points, turn, shift, largest):
    """Return c: how far b moves for one unit that the rows of R do, within reason."""
    extent = 1e-3 * largest
    for i in range(points.length.size):
        extent = max(extent, points.length[i])
    if extent == 0.0:
        extent = 1.0
    if turn > 0.0:
        return min(max(shift / turn, 1e-3 * extent), 1e3 * extent)
    return 1e3 * extent


@plain
def travel(motion, h, near):
    """Bound how far R_r and b_r get from the start of the step on [0, h], and the share of orders ≥ 2 in that."""
    near.scale[HORIZON] = h
    for r in range(motion.b.shape[1]):
        turn = 0.0
        shift = 0.0
        power = h
        for n in range(2, motion.order[0] + 1):
            power *= h
            turn += motion.turn[n, r] * power
            shift += abs(motion.b[n, r]) * power
        near.bound[REST_TURN, r] = turn
        near.bound[REST_SHIFT, r] = shift
        near.bound[STEP_TURN, r] = near.bound[TURN, r] = turn + motion.turn[1, r] * h
        near.bound[STEP_SHIFT, r] = near.bound[SHIFT, r] = shift + abs(motion.b[1, r]) * h


@plain
def displacement_of(motion, near, level, r):
    """Return how far R_r is from where it was when list ``level`` was made."""
    return distance(near.state[level, r], motion.R[0, r])


@plain
def room_left(motion, near, level, share):
    """Return how far list ``level`` still reaches from the present state, after ``share`` of the step's bounds."""
    dim = motion.b.shape[1]
    worst = 0.0
    for r in range(dim):
        turn = displacement_of(motion, near, level, r) + share * near.bound[TURN, r]
        shift = abs(motion.b[0, r] - near.state[level, r, dim]) + share * near.bound[SHIFT, r]
        worst = max(worst, turn, shift / near.scale[RATIO])
    return near.skin[level] - worst


@plain
def add_displacement(motion, near):
    """Add the displacement since the chosen list was made to the bounds over the step."""
    dim = motion.b.shape[1]
    level = near.tally[LEVEL]
    for r in range(dim):
        near.bound[TURN, r] += displacement_of(motion, near, level, r)
        near.bound[SHIFT, r] += abs(motion.b[0, r] - near.state[level, r, dim])


@plain
def shorten(points, motion, source, wanted, near):
    """Make the lists below ``source`` anew, each from the next longer one; return whether there was room."""
    room = room_left(motion, near, source, 0.0)
    for level in range(source - 1, -1, -1):
        skin = min(wider(wanted, level), room)
        first = near.place[level + 1, 0]
        put = near.place[level + 1, 1]
        near.place[level, 0] = put
        for entry in range(first, near.place[level, 0]):
            i = near.pool[entry, 0]
            r = near.pool[entry, 1]
            z = motion.b[0, r] + along(motion.R[0, r], points.x[i])
            if abs(z) <= skin * (points.length[i] + near.scale[RATIO]):
                put_entry(near, put, i, r, z)
                put += 1
        end_list(motion, level, put, skin, near)
        if put > near.z.size:
            return False
        room = skin
    return True


@plain
def put_entry(near, put, i, r, z):
    """Write an entry of a list, if there is room."""
    if put < near.z.size:
        near.pool[put, 0] = i
        near.pool[put, 1] = r
        near.z[put] = z


@plain
def end_list(motion, level, end, skin, near):
    """Note that list ``level`` ends before pool entry ``end``, and where it was made."""
    dim = motion.b.shape[1]
    near.place[level, 1] = end
    near.skin[level] = skin
    for r in range(dim):
        for a in range(dim):
            near.state[level, r, a] = motion.R[0, r, a]
        near.state[level, r, dim] = motion.b[0, r]
    if end > near.z.size:
        near.tally[TOP] = -1
        near.tally[NEEDS] = end


@plain
def level_of(size, wide):
    """Return the shortest list that holds a z of this size, if the shortest of all goes up to ``wide``."""
    level = 0
    while level < LEVELS and size > wide:
        wide *= WIDER
        level += 1
    return level


@part
def turn_points(x, R, Z):
    """Fill Z (n, Q) with x Rᵀ, for points x (n, Q)."""
    if R.size >= BLAS_PAYS:
        np.dot(x, R.T, Z)
        return
    for i in range(x.shape[0]):
        for r in range(R.shape[0]):
            Z[i, r] = along(R[r], x[i])


@part
def list_all(points, motion, first, near):
    """Choose how many lists there are and make the longest; return whether there was room for all of them.

    The shortest has skin ``first``. There are as many as are worth while: the longest is a small part of the whole.
    """
    size, dim = points.x.shape
    counts = np.zeros(LEVELS + 1, np.int64)
    top = 0
    put = 0
    skin = 0.0
    Z = np.empty((BLOCK, dim))
    for filling in range(2):
        for first_row in range(0, size, BLOCK):
            block = points.x[first_row : first_row + BLOCK]
            turn_points(block, motion.R[0], Z[: block.shape[0]])
            for k in range(block.shape[0]):
                i = first_row + k
                reach = points.length[i] + near.scale[RATIO]
                for r in range(dim):
                    z = motion.b[0, r] + Z[k, r]
                    if filling == 0:
                        counts[level_of(abs(z), first * reach)] += 1
                    elif abs(z) <= skin * reach:
                        put_entry(near, put, i, r, z)
                        put += 1
        if filling == 0:
            for level in range(1, LEVELS):
                counts[level] += counts[level - 1]
            while top + 1 < LEVELS and counts[top + 1] * WIDER <= size * dim:
                top += 1
            needs = 0
            for level in range(top + 1):
                needs += counts[level]
            near.tally[NEEDS] = needs
            near.tally[TOP] = -1
            if needs > near.z.size:
                return False
            skin = wider(first, top)
    near.tally[TOP] = top
    near.place[top, 0] = 0
    end_list(motion, top, put, skin, near)
    return True
