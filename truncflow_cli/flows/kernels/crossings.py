"""Which of the near coordinates leaves its side first, and when those that are only watched cross."""

from __future__ import annotations

from truncflow_cli.flows.kernels.jit import plain
from truncflow_cli.flows.kernels.nearby import NOISE, add_displacement, look_around
from truncflow_cli.flows.kernels.polynomial import first_exit
from truncflow_cli.flows.kernels.separated import PINNED, UNTRUNCATED, along
from truncflow_cli.flows.kernels.shapes import (
    HITS,
    HORIZON,
    LEVEL,
    REST_SHIFT,
    REST_TURN,
    SHIFT,
    STEP_SHIFT,
    STEP_TURN,
    TURN,
)


@plain
def coordinate_series(points, motion, i, r, sign, c):
    """Fill c (order+1,) with ``sign`` times the series of z_{i,r} = R_r x_i + b_r."""
    for n in range(c.size):
        c[n] = sign * (motion.b[n, r] + along(motion.R[n, r], points.x[i]))


@plain
def noise_of(points, motion, i, r):
    """Return the rounding error of z_{i,r}."""
    return NOISE * (points.length[i] + abs(motion.b[0, r]))


@plain
def rest_of(points, near, i, r):
    """Return a bound of what the orders from the second on can do to z_{i,r} over the step."""
    return near.bound[REST_TURN, r] * points.length[i] + near.bound[REST_SHIFT, r]


@plain
def gather_hits(points, motion, near):
    """List the entries of the chosen list that the step can bring to zero, with value and velocity."""
    found = 0
    level = near.tally[LEVEL]
    for entry in range(near.place[level, 0], near.place[level, 1]):
        i = near.pool[entry, 0]
        r = near.pool[entry, 1]
        reach = (
            near.bound[TURN, r] * points.length[i] + near.bound[SHIFT, r] + 4 * noise_of(points, motion, i, r)
        )
        if abs(near.z[entry]) > reach:
            continue
        x = points.x[i]
        z0 = motion.b[0, r] + along(motion.R[0, r], x)
        # The list tells where z was; from where it is, fewer can reach zero.
        reach = (
            near.bound[STEP_TURN, r] * points.length[i]
            + near.bound[STEP_SHIFT, r]
            + 4 * noise_of(points, motion, i, r)
        )
        if abs(z0) > reach:
            continue
        near.hit[found] = entry
        near.line[found, 0] = z0
        near.line[found, 1] = motion.b[1, r] + along(motion.R[1, r], x)
        found += 1
    near.tally[HITS] = found


@plain
def lowest(z0, z1, rest, t):
    """Return a lower bound on [0, t] of a coordinate with value z0 and velocity z1; ``rest`` bounds the rest at t.

    The rest grows at least like t², so that z1 t − rest is least at one of the ends.
    """
    return z0 + min(0.0, z1 * t - rest)


@plain
def first_crossing(points, motion, h, soon, near, counters):
    """Return (t, hit) of the first own coordinate to leave its side on [0, h]; (h, -1) if none does.

    If one is likely to be found on [0, soon], fewer have to be looked at. ``counters`` (2,) counts the coordinates
    looked at and the crossings located. The hit is -2 where the near lists need more room.
    """
    t, which = h, -1
    near.tally[HITS] = 0
    for stage in range(2):
        if (stage == 0 and soon >= h) or which >= 0:
            continue
        end = soon if stage == 0 else h
        if not look_around(points, motion, end, stage == 0, near):
            return 0.0, -2
        t, which = first_within(points, motion, end, near, counters)
    return t, which


@plain
def first_within(points, motion, h, near, counters):
    """Return (t, hit) of the first own coordinate to leave its side on [0, h]; (h, -1) if none does."""
    own = points.weight.size
    add_displacement(motion, near)
    gather_hits(points, motion, near)
    counters[0] += near.tally[HITS]
    # The one that seems to be first makes the stretch short on which the others have to be looked at.
    lead = -1
    soonest = h
    for k in range(near.tally[HITS]):
        i = near.pool[near.hit[k], 0]
        r = near.pool[near.hit[k], 1]
        if i < own and points.pattern[i, r] != PINNED:
            toward = -near.line[k, 1] if points.pattern[i, r] == UNTRUNCATED else near.line[k, 1]
            distance = abs(near.line[k, 0])
            if toward > 0.0 and distance < soonest * toward:
                soonest = distance / toward
                lead = k
    best = h
    which = -1
    c = motion.line[0, : motion.order[0] + 1]
    for turn in range(-1, near.tally[HITS]):
        k = lead if turn < 0 else turn
        if k < 0 or (turn >= 0 and turn == lead):
            continue
        i = near.pool[near.hit[k], 0]
        r = near.pool[near.hit[k], 1]
        if i >= own or points.pattern[i, r] == PINNED:
            continue
        sign = 1.0 if points.pattern[i, r] == UNTRUNCATED else -1.0
        noise = noise_of(points, motion, i, r)
        z0 = sign * near.line[k, 0]
        part = best / h if h > 0.0 else 1.0
        if (
            lowest(z0, sign * near.line[k, 1], rest_of(points, near, i, r) * part * part, best)
            >= min(0.0, z0) - noise
        ):
            continue
        coordinate_series(points, motion, i, r, sign, c)
        t = first_exit(c, best, noise)
        if t >= 0.0 and (t < best or which < 0):
            counters[1] += 1
            best = t
            which = k
    return best, which


@plain
def foreign_crossings(points, motion, t_end, near, times, entries):
    """Record all crossings on [0, t_end] of the foreign coordinates among the hits, in order of time.

    They do not act on the field. Returns how many there are; with arrays too short to hold them only the count is
    right. The pattern is not changed; a coordinate may cross several times.
    """
    found = 0
    own = points.weight.size
    order = motion.order[0]
    c = motion.line[0, : order + 1]
    moved = motion.line[1, : order + 1]
    for k in range(near.tally[HITS]):
        i = near.pool[near.hit[k], 0]
        r = near.pool[near.hit[k], 1]
        if i < own:
            continue
        sign = 1.0 if points.pattern[i, r] == UNTRUNCATED else -1.0
        noise = noise_of(points, motion, i, r)
        z0 = sign * near.line[k, 0]
        part = t_end / near.scale[HORIZON] if near.scale[HORIZON] > 0.0 else 1.0
        if (
            lowest(z0, sign * near.line[k, 1], rest_of(points, near, i, r) * part * part, t_end)
            >= min(0.0, z0) - noise
        ):
            continue
        coordinate_series(points, motion, i, r, 1.0, c)
        start = 0.0
        while True:
            shift_series(c, start, sign, moved)
            t = first_exit(moved, t_end - start, noise)
            if t < 0.0:
                break
            start += t
            insert_in_order(times, entries, found, start, near.hit[k])
            found += 1
            sign = -sign
            if start >= t_end:
                break
    return found


@plain
def shift_series(c, start, sign, moved):
    """Fill ``moved`` with ``sign`` times the series c about ``start`` (repeated Horner division)."""
    order = c.size - 1
    for n in range(order + 1):
        moved[n] = sign * c[n]
    if start > 0.0:
        for low in range(order):
            for n in range(order - 1, low - 1, -1):
                moved[n] += start * moved[n + 1]


@plain
def insert_in_order(times, entries, found, t, entry):
    """Put (t, entry) behind the ``found`` earlier ones that are not later, as far as there is room."""
    place = min(found, times.size)
    while place > 0 and times[place - 1] > t:
        if place < times.size:
            times[place] = times[place - 1]
            entries[place] = entries[place - 1]
        place -= 1
    if place < times.size:
        times[place] = t
        entries[place] = entry
