"""Surfaces of the `general` flow that are one and the same, because their points coincide there."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from truncflow_cli.flows.kernels.separated import PINNED, TRUNCATED
from truncflow_cli.model.problem import Array

#: Surface (row of the data, layer, coordinate), and the surfaces of points that coincide there.
Key = tuple[int, int, int]
Group = tuple[Key, ...]


def grouped(keys: Iterable[Key], pattern: Array) -> list[Group]:
    """Put surfaces together that are one and the same: those of points which an earlier layer has made coincide.

    Points that are truncated in all coordinates of a layer leave it at −β^(ℓ), and share all later surfaces.
    """
    groups: dict[tuple[int, ...], list[Key]] = {}
    for i, layer, r in sorted(keys):
        closed = np.flatnonzero((pattern[i, :layer] == TRUNCATED).all(axis=1))
        merged = int(closed[-1]) if closed.size else -1 - i
        groups.setdefault((layer, r, merged), []).append((i, layer, r))
    return [tuple(members) for members in groups.values()]


def several_layers(chosen: list[Group]) -> bool:
    """Return whether one point lies on chosen surfaces of more than one layer."""
    layers: dict[int, int] = {}
    return any(layers.setdefault(i, layer) != layer for members in chosen for i, layer, _ in members)


def common_side(members: Group, pattern: Array) -> int:
    """Return the side that all members are on; they are held where they differ."""
    sides = {int(pattern[key]) for key in members}
    return sides.pop() if len(sides) == 1 else PINNED
