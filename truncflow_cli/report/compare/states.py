"""How far apart two runs are along the way: loss, biases, rotations, output weight.

They are compared at the times that both saved, else the second is interpolated at the saved times of the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from truncflow_cli.flows.registry import BETA, TRUNCATED_FRACTION, flow_named
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.numbers import count, short
from truncflow_cli.report.summary import saved
from truncflow_cli.run_data import Run

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


@dataclass(frozen=True)
class Difference:
    """The distance of one quantity between two runs.

    Attributes:
        name: the quantity, as |Δβ| of a layer.
        layer: index of the layer, -1 where it does not apply.
        values: (M,) the distance (Euclidean, Frobenius; for the loss second minus first) at the common times.
        size: norm of the quantity in the first run, at the last common time.
        error: about how much of it the interpolation may have made.
    """

    name: str
    layer: int
    values: Array
    size: float
    error: float

    @property
    def last(self) -> float:
        """The distance at the last common time."""
        return float(self.values[-1])

    @property
    def largest(self) -> float:
        """The largest distance, a positive number."""
        return float(np.abs(self.values).max())

    @property
    def where(self) -> int:
        """Index of the common time at which it is largest."""
        return int(np.abs(self.values).argmax())


def differences(runs: tuple[Run, Run], times: CommonTimes) -> list[Difference]:
    """Return the distance of the losses and of every part of the state that both runs have."""
    first, second = runs
    losses = times.values(0, first.loss), times.values(1, second.loss)
    found = [
        Difference("loss", -1, losses[1] - losses[0], abs(float(losses[0][-1])), times.error(second.loss))
    ]
    for name, layer, here, there in _parts(first, second):
        at = times.values(0, here), times.values(1, there)
        distance = np.sqrt(((at[1] - at[0]) ** 2).reshape(times.s.size, -1).sum(axis=1))
        size = float(np.linalg.norm(at[0][-1]))
        found.append(Difference(name, layer, distance, size, times.error(there)))
    return found


def _parts(first: Run, second: Run) -> Iterator[tuple[str, int, Array, Array]]:
    """Yield name, layer and the saved values (T, ...) of both runs, for each part of the state they share."""
    theirs = {array.name for array in flow_named(second.flow).arrays}
    for array in flow_named(first.flow).arrays:
        if array.name not in theirs or array is TRUNCATED_FRACTION:
            continue
        here, there = saved(first, array.name), saved(second, array.name)
        layered = array.axes[1:2] == ("layer",)
        if here is None or there is None or here.shape[1 + layered :] != there.shape[1 + layered :]:
            continue
        name = "|Δβ|" if array is BETA else f"‖Δ{array.name}‖"
        if not layered:
            yield name, -1, here, there
            continue
        for layer in range(min(here.shape[1], there.shape[1])):
            yield f"{name}, layer {layer}", layer, here[:, layer], there[:, layer]
