"""Which side of which face every point lies on: the hypotheses, checked from their definitions (Def. 2.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.problem import Array

#: Points that are looked at together.
_BLOCK = 65_536


def frame(R: Array, beta: Array, x: Array) -> Array:
    """Return z = R (x + β) of one layer, (N, Q): signed distances of the points from the layer's faces."""
    return np.asarray((x + beta) @ R.T)


def truncated(R: Array, beta: Array, x: Array) -> Array:
    """Return τ(x) = Rᵀσ(z) − β of one layer, (N, Q)  (1.8)."""
    return np.asarray(np.maximum(frame(R, beta, x), 0.0) @ R - beta)


def least_clearance(R: Array, beta: Array, x: Array) -> float:
    """Return the least signed distance of the points from the faces; positive: all lie in S⁺."""
    return float(frame(R, beta, x).min()) if len(x) else np.inf


def outside(R: Array, beta: Array, x: Array) -> NDArray[np.bool_]:
    """Say which of the points are not in S⁺, (N,)."""
    return np.asarray((frame(R, beta, x) <= 0).any(axis=1))


def foreign_points(R: Array, beta: Array, points: Sequence[Array]) -> dict[tuple[int, int], int]:
    """Return, for each (cluster k, layer ℓ ≠ k) that violates (3.3), how many points of k are not in S_ℓ⁺."""
    found: dict[tuple[int, int], int] = {}
    for layer in range(len(R)):
        for k, cluster in enumerate(points):
            if k != layer and (count := _count_outside(R[layer], beta[layer], cluster)):
                found[k, layer] = count
    return found


def _count_outside(R: Array, beta: Array, x: Array) -> int:
    """Return how many of the points are not in S⁺, looking at some at a time: there may be very many."""
    blocks = (x[first : first + _BLOCK] for first in range(0, len(x), _BLOCK))
    return sum(int(np.count_nonzero(outside(R, beta, block))) for block in blocks)


def composed(R: Array, beta: Array, x: Array) -> Array:
    """Return τ^(L)∘…∘τ^(1)(x), (N, Q)."""
    for rotation, bias in zip(R, beta, strict=True):
        x = truncated(rotation, bias, x)
    return x
