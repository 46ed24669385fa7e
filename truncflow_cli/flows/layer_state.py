"""What a layer of the `separated` flow goes on from: its parts as arrays, and back, bit for bit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from truncflow_cli.flows.layer_data import LayerData
from truncflow_cli.flows.layer_series import LayerSeries
from truncflow_cli.kernels import layer as compiled
from truncflow_cli.kernels.layer import Moments, Near, Points
from truncflow_cli.patterns import PINNED, TRUNCATED, UNTRUNCATED
from truncflow_cli.problem import Array, IntArray, Pattern
from truncflow_cli.saved_state import Saved, State, integer, number, under

#: Entries that near lists have room for in any case, generously.
MOST_SPARE = 1 << 16
#: Coordinates that are packed together: whole bytes.
PACKED = 1 << 16


class Pinned(NamedTuple):
    """The pinned surfaces of a layer: row of the points, coordinate and weight of each (k,)."""

    point: IntArray
    row: IntArray
    weight: Array


def state(at: compiled.State, energy: float, pattern: Pattern, moments: Moments, pins: Pinned) -> State:
    """Return all that the layer's future depends on; the moments as they have been summed up, in their order."""
    return {
        "R": at.R,
        "b": at.b,
        "energy": number(energy),
        **pattern_state(pattern),
        **under("moments", {"m": moments.m, "M": moments.M, "updates": moments.updates}),
        **under("pins", pins._asdict()),
    }


def restore(saved: Saved, at: compiled.State, points: Points, moments: Moments) -> tuple[float, Pinned]:
    """Fill the arrays with what ``state`` has given, and return the energy and the pins.

    Raises:
        UserError: it does not fit.
    """
    at.R[:], at.b[:] = saved.array("R", "f8", at.R.shape), saved.array("b", "f8", at.b.shape)
    for name, array in (("m", moments.m), ("M", moments.M), ("updates", moments.updates)):
        array[:] = saved.part("moments").array(name, str(array.dtype), array.shape)
    restore_pattern(points.pattern, saved)
    pins = saved.part("pins")
    point = pins.array("point", "i8", (None,), (0, points.weight.size))
    row = pins.array("row", "i8", point.shape, (0, at.b.size))
    points.pattern[point, row] = PINNED
    return saved.number("energy"), Pinned(point, row, pins.array("weight", "f8", point.shape))


def pattern_state(pattern: Pattern) -> State:
    """Return which coordinates are untruncated, eight in a byte; those that are pinned are known otherwise."""
    flat = pattern.reshape(-1)
    parts = [np.packbits(flat[k : k + PACKED] == UNTRUNCATED) for k in range(0, max(flat.size, 1), PACKED)]
    return {"untruncated": np.concatenate(parts)}


def restore_pattern(pattern: Pattern, saved: Saved) -> None:
    """Fill ``pattern`` with what ``pattern_state`` has given, pinned coordinates as truncated ones.

    Raises:
        UserError: it does not fit.
    """
    packed = saved.array("untruncated", "u1", (-(-pattern.size // 8),))
    bits = np.unpackbits(packed, count=pattern.size).reshape(pattern.shape)
    pattern[:] = np.where(bits == 1, UNTRUNCATED, TRUNCATED)


def near_state(near: Near) -> State:
    """Return the near lists; which coordinates are looked at first, and so which of several at once, is up to them."""
    used = int(near.place[0, 1]) if near.tally[compiled.TOP] >= 0 else 0
    return {
        "state": near.state,
        "skin": near.skin,
        "place": near.place,
        "tally": near.tally,
        "scale": near.scale,
        "bound": near.bound,
        "point": near.pool[:used, 0].view("i4"),
        "row": near.pool[:used, 1].view("i4"),
        "z": near.z[:used],
        "room": integer(near.z.size),
    }


def restored_near(data: LayerData, saved: Saved) -> Near:
    """Return the near lists that ``near_state`` has given.

    Raises:
        UserError: they do not fit.
    """
    size, dim = data.x.shape
    most = 2 * (compiled.LEVELS * size * dim + MOST_SPARE)
    near = compiled.near_lists(dim, compiled.LEVELS, saved.integer("room", (1, most)))
    for name in ("state", "skin", "scale", "bound", "tally", "place"):
        array = getattr(near, name)
        array[:] = saved.array(name, str(array.dtype), array.shape)
    made = int(near.tally[compiled.TOP]) >= 0
    used = int(near.place[0, 1]) if made else 0
    levels = (-1 <= near.tally[compiled.TOP] < compiled.LEVELS) and (
        0 <= near.tally[compiled.LEVEL] < compiled.LEVELS
    )
    places = near.place[: near.tally[compiled.TOP] + 1]
    ordered = (places[:, 0] >= 0) & (places[:, 0] <= places[:, 1]) & (places[:, 1] <= used)
    if not (levels and ordered.all() and used <= near.z.size):
        raise saved.misfit("place")
    near.tally[compiled.HITS] = 0  # those of the step before; the next one has its own
    near.pool[:used, 0] = saved.array("point", "i4", (used,), (0, size))
    near.pool[:used, 1] = saved.array("row", "i4", (used,), (0, dim))
    near.z[:used] = saved.array("z", "f8", (used,))
    return near


def restored_output(data: LayerData, saved: Saved) -> LayerSeries:
    """Return the dense output that ``LayerSeries.state`` has given.

    Raises:
        UserError: it does not fit.
    """
    dim = data.dim
    energy = saved.array("energy", "f8", (None,))
    n = energy.size
    R, b = saved.array("R", "f8", (n, dim, dim)), saved.array("b", "f8", (n, dim))
    return LayerSeries(data, R, b, energy, saved.array("truncated_fraction", "f8", (dim,)))
