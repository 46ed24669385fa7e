"""Surfaces of the `general` flow that are one and the same, because their points coincide there."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from truncflow_cli.kernels.interface import Group, Key
from truncflow_cli.patterns import PINNED, TRUNCATED
from truncflow_cli.problem import Pattern


def grouped(keys: Iterable[Key], pattern: Pattern) -> list[Group]:
    """Put surfaces together that are one and the same: those of points which an earlier layer has made coincide.

    Points that are truncated in all coordinates of a layer leave it at −β^(ℓ), and share all later surfaces.
    """
    order = sorted(keys)
    where = np.array(order, dtype=np.int64).reshape(-1, 3)
    layers = np.arange(pattern.shape[1])
    closed = (pattern[where[:, 0]] == TRUNCATED).all(axis=2) & (layers < where[:, 1, None])
    last = np.where(closed, layers, -1).max(axis=1, initial=-1)
    merged = np.where(last >= 0, last, -1 - where[:, 0])
    groups: dict[tuple[int, int, int], list[Key]] = {}
    for key, into in zip(order, merged.tolist(), strict=True):
        groups.setdefault((key[1], key[2], into), []).append(key)
    return [tuple(members) for members in groups.values()]


def several_layers(chosen: list[Group]) -> bool:
    """Return whether one point lies on chosen surfaces of more than one layer."""
    layers: dict[int, int] = {}
    return any(layers.setdefault(i, layer) != layer for members in chosen for i, layer, _ in members)


def common_side(members: Group, pattern: Pattern) -> int:
    """Return the side that all members are on; they are held where they differ."""
    sides = {int(pattern[key]) for key in members}
    return sides.pop() if len(sides) == 1 else PINNED
