"""Small pictures of curves, in characters: on one scale and one axis, alone or several over one another."""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array
from truncflow_cli.report.numbers import short

BLOCKS = "▁▂▃▄▅▆▇█"

#: A curve is drawn on a logarithmic scale if a twentieth of it lies below its largest value by this factor.
LOGARITHMIC = 300.0
#: Nothing below this share of the largest value is drawn on a logarithmic scale.
FLOOR = 1e-32
#: The axis is logarithmic if half of the saved times lie in this first share of the run.
CROWDED = 0.05
#: Dots of a braille character: bit by (row, column).
BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
#: Where two curves share a character.
SHARED = "="
#: Columns of a chart's labels.
LABEL = 9


@dataclass(frozen=True)
class Scale:
    """How values become heights.

    Attributes:
        low: what is drawn at the bottom.
        high: what is drawn at the top.
        logarithmic: whether heights follow the logarithm.
    """

    low: float
    high: float
    logarithmic: bool

    def heights(self, values: Array) -> Array:
        """Return heights in [0, 1] of values (n,)."""
        if self.high <= self.low:
            return np.zeros(values.shape)
        if not self.logarithmic:
            share = (values - self.low) / (self.high - self.low)
        else:
            share = np.log(np.maximum(values, self.low) / self.low) / math.log(self.high / self.low)
        return np.clip(share, 0.0, 1.0)


def scale_of(values: Array) -> Scale:
    """Return a scale that suits values (n,), not all NaN: from 0 up, or logarithmic if they span much."""
    high = float(np.nanmax(values))
    low = float(np.nanmin(values))
    positive = values[values > FLOOR * high] if high > 0.0 else values[:0]
    usual = float(np.nanquantile(values, 0.05))
    if low >= 0.0 and positive.size and high > LOGARITHMIC * usual:
        return Scale(float(positive.min()), high, logarithmic=True)
    return Scale(min(low, 0.0), high, logarithmic=False)


def logarithmic_axis(s: Array) -> bool:
    """Whether saved times (T,) crowd at the start so much that their logarithm is the better axis."""
    return bool(s.size > 4 and s[0] >= 0.0 and s[1] > 0.0 and s[s.size // 2] < CROWDED * s[-1])


def positions(times: Array, s: Array) -> Array:
    """Return where times (n,) lie between the first and the last of the saved times s (T,), from 0 to 1."""
    if logarithmic_axis(s):
        share = np.log(np.maximum(times, s[1]) / s[1]) / math.log(s[-1] / s[1])
    else:
        share = (times - s[0]) / (s[-1] - s[0])
    return np.asarray(np.clip(share, 0.0, 1.0))


def longest(times: Sequence[Array]) -> Array:
    """Return the saved times (T,) of the run that goes furthest: they make the axis of several."""
    return max(times, key=lambda s: (float(s[-1]), s.size))


def sampled(s: Array, values: Array, axis: Array, columns: int) -> Array:
    """Return a curve, values (T,) at times s (T,), at evenly spaced places of an axis, linear in between.

    What is not finite is left out; beyond the end of the curve is NaN. ``axis``: the saved times that make it.
    """
    seen = np.isfinite(values)
    if not seen.any():
        return np.full(columns, np.nan)
    places = np.linspace(0.0, 1.0, columns)
    end = positions(s[-1:], axis)[0] + 0.5 / columns
    return np.where(places <= end, np.interp(places, positions(s[seen], axis), values[seen]), np.nan)


def line(s: Array, values: Array, axis: Array, scale: Scale, width: int) -> str:
    """Return a curve as ``width`` characters on a scale and an axis that it may share, "log" behind it if it is."""
    heights = scale.heights(sampled(s, values, axis, width))
    drawn = (" " if np.isnan(h) else BLOCKS[min(int(h * len(BLOCKS)), len(BLOCKS) - 1)] for h in heights)
    return "".join(drawn) + (" log" if scale.logarithmic else "")


def sparkline(s: Array, values: Array, width: int) -> str:
    """Return a curve, values (T,) at times s (T,), as ``width`` characters on its own scale."""
    if values.size < 2 or s[-1] <= s[0] or not np.isfinite(values).any():
        return ""
    return line(s, values, s, scale_of(values), width)


def chart(s: Array, values: Array, width: int, height: int) -> list[str]:
    """Return a curve, values (T,) at times s (T,), as ``height`` rows of ``width`` braille characters, top first."""
    dots = np.zeros((4 * height, 2 * width), dtype=np.int64)
    for column, row in _strokes(scale_of(values).heights(sampled(s, values, s, 2 * width)), 4 * height):
        dots[row, column] = 1
    codes = np.einsum("ridj,ij->rd", dots.reshape(height, 4, width, 2), BRAILLE)
    return ["".join(chr(0x2800 + code) if code else " " for code in row) for row in codes.tolist()]


def overlay(curves: Sequence[tuple[Array, Array]], width: int, height: int) -> list[str]:
    """Return curves, times and values (T,) each, as rows of characters: A, B, ... and = where they meet."""
    scale = scale_of(np.concatenate([values for _, values in curves]))
    axis = longest([s for s, _ in curves])
    rows = [[" "] * width for _ in range(height)]
    for index, (s, values) in enumerate(curves):
        for column, row in _strokes(scale.heights(sampled(s, values, axis, width)), height):
            rows[row][column] = letter(index)[0] if rows[row][column] == " " else SHARED
    return ["".join(row) for row in rows]


def _strokes(heights: Array, rows: int) -> Iterator[tuple[int, int]]:
    """Yield column and row, top first, of every dot of a curve; steep parts are drawn without gaps."""
    seen = np.flatnonzero(np.isfinite(heights))
    levels = np.clip(((1.0 - heights[seen]) * (rows - 1)).round().astype(int), 0, rows - 1).tolist()
    previous = levels[0] if levels else 0
    for column, row in zip(seen.tolist(), levels, strict=True):
        for each in {
            row,
            *range(min(previous, row) + (previous < row), max(previous, row) + (previous <= row)),
        }:
            yield column, each
        previous = row


def letter(index: int) -> str:
    """Return what a run is called in a comparison: A, B, ..., Z, A1, B1, ..."""
    turn, place = divmod(index, len(string.ascii_uppercase))
    return string.ascii_uppercase[place] + (str(turn) if turn else "")


def event_ticks(times: Array, s: Array, width: int) -> str:
    """Return a row of marks where events (E,) are on the axis of saved times (T,), denser where there are more."""
    if s[-1] <= 0.0 or not times.size:
        return ""
    at = np.minimum((positions(times, s) * width).astype(int), width - 1)
    counts = np.bincount(at, minlength=width)
    levels = (1, max(3, int(counts.max()) // 3))
    return "".join(" " if n == 0 else "·∶█"[sum(n > level for level in levels)] for n in counts.tolist())


def framed(
    rows: Sequence[str], scale: Scale, axis: Array, events: Sequence[tuple[str, Array]], remark: str = ""
) -> Iterator[str]:
    """Yield the lines of a chart: its rows with the ends of its scale, rows of event marks, and its axis.

    Args:
        rows: the curves.
        scale, axis: what they are drawn on.
        events: rows of marks: their label, and the times (E,) of the events.
        remark: what there is to say below, besides the kinds of scale and axis.
    """
    width = len(rows[0])
    ends = {0: short(scale.high), len(rows) - 1: short(scale.low)}
    yield from (f"{ends.get(index, ''):>{LABEL}}│{row}" for index, row in enumerate(rows))
    for label, times in events:
        ticks = event_ticks(times, axis, width)
        if ticks.strip():
            yield f"{label:>{LABEL}}│{ticks}"
    crowded = logarithmic_axis(axis)
    start, end = f"s = {short(float(axis[1]))}" if crowded else "0", f"s = {short(float(axis[-1]))}"
    kinds = {(0, 0): "", (1, 0): "logarithmic", (0, 1): "log s", (1, 1): "log-log"}
    said = ", ".join(filter(None, (kinds[scale.logarithmic, crowded], remark)))
    yield f"{'':>{LABEL}} {start}{said:^{max(0, width - len(start) - len(end))}}{end}"
