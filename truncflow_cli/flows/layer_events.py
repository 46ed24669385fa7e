"""What a change of pattern means: the rows of the event log, and when a cluster is collapsed or separated."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.base import EventRow
from truncflow_cli.flows.kernels.separated import PINNED, UNTRUNCATED
from truncflow_cli.flows.layer_data import LayerData
from truncflow_cli.model.events import Kind
from truncflow_cli.model.problem import Array, Pattern


def surface_kind(before: int, after: int) -> tuple[int, int] | None:
    """Return (kind, side) of a coordinate's passage from pattern ``before`` to ``after``; None if nothing happened."""
    if before == after:
        return None
    if after == PINNED:
        return Kind.PIN, -1
    if before == PINNED:
        return Kind.UNPIN, int(after == UNTRUNCATED)
    return (Kind.RELEASE if after == UNTRUNCATED else Kind.TRUNCATE), -1


class LayerLog:
    """Keeps count of what is untruncated (own cluster) and truncated (others) under one layer."""

    def __init__(self, data: LayerData, pattern: Pattern) -> None:
        own = data.n_own
        self.data = data
        self._positive = int(np.count_nonzero(pattern[:own] == UNTRUNCATED))
        self._collapsed = self._positive == 0
        outside = np.count_nonzero(pattern[own:] != UNTRUNCATED, axis=1)
        self._outside = np.bincount(data.owner[own:], weights=outside, minlength=data.n_clusters).astype(
            np.int64
        )
        self._pattern = pattern

    def at_start(self, z: Array) -> list[EventRow]:
        """Return the conditions that hold at s = 0: clusters outside S_ℓ⁺, with the coordinate furthest out."""
        data, own = self.data, self.data.n_own
        rows: list[EventRow] = []
        for cluster in np.flatnonzero(self._outside):
            points = own + np.flatnonzero(data.owner[own:] == cluster)
            i, r = np.unravel_index(int(np.argmin(z[points])), (points.size, data.dim))
            point = int(data.members[points[i]][0])
            rows.append((Kind.SEPARATION_LOST, data.layer, point, int(r), int(cluster), -1))
        if self._positive == 0:
            rows.append((Kind.COLLAPSE, data.layer, -1, -1, data.layer, -1))
        return rows

    def own(self, i: int, r: int, before: int, after: int) -> list[EventRow]:
        """Return the events of own row i passing from pattern ``before`` to ``after`` in coordinate r."""
        data = self.data
        what = surface_kind(before, after)
        if what is None:
            return []
        rows: list[EventRow] = [
            (what[0], data.layer, int(point), r, data.layer, what[1]) for point in data.members[i]
        ]
        self._positive += int(after == UNTRUNCATED) - int(before == UNTRUNCATED)
        return rows

    def collapse(self, i: int, r: int) -> list[EventRow]:
        """Return the event that the cluster is now wholly in S_ℓ⁻, or no more; row i in coordinate r was the last."""
        collapsed = self._positive == 0
        if collapsed == self._collapsed:
            return []
        self._collapsed = collapsed
        kind = Kind.COLLAPSE if collapsed else Kind.UNCOLLAPSE
        return [(kind, self.data.layer, int(self.data.members[i][-1]), r, self.data.layer, -1)]

    def foreign(self, i: int, r: int, *, released: bool) -> list[EventRow]:
        """Return the events of foreign row i crossing in coordinate r."""
        cluster = int(self.data.owner[i])
        self._outside[cluster] += -1 if released else 1
        changed = self._outside[cluster] == (0 if released else 1)
        if not changed:
            return []
        kind = Kind.SEPARATION_REGAINED if released else Kind.SEPARATION_LOST
        return [(kind, self.data.layer, int(self.data.members[i][0]), r, cluster, -1)]

    def rest(self) -> list[EventRow]:
        """Return the row that says that this layer has stopped."""
        return [(Kind.REST, self.data.layer, -1, -1, self.data.layer, -1)]
