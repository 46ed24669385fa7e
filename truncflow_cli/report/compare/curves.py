"""Several curves over one another, in characters."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np

from truncflow_cli.problem import Array
from truncflow_cli.report.sparkline import ASCII_BLOCKS, BLOCKS, Scale, positions, scale_of

#: Where two curves share a character.
SHARED = "="


def letter(index: int) -> str:
    """Return what a run is called in a comparison: A, B, ..., Z, A1, B1, ..."""
    turn, place = divmod(index, len(string.ascii_uppercase))
    return string.ascii_uppercase[place] + (str(turn) if turn else "")


def common_scale(curves: Sequence[Array]) -> Scale:
    """Return one scale that suits several curves, (T,) each."""
    return scale_of(np.concatenate(list(curves)))


def longest(times: Sequence[Array]) -> Array:
    """Return the saved times (T,) of the run that goes furthest: they make the axis."""
    return max(times, key=lambda s: (float(s[-1]), s.size))


def sampled(s: Array, values: Array, axis: Array, columns: int) -> Array:
    """Return a curve at evenly spaced places of the axis of saved times ``axis``, NaN beyond its end."""
    places = np.linspace(0.0, 1.0, columns)
    at = positions(s, axis)
    return np.where(places <= at[-1] + 0.5 / columns, np.interp(places, at, values), np.nan)


def overlay(curves: Sequence[tuple[Array, Array]], width: int, height: int) -> list[str]:
    """Return curves, times and values (T,) each, as rows of characters: A, B, ... and = where they meet."""
    scale = common_scale([values for _, values in curves])
    axis = longest([s for s, _ in curves])
    rows = [[" "] * width for _ in range(height)]
    for index, (s, values) in enumerate(curves):
        heights = scale.heights(sampled(s, values, axis, width))
        seen = np.flatnonzero(np.isfinite(heights))
        level = np.round((1.0 - heights[seen]) * (height - 1)).astype(int)
        previous = level[0] if level.size else 0
        for column, row in zip(seen.tolist(), level.tolist(), strict=True):
            steep = range(min(previous, row) + (previous < row), max(previous, row) + (previous <= row))
            for each in {*steep, row}:
                rows[each][column] = letter(index)[0] if rows[each][column] == " " else SHARED
            previous = row
    return ["".join(row) for row in rows]


def line(s: Array, values: Array, axis: Array, scale: Scale, width: int, *, ascii_only: bool) -> str:
    """Return a curve as ``width`` characters on a scale and an axis that it shares with others."""
    blocks = ASCII_BLOCKS if ascii_only else BLOCKS
    heights = scale.heights(sampled(s, values, axis, width))
    return "".join(
        " " if np.isnan(h) else blocks[min(int(h * len(blocks)), len(blocks) - 1)] for h in heights
    )
