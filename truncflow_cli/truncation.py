"""The truncation map and what follows from it: where points are, what each layer makes of them, and by what margin.

    z = R_ℓ (x + β^(ℓ)),    τ^(ℓ)(x) = R_ℓᵀ σ(z) − β^(ℓ)                                      (1.8), (6.2)

A point is untruncated under a layer (in S_ℓ⁺) if all z_r > 0, and fully truncated (in S_ℓ⁻) if all z_r ≤ 0 (Def. 2.1).
Arrays are plain numpy: x (..., Q) points; one layer's R (Q, Q), β (Q,), or all layers' R (L, Q, Q), β (L, Q).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from truncflow_cli.events import EventLog, Kind, of_kind
from truncflow_cli.problem import Array, IntArray

#: Coordinates that are looked at together, so that very many points take little memory.
_BLOCK = 1 << 18

#: A surface: layer, point (row of x), coordinate.
Surface = tuple[int, int, int]


def coordinates(x: Array, R: Array, beta: Array) -> Array:
    """Return z = R (x + β), (..., Q): signed distances of points from a layer's faces."""
    return np.asarray((x + beta) @ R.T)


def truncate(x: Array, R: Array, beta: Array) -> Array:
    """Return τ(x) = Rᵀσ(z) − β of one layer, (..., Q) (1.8)."""
    return np.asarray(np.maximum(coordinates(x, R, beta), 0.0) @ R - beta)


def composed(x: Array, R: Array, beta: Array) -> Array:
    """Return τ^(L)∘…∘τ^(1)(x), (..., Q), for R (L, Q, Q), β (L, Q)."""
    for rotation, bias in zip(R, beta, strict=True):
        x = truncate(x, rotation, bias)
    return x


def count_outside(x: Array, R: Array, beta: Array) -> int:
    """Return how many of the points x (N, Q) are not in S⁺ of one layer."""
    blocks = (coordinates(x[part], R, beta) for part in _blocks(*x.shape))
    return sum(int(np.count_nonzero((z <= 0.0).any(axis=-1))) for z in blocks)


@dataclass(frozen=True)
class Closest:
    """The coordinate that is nearest to being truncated, or furthest beyond it.

    Attributes:
        margin: its z; positive if no point is truncated, infinite if there is none.
        layer: ℓ, 0-based (-1 where there is none, as for the next two).
        point: row of x.
        coordinate: r.
    """

    margin: float
    layer: int = -1
    point: int = -1
    coordinate: int = -1

    @property
    def holds(self) -> bool:
        """Whether no point is truncated."""
        return self.margin > 0.0


def positive_margin(
    x: Array, R: Array, beta: Array, layer: int = -1, rows: IntArray | None = None
) -> Closest:
    """Return the least z of points x (N, Q) under one layer R (Q, Q), β (Q,).

    Args:
        x, R, beta: see above.
        layer: the layer's number, for the answer.
        rows: (M,) the rows that are looked at; all if it is None.
    """
    closest = Closest(np.inf)
    for part in _blocks(len(x) if rows is None else len(rows), x.shape[1]):
        where = np.arange(part.start, part.stop) if rows is None else rows[part]
        z = coordinates(x[where], R, beta)
        i, r = np.unravel_index(int(np.argmin(z)), z.shape)
        if z[i, r] < closest.margin:
            closest = Closest(float(z[i, r]), layer, int(where[i]), int(r))
    return closest


def separation_margins(x: Array, cluster: IntArray, R: Array, beta: Array) -> list[Closest]:
    """Return for each layer ℓ the least z of the points of all clusters but ℓ: (3.3) holds if all are positive.

    x (N, Q), cluster (N,), R (L, Q, Q), β (L, Q); layer ℓ belongs to cluster ℓ.
    """
    rows = (np.flatnonzero(cluster != layer) for layer in range(len(R)))
    return [positive_margin(x, R[layer], beta[layer], layer, foreign) for layer, foreign in enumerate(rows)]


def sector_margin(x: Array, R: Array, beta: Array) -> Closest:
    """Return the least z of all points in all layers, hypothesis (9.2): positive if all are in every S_ℓ⁺."""
    margins = [positive_margin(x, R[layer], beta[layer], layer) for layer in range(len(R))]
    return min(margins, key=lambda closest: closest.margin, default=Closest(np.inf))


def _blocks(points: int, dim: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(dim, 1))
    for first in range(0, points, step):
        yield slice(first, min(first + step, points))


@dataclass(frozen=True)
class PinInterval:
    """A stretch of s along which a surface is pinned.

    Attributes:
        surface: layer, point, coordinate.
        start: its `pin`.
        stop: its `unpin`; infinite if it is pinned to the end of the log.
    """

    surface: Surface
    start: float
    stop: float


def pin_intervals(events: EventLog) -> list[PinInterval]:
    """Return when which surfaces are pinned, by the event log, in order of their start."""
    since: dict[Surface, float] = {}
    found: list[PinInterval] = []
    chosen = events[of_kind(events, Kind.PIN, Kind.UNPIN)]
    columns: Sequence[list[int]] = [chosen[name].tolist() for name in ("layer", "point", "coordinate")]
    for s, kind, *surface in zip(chosen["s"].tolist(), chosen["kind"].tolist(), *columns, strict=True):
        layer, point, coordinate = surface
        key = (layer, point, coordinate)
        if kind == Kind.PIN:
            since.setdefault(key, s)
        elif key in since:
            found.append(PinInterval(key, since.pop(key), s))
    found += [PinInterval(key, start, np.inf) for key, start in since.items()]
    return sorted(found, key=lambda interval: (interval.start, interval.surface))
