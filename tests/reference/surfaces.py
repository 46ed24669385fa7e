"""Surfaces z_{l,i,r} = 0 that the state lies on, and what the gradient of the loss does there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reference.network import Network, Surface, coincidence, loss_and_gradient, surface_gradient


@dataclass(frozen=True)
class Shared:
    """A surface shared by all points that coincide there: layer, the points, coordinate."""

    layer: int
    points: tuple[int, ...]
    coordinate: int

    @property
    def surface(self) -> Surface:
        return self.layer, self.points[0], self.coordinate

    def put(self, h: np.ndarray, value: float) -> None:
        h[self.layer, list(self.points), self.coordinate] = value


def shared_surfaces(net: Network, mask: np.ndarray, on: np.ndarray) -> list[Shared]:
    """Return the surfaces in a mask (L, N, Q), coinciding points sharing theirs; ``on`` as in coincidence."""
    classes = coincidence(net, on)
    found: dict[tuple[int, int, int], list[int]] = {}
    for layer, i, r in np.argwhere(mask):
        found.setdefault((int(layer), int(classes[layer, i]), int(r)), []).append(int(i))
    return [Shared(layer, tuple(points), r) for (layer, _, r), points in sorted(found.items())]


def with_weights(h: np.ndarray, active: list[Shared], weights: np.ndarray) -> np.ndarray:
    h = h.copy()
    for shared, value in zip(active, weights, strict=True):
        shared.put(h, value)
    return h


def jumps(net: Network, state: np.ndarray, h: np.ndarray, active: list[Shared]) -> np.ndarray:
    """Return grad C(h_k = 1) - grad C(h_k = 0) of each active surface k, the others as in h, (K, dim)."""
    rows = []
    for shared in active:
        below, above = h.copy(), h.copy()
        shared.put(below, 0.0)
        shared.put(above, 1.0)
        rows.append(loss_and_gradient(net, state, above)[1] - loss_and_gradient(net, state, below)[1])
    return np.array(rows)


def normals(net: Network, state: np.ndarray, h: np.ndarray, active: list[Shared]) -> np.ndarray:
    """Return grad z_k of each active surface, (K, dim)."""
    return np.array([surface_gradient(net, state, h, shared.surface) for shared in active])
