"""The gap between two convex hulls: hard-margin separation as a least-norm problem, solved exactly.

The shortest vector from the hull of P to the hull of O is the least-norm point of the hull of all differences
o − p. Wolfe's algorithm (Math. Programming 11, 1976) finds it in finitely many steps; all it asks of the
differences is the one that goes least far in a given direction, and that takes one pass over P and O, not
over their pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array, BoolArray

#: Relative to the size of the data: a shorter vector than this is zero to rounding, the hulls meet.
TOUCHING = 1e-12
_MAX_STEPS = 2000


@dataclass(frozen=True)
class Gap:
    """The shortest way from one hull to another.

    Attributes:
        vector: (Q,) from the hull of P to the hull of O; exactly 0 where they meet.
        others: (k, Q) points of O whose hull holds its end.
    """

    vector: Array
    others: Array

    @property
    def length(self) -> float:
        """The distance, 0 where the hulls meet."""
        return float(np.linalg.norm(self.vector))


def gap(own: Array, others: Array) -> Gap:
    """Return the shortest vector from the hull of ``own`` (n, Q) to the hull of ``others`` (m, Q)."""
    center = others.mean(axis=0)
    size = float(max(np.abs(own - center).max(), np.abs(others - center).max())) or 1.0
    p, o = (own - center) / size, (others - center) / size
    vector, used = _least_norm(p, o)
    if np.linalg.norm(vector) <= TOUCHING:
        vector = np.zeros_like(vector)
    return Gap(vector * size, others[sorted(used)])


def _least_norm(p: Array, o: Array) -> tuple[Array, set[int]]:
    """Return the least-norm point of the hull of all o − p, and the indices of the o that it is made of."""
    pairs = [_least_far(p, o, o.mean(axis=0) - p.mean(axis=0))]
    corners = (o[pairs[0][0]] - p[pairs[0][1]])[None]
    weights = np.ones(1)
    x = corners[0]
    for _ in range(_MAX_STEPS):
        pair = _least_far(p, o, x)
        corner = o[pair[0]] - p[pair[1]]
        rounding = 1e-15 * max(1.0, float(np.abs(corner).max())) * np.linalg.norm(x)
        if pair in pairs or x @ x - x @ corner <= rounding:
            break
        pairs.append(pair)
        corners = np.vstack([corners, corner])
        weights = np.append(weights, 0.0)
        weights, keep = _to_affine_minimum(corners, weights)
        if not keep[-1]:  # only rounding can refuse a corner that goes less far
            break
        corners, weights = corners[keep], weights[keep]
        pairs = [pair for pair, kept in zip(pairs, keep, strict=True) if kept]
        x = weights @ corners
        if np.linalg.norm(x) <= TOUCHING:
            break
    return x, {pair[0] for pair in pairs}


def _least_far(p: Array, o: Array, direction: Array) -> tuple[int, int]:
    """Return the pair whose difference goes least far in ``direction``."""
    return int((o @ direction).argmin()), int((p @ direction).argmax())


def _to_affine_minimum(corners: Array, weights: Array) -> tuple[Array, BoolArray]:
    """Move to the least-norm point of the corners' affine hull, dropping corners whose weight reaches 0."""
    keep = np.ones(len(corners), dtype=bool)
    weights = weights.copy()
    while True:
        index = np.flatnonzero(keep)
        base, rest = corners[index[0]], corners[index[1:]]
        shares = np.linalg.lstsq((rest - base).T, -base, rcond=None)[0]
        target = np.concatenate([[1.0 - shares.sum()], shares])
        if (target > 0).all():
            weights[index] = target
            return weights, keep
        now = weights[index]
        shrinking = target <= 0
        falls = now[shrinking] - target[shrinking]
        step = float((now[shrinking] / np.where(falls > 0, falls, 1.0)).min())
        moved = np.maximum(now + step * (target - now), 0.0)
        gone = shrinking & (moved <= 1e-15)
        gone[np.flatnonzero(shrinking)[moved[shrinking].argmin()]] = True
        moved[gone] = 0.0
        weights[index] = moved / moved.sum()
        keep[index[gone]] = False
