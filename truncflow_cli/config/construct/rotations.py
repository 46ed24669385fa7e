"""Rotations with a wanted row or axis."""

from __future__ import annotations

import numpy as np

from truncflow_cli.problem import Array


def turning(start: Array, end: Array) -> Array:
    """Return the smallest rotation (Q, Q) that takes the unit vector ``start`` to the unit vector ``end``.

    The two must not be opposite.
    """
    plane = np.outer(end, start) - np.outer(start, end)
    return polished(np.eye(len(start)) + plane + plane @ plane / (1.0 + start @ end))


def with_row(normal: Array) -> tuple[Array, int]:
    """Return a rotation near the identity that has ``normal`` as a row, and the index of that row."""
    row = int(normal.argmax())
    unit = np.zeros_like(normal)
    unit[row] = 1.0
    if len(normal) == 1:
        return np.sign(normal)[:, None], 0
    return turning(unit, normal).T.copy(), row


def with_axis(axis: Array) -> Array:
    """Return a rotation R for which ``axis`` is the axis (1, …, 1)/√Q of the orthant {x : Rx > 0}."""
    dim = len(axis)
    if dim == 1:
        return np.sign(axis)[:, None]
    diagonal = np.full(dim, dim**-0.5)
    if axis @ diagonal > -0.5:
        return turning(axis, diagonal)
    # Nearly opposite: turn by way of a direction that is at a right angle to the diagonal.
    between = -diagonal[0] * diagonal
    between[0] += 1.0
    between /= np.linalg.norm(between)
    return turning(between, diagonal) @ turning(axis, between)


def polished(matrix: Array) -> Array:
    """Return the orthogonal matrix nearest to ``matrix`` (its polar factor)."""
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right)
