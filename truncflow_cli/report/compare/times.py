"""The times at which two runs can be compared: those that both saved, else one interpolated at the other's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.numbers import count, short

#: Saved times that differ by less than this share of themselves are the same time.
SAME = 1e-9
#: Times are matched if both runs have at least this share of the saved times of the one that has fewer.
ENOUGH = 0.5


@dataclass(frozen=True)
class CommonTimes:
    """Times on which two runs are compared, from 0 to where the shorter one ends.

    Attributes:
        s: (M,) the times.
        rows: which saved times of the two runs these are, (M,) each; None where the second is interpolated.
        grids: the saved times of the two runs, (T,) each.
    """

    s: Array
    rows: tuple[IntArray, IntArray] | None
    grids: tuple[Array, Array]

    def how(self, first: str, second: str) -> str:
        """Say in words where the times come from, given what to call the two runs."""
        if self.interpolated:
            end = short(float(self.s[-1]))
            return f"at the saved times of {first}, {second} interpolated linearly, up to s = {end}"
        number = self.s.size
        both = number == self.grids[0].size == self.grids[1].size
        return f"at the {count(number, 'saved time')} " + ("of both" if both else "that both have")

    @property
    def interpolated(self) -> bool:
        """Whether the values of the second run lie between its saved times."""
        return self.rows is None

    def values(self, of: int, saved: Array) -> Array:
        """Return what run 0 or 1 has at these times, (M, ...), of its saved values (T, ...)."""
        if self.rows is not None:
            return saved[self.rows[of]]
        return interpolated(self.grids[of], saved, self.s)

    def error(self, saved: Array) -> float:
        """Return about how wrong the interpolated values of the second run are, 0 where nothing is interpolated.

        Linear interpolation over a step h is wrong by h²|f''|/8 at most; what it would give at a saved time
        from the two beside it is wrong by four times as much, and that is known. Half of it is returned: the
        curvature may be larger where nothing is known, before the second saved time.
        """
        if self.rows is not None or saved.shape[0] < 3:
            return 0.0
        s = self.grids[1]
        left = (s[2:] - s[1:-1]) / np.maximum(s[2:] - s[:-2], np.finfo(float).tiny)
        left = left.reshape(-1, *[1] * (saved.ndim - 1))
        wrong = saved[1:-1] - left * saved[:-2] - (1.0 - left) * saved[2:]
        return float(np.sqrt((wrong**2).reshape(wrong.shape[0], -1).sum(axis=1)).max()) / 2.0


def common_times(first: Array, second: Array) -> CommonTimes:
    """Return the times on which runs with saved times ``first`` (T,) and ``second`` (T',) are compared."""
    stop = min(first[-1], second[-1])
    a = np.flatnonzero(first <= stop * (1.0 + SAME))
    b = np.flatnonzero(second <= stop * (1.0 + SAME))
    nearest = b[_nearest(second[b], first[a])]
    equal = np.abs(second[nearest] - first[a]) <= SAME * first[a]
    rows = a[equal], nearest[equal]
    grids = (first, second)
    if rows[0].size >= ENOUGH * min(a.size, b.size):
        return CommonTimes(first[rows[0]], rows, grids)
    return CommonTimes(np.append(first[a][first[a] < stop], stop), None, grids)


def interpolated(grid: Array, saved: Array, s: Array) -> Array:
    """Return values (M, ...) at times s (M,), linear between saved values (T, ...) at ascending times (T,)."""
    if grid.size == 1:
        return np.repeat(saved, s.size, axis=0)
    left = np.clip(np.searchsorted(grid, s, "right") - 1, 0, grid.size - 2)
    step = grid[left + 1] - grid[left]
    share = np.divide(s - grid[left], step, out=np.zeros(s.shape), where=step > 0.0)
    share = np.clip(share, 0.0, 1.0).reshape(-1, *[1] * (saved.ndim - 1))
    return np.asarray((1.0 - share) * saved[left] + share * saved[left + 1])


def _nearest(sorted_values: Array, wanted: Array) -> IntArray:
    """Return the index of the value that is nearest to each wanted one."""
    right = np.clip(np.searchsorted(sorted_values, wanted), 1, max(1, sorted_values.size - 1))
    if sorted_values.size == 1:
        return np.zeros(wanted.shape, dtype=np.int64)
    closer_left = wanted - sorted_values[right - 1] <= sorted_values[right] - wanted
    return np.asarray(right - closer_left, dtype=np.int64)
