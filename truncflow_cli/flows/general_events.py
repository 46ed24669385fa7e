"""The event rows of the `general` flow, and which clusters are wholly in which layer's S_ℓ⁻."""

from __future__ import annotations

import numpy as np

from truncflow_cli.events import EventLog, Kind, event_log
from truncflow_cli.flows.general_data import GeneralData
from truncflow_cli.flows.interface import EventRow
from truncflow_cli.flows.layer_events import surface_kind
from truncflow_cli.kernels.interface import Crossings
from truncflow_cli.patterns import TRUNCATED, UNTRUNCATED
from truncflow_cli.problem import Pattern


class NetworkLog:
    """Counts, for each layer and cluster, the coordinates that are not truncated."""

    def __init__(self, data: GeneralData, pattern: Pattern) -> None:
        self.data = data
        layers = pattern.shape[1]
        positive = (pattern == UNTRUNCATED).sum(axis=2)
        self._positive = np.zeros((data.n_clusters, layers), np.int64)
        np.add.at(self._positive, data.label, positive)
        self._positive = np.ascontiguousarray(self._positive.T)
        self._collapsed = self._positive == 0
        self._last: dict[tuple[int, int], tuple[int, int]] = {}

    def at_start(self) -> list[EventRow]:
        """Return the clusters that are collapsed at s = 0."""
        return [
            (Kind.COLLAPSE, int(layer), -1, -1, int(cluster), -1)
            for layer, cluster in zip(*np.nonzero(self._collapsed), strict=True)
        ]

    def passage(self, key: tuple[int, int, int], before: int, after: int) -> list[EventRow]:
        """Return the events of surface (i, ℓ, r) passing from pattern ``before`` to ``after``."""
        what = surface_kind(before, after)
        if what is None:
            return []
        i, layer, r = key
        cluster = int(self.data.label[i])
        self._positive[layer, cluster] += int(after == UNTRUNCATED) - int(before == UNTRUNCATED)
        self._last[layer, cluster] = (int(self.data.members_of(i)[-1]), r)
        return [(what[0], layer, int(point), r, cluster, what[1]) for point in self.data.members_of(i)]

    def collapses(self) -> list[EventRow]:
        """Return which clusters have become wholly truncated in a layer, or are so no more."""
        collapsed = self._positive == 0
        rows: list[EventRow] = []
        for layer, cluster in zip(
            *(index.tolist() for index in np.nonzero(collapsed != self._collapsed)), strict=True
        ):
            kind = Kind.COLLAPSE if collapsed[layer, cluster] else Kind.UNCOLLAPSE
            point, r = self._last[layer, cluster]
            rows.append((kind, layer, point, r, cluster, -1))
        self._collapsed = collapsed
        return rows

    def passed(self, crossings: Crossings) -> EventLog:
        """Return the events of coordinates that have gone through, no two of them at the same time."""
        rows: list[tuple[float, *EventRow]] = []
        arrays = vars(crossings).values()
        for s, i, layer, r, side in zip(*(array.tolist() for array in arrays), strict=True):
            before = TRUNCATED if side == UNTRUNCATED else UNTRUNCATED
            rows += [(s, *row) for row in self.passage((i, layer, r), before, side)]
            cluster = self.data.label[i]
            if (self._positive[layer, cluster] == 0) != self._collapsed[layer, cluster]:
                rows += [(s, *row) for row in self.collapses()]
        return event_log(rows)

    def rest(self) -> list[EventRow]:
        """Return the row that says that the flow has stopped."""
        return [(Kind.REST, -1, -1, -1, -1, -1)]
