"""What a change of pattern means: the rows of the event log, and when a cluster is collapsed or separated."""

from __future__ import annotations

import numpy as np

from truncflow_cli.events import EVENT_DTYPE, EventLog, Kind, event_log
from truncflow_cli.flows.interface import EventRow
from truncflow_cli.flows.points import LayerPoints, Points
from truncflow_cli.kernels.interface import Crossings, Key
from truncflow_cli.problem import PINNED, TRUNCATED, UNTRUNCATED, Array, BoolArray, IntArray, Pattern

#: Points that are looked at together.
_BLOCK = 8_192


def surface_kind(before: int, after: int) -> tuple[int, int] | None:
    """Return (kind, side) of a coordinate's passage from pattern ``before`` to ``after``; None if nothing happened."""
    if before == after:
        return None
    if after == PINNED:
        return Kind.PIN, -1
    if before == PINNED:
        return Kind.UNPIN, int(after == UNTRUNCATED)
    return (Kind.RELEASE if after == UNTRUNCATED else Kind.TRUNCATE), -1


class EventRows:
    """Keeps count, for each layer and cluster, of the coordinates of acting points that are not truncated.

    Layers are numbered from ``first_layer`` on.
    """

    first_layer = 0

    def __init__(self, points: Points, pattern: Pattern) -> None:
        """Begin with this pattern (M, L, Q)."""
        self.points = points
        self._positive = np.zeros((pattern.shape[1], points.n_clusters), np.int64)
        for first in range(0, points.n_own, _BLOCK):
            block = slice(first, min(first + _BLOCK, points.n_own))
            positive = np.count_nonzero(pattern[block] == UNTRUNCATED, axis=2)
            np.add.at(self._positive.T, points.label[block], positive)
        acting = np.bincount(points.label[: points.n_own], minlength=points.n_clusters) > 0
        self._acting = acting
        self._collapsed = self._none_positive()
        self._turned = False  # whether a cluster may have become, or ceased to be, wholly truncated
        self._last: dict[tuple[int, int], tuple[int, int]] = {}

    def _none_positive(self) -> BoolArray:
        return np.asarray((self._positive == 0) & self._acting)

    def at_start(self) -> list[EventRow]:
        """Return the clusters that are collapsed at s = 0."""
        return [
            (Kind.COLLAPSE, self.first_layer + layer, -1, -1, cluster, -1)
            for layer, cluster in zip(*(k.tolist() for k in np.nonzero(self._collapsed)), strict=True)
        ]

    def passage(self, key: Key, before: int, after: int) -> list[EventRow]:
        """Return the events of an acting surface (i, ℓ, r) passing from pattern ``before`` to ``after``."""
        what = surface_kind(before, after)
        if what is None:
            return []
        i, layer, r = key
        cluster, members = int(self.points.label[i]), self.points.members_of(i).tolist()
        self._positive[layer, cluster] += int(after == UNTRUNCATED) - int(before == UNTRUNCATED)
        self._turned |= bool((self._positive[layer, cluster] == 0) != self._collapsed[layer, cluster])
        self._last[layer, cluster] = (members[-1], r)
        return [(what[0], self.first_layer + layer, point, r, cluster, what[1]) for point in members]

    def collapses(self) -> list[EventRow]:
        """Return which clusters have become wholly truncated in a layer, or are so no more."""
        if not self._turned:
            return []
        self._turned = False
        collapsed = self._none_positive()
        rows: list[EventRow] = []
        for layer, cluster in zip(
            *(index.tolist() for index in np.nonzero(collapsed != self._collapsed)), strict=True
        ):
            kind = Kind.COLLAPSE if collapsed[layer, cluster] else Kind.UNCOLLAPSE
            rows.append((kind, self.first_layer + layer, *self._last[layer, cluster], cluster, -1))
        self._collapsed = collapsed
        return rows

    def passed(self, crossings: Crossings) -> EventLog:
        """Return the events of coordinates that have gone through, one after the other."""
        rows: list[tuple[float, *EventRow]] = []
        times = crossings.s.tolist()
        arrays = (crossings.point, crossings.layer, crossings.row, crossings.side)
        keys = zip(*(array.tolist() for array in arrays), strict=True)
        for k, (i, layer, r, side) in enumerate(keys):
            rows += [(times[k], *row) for row in self._crossed((i, layer, r), side)]
            if times[k + 1 : k + 2] != times[k : k + 1]:  # what happens at one instant is seen as one
                rows += [(times[k], *row) for row in self.collapses()]
        return event_log(rows)

    def _crossed(self, key: Key, side: int) -> list[EventRow]:
        return self.passage(key, TRUNCATED if side == UNTRUNCATED else UNTRUNCATED, side)

    def rest(self) -> list[EventRow]:
        """Return the row that says that the flow has stopped."""
        return [(Kind.REST, -1, -1, -1, -1, -1)]


class LayerEventRows(EventRows):
    """The same for one layer of `separated`, which also watches for points of other clusters that it truncates."""

    points: LayerPoints

    def __init__(self, points: LayerPoints, pattern: Pattern) -> None:
        """Begin with this pattern (M, 1, Q)."""
        super().__init__(points, pattern)
        self.first_layer = points.layer
        own = points.n_own
        outside = np.count_nonzero(pattern[own:, 0] != UNTRUNCATED, axis=1)
        found = np.bincount(points.label[own:], weights=outside, minlength=points.n_clusters)
        self._outside = found.astype(np.int64)

    def separation_at_start(self, z: Array) -> list[EventRow]:
        """Return the clusters outside S_ℓ⁺ at s = 0, with the coordinate furthest out.

        z (M − n_own, Q) are the coordinates of the foreign points.
        """
        points, own = self.points, self.points.n_own
        rows: list[EventRow] = []
        for cluster in np.flatnonzero(self._outside).tolist():
            those = np.flatnonzero(points.label[own:] == cluster)
            i, r = np.unravel_index(int(np.argmin(z[those])), (those.size, points.dim))
            point = int(points.members_of(own + int(those[i]))[0])
            rows.append((Kind.SEPARATION_LOST, points.layer, point, int(r), cluster, -1))
        return rows

    def foreign(self, i: int, r: int, *, released: bool) -> list[EventRow]:
        """Return the events of foreign row i crossing in coordinate r."""
        cluster = int(self.points.label[i])
        self._outside[cluster] += -1 if released else 1
        if self._outside[cluster] != (0 if released else 1):
            return []
        kind = Kind.SEPARATION_REGAINED if released else Kind.SEPARATION_LOST
        return [(kind, self.points.layer, int(self.points.members_of(i)[0]), r, cluster, -1)]

    def _crossed(self, key: Key, side: int) -> list[EventRow]:
        if key[0] < self.points.n_own:
            return super()._crossed(key, side)
        return self.foreign(key[0], key[2], released=side == UNTRUNCATED)

    def passed(self, crossings: Crossings) -> EventLog:
        """Return the events of own and foreign coordinates that have gone through, one after the other."""
        points, layer = self.points, self.points.layer
        own = crossings.point < points.n_own
        released = crossings.side == UNTRUNCATED
        positive = self._positive[0, layer] + np.cumsum(np.where(released[own], 1, -1))
        if not positive.size or not points.distinct or positive.min() <= 0 or self._collapsed[0, layer]:
            return super().passed(crossings)
        # The usual case, many times quicker.
        self._positive[0, layer] = positive[-1]
        rows = np.empty(positive.size, EVENT_DTYPE)
        rows["s"], rows["point"] = crossings.s[own], points.members[crossings.point[own]]
        rows["kind"] = np.where(released[own], np.int8(Kind.RELEASE), np.int8(Kind.TRUNCATE))
        rows["coordinate"], rows["side"] = crossings.row[own], -1
        rows["layer"] = rows["cluster"] = layer
        return self._with_foreign(rows, crossings, np.flatnonzero(~own), released)

    def _with_foreign(
        self, rows: EventLog, crossings: Crossings, foreign: IntArray, released: BoolArray
    ) -> EventLog:
        """Put the events of foreign crossings, which are these ones, in their places among those of own ones."""
        places: list[int] = []
        found: list[tuple[float, *EventRow]] = []
        for before, k in enumerate(foreign.tolist()):
            i, r = int(crossings.point[k]), int(crossings.row[k])
            for row in self.foreign(i, r, released=bool(released[k])):
                places.append(k - before)
                found.append((float(crossings.s[k]), *row))
        return np.insert(rows, places, event_log(found)) if found else rows

    def rest(self) -> list[EventRow]:
        """Return the row that says that this layer has stopped."""
        return [(Kind.REST, self.points.layer, -1, -1, self.points.layer, -1)]
