"""Small pictures of a curve, in characters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-=+*#@"

#: A curve is drawn on a logarithmic scale if a twentieth of it lies below its largest value by this factor.
LOGARITHMIC = 300.0
#: Nothing below this share of the largest value is drawn on a logarithmic scale.
FLOOR = 1e-32
#: The axis is logarithmic if half of the saved times lie in this first share of the run.
CROWDED = 0.05
#: Dots of a braille character: bit by (row, column).
BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


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


def sampled(s: Array, values: Array, count: int) -> Array:
    """Return values (T,) at times s (T,) at ``count`` evenly spaced places of the axis, linear in between."""
    seen = np.isfinite(values)
    if not seen.any():
        return np.full(count, np.nan)
    return np.interp(np.linspace(0.0, 1.0, count), positions(s[seen], s), values[seen])


def sparkline(s: Array, values: Array, width: int, *, ascii_only: bool) -> str:
    """Return a curve, values (T,) at times s (T,), as ``width`` characters."""
    if values.size < 2 or s[-1] <= s[0] or not np.isfinite(values).any():
        return ""
    blocks = ASCII_BLOCKS if ascii_only else BLOCKS
    heights = scale_of(values).heights(sampled(s, values, width))
    return "".join(blocks[min(int(h * len(blocks)), len(blocks) - 1)] for h in heights)


def chart(s: Array, values: Array, width: int, height: int, *, ascii_only: bool) -> list[str]:
    """Return a curve, values (T,) at times s (T,), as ``height`` rows of ``width`` characters, top first."""
    columns, rows = (width, height) if ascii_only else (2 * width, 4 * height)
    heights = scale_of(values).heights(sampled(s, values, columns))
    level = np.clip(((1.0 - heights) * (rows - 1)).round().astype(int), 0, rows - 1)
    dots = np.zeros((rows, columns), dtype=bool)
    previous = level[0]
    for column, row in enumerate(level):
        # Steep parts are drawn without gaps.
        dots[min(previous, row) + (previous < row) : max(previous, row) + (previous <= row), column] = True
        dots[row, column] = True
        previous = row
    if ascii_only:
        return ["".join("*" if dot else " " for dot in line) for line in dots]
    return [_braille(dots[4 * r : 4 * r + 4]) for r in range(height)]


def _braille(dots: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> str:
    """Return four rows of dots (4, 2n) as n braille characters."""
    characters = []
    for c in range(0, dots.shape[1], 2):
        code = sum(BRAILLE[r][k] for r in range(4) for k in (0, 1) if dots[r, c + k])
        characters.append(chr(0x2800 + code) if code else " ")
    return "".join(characters)
