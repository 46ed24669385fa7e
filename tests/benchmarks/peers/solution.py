"""What every peer returns, and how far apart two of them are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """Where a solver has got to.

    Attributes:
        s: flow time reached.
        beta: (L, Q) cumulative biases there.
        R: (L, Q, Q) cumulative rotations there.
        steps: steps taken, rejected ones included.
        evaluations: evaluations of the field.
        finished: whether it reached the end within its time.
    """

    s: float
    beta: Array
    R: Array
    steps: int
    evaluations: int
    finished: bool


def distance(beta: Array, R: Array, other_beta: Array, other_R: Array) -> float:
    """Return the greatest difference of any component of the two states."""
    return float(max(np.abs(beta - other_beta).max(), np.abs(R - other_R).max()))
