"""How far apart two runs are along the way: loss, biases, rotations, output weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array
from truncflow_cli.report.compare.times import CommonTimes
from truncflow_cli.run_data import RunLike


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


def differences(runs: tuple[RunLike, RunLike], times: CommonTimes) -> list[Difference]:
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


def _parts(first: RunLike, second: RunLike) -> Iterator[tuple[str, int, Array, Array]]:
    """Yield name, layer and the saved values (T, ...) of both runs, for each part of the state they share."""
    for name, here, there in (("|Δβ|", first.beta, second.beta), ("‖ΔR‖", first.R, second.R)):
        if here is not None and there is not None and here.shape[2:] == there.shape[2:]:
            for layer in range(min(here.shape[1], there.shape[1])):
                yield f"{name}, layer {layer}", layer, here[:, layer], there[:, layer]
    for name, here, there in (("‖ΔB‖", first.B, second.B), ("‖ΔW‖", first.W, second.W)):
        if here is not None and there is not None and here.shape[1:] == there.shape[1:]:
            yield name, -1, here, there
