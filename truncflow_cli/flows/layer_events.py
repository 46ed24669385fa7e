"""What a change of pattern means: the rows of the event log, and when a cluster is collapsed or separated."""

from __future__ import annotations

import numpy as np

from truncflow_cli.events import EVENT_DTYPE, EventLog, Kind
from truncflow_cli.flows.interface import EventRow
from truncflow_cli.flows.layer_data import Indices, LayerData
from truncflow_cli.kernels.interface import Crossings
from truncflow_cli.patterns import PINNED, UNTRUNCATED
from truncflow_cli.problem import Array, BoolArray, IntArray, Pattern

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


def _kinds(side: Pattern) -> Pattern:
    """Return what coordinates that have gone to these sides (E,) have done."""
    return np.where(side == UNTRUNCATED, np.int8(Kind.RELEASE), np.int8(Kind.TRUNCATE))


class LayerLog:
    """Keeps count of what is untruncated (own cluster) and truncated (others) under one layer."""

    def __init__(self, data: LayerData, pattern: Pattern) -> None:
        own = data.n_own
        self.data = data
        parts = (pattern[first : min(first + _BLOCK, own)] for first in range(0, own, _BLOCK))
        self._positive = sum(int(np.count_nonzero(part == UNTRUNCATED)) for part in parts)
        self._collapsed = self._positive == 0
        outside = np.count_nonzero(pattern[own:] != UNTRUNCATED, axis=1)
        self._outside = np.bincount(data.owner[own:], weights=outside, minlength=data.n_clusters).astype(
            np.int64
        )
        self._pattern = pattern

    def at_start(self, z: Array) -> list[EventRow]:
        """Return the conditions that hold at s = 0: clusters outside S_ℓ⁺, with the coordinate furthest out.

        z (M − n_own, Q) are the coordinates of the foreign points.
        """
        data, own = self.data, self.data.n_own
        rows: list[EventRow] = []
        for cluster in np.flatnonzero(self._outside):
            points = np.flatnonzero(data.owner[own:] == cluster)
            i, r = np.unravel_index(int(np.argmin(z[points])), (points.size, data.dim))
            point = int(data.members_of(own + int(points[i]))[0])
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
            (what[0], data.layer, int(point), r, data.layer, what[1]) for point in data.members_of(i)
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
        return [(kind, self.data.layer, int(self.data.members_of(i)[-1]), r, self.data.layer, -1)]

    def foreign(self, i: int, r: int, *, released: bool) -> list[EventRow]:
        """Return the events of foreign row i crossing in coordinate r."""
        cluster = int(self.data.owner[i])
        self._outside[cluster] += -1 if released else 1
        changed = self._outside[cluster] == (0 if released else 1)
        if not changed:
            return []
        kind = Kind.SEPARATION_REGAINED if released else Kind.SEPARATION_LOST
        return [(kind, self.data.layer, int(self.data.members_of(i)[0]), r, cluster, -1)]

    def passed(self, crossings: Crossings) -> EventLog:
        """Return the events of own and foreign coordinates that have gone through, one after the other."""
        s, i, r, side = crossings.s, crossings.point, crossings.row, crossings.side
        own = i < self.data.n_own
        if s.size and self.data.distinct and not self._collapsed and own.all():
            positive = self._positive + np.cumsum(np.where(side == UNTRUNCATED, 1, -1))
            if positive.min() > 0:  # the usual case, many times quicker
                self._positive = int(positive[-1])
                return self._rows(s, _kinds(side), self.data.members[i], r)
        number = np.arange(s.size)
        collapses, after = self._own_collapses(s, own, i, r, side)
        rows = [self._own_passed(s[own], i[own], r[own], side[own]), collapses]
        keys = [np.repeat(number[own], self._copies(i[own])), after]
        for cluster in np.unique(self.data.owner[i[~own]]):
            of_cluster = ~own & (self.data.owner[i] == cluster)
            index = number[of_cluster]
            changed = self._turns(int(cluster), side[of_cluster])
            rows.append(self._foreign_passed(s, i, r, side, index[changed]))
            keys.append(index[changed])
        order = np.argsort(np.concatenate(keys), kind="stable")
        return np.concatenate(rows)[order]

    def _copies(self, i: IntArray) -> Indices:
        """Return how many training inputs each of these rows stands for."""
        return self.data.first[i + 1] - self.data.first[i]

    def _own_passed(self, s: Array, i: IntArray, r: IntArray, side: Pattern) -> EventLog:
        """Return the own points' events, one for each training input."""
        copies = self._copies(i)
        source = np.repeat(np.arange(i.size), copies)
        within = np.arange(source.size) - np.repeat(np.cumsum(copies) - copies, copies)
        return self._rows(
            s[source], _kinds(side)[source], self.data.members[self.data.first[i[source]] + within], r[source]
        )

    def _own_collapses(
        self, s: Array, own: BoolArray, i: IntArray, r: IntArray, side: Pattern
    ) -> tuple[EventLog, IntArray]:
        """Return when the cluster has become wholly truncated or no longer is, and after which crossings that was."""
        index = np.flatnonzero(own)
        positive = self._positive + np.cumsum(np.where(side[index] == UNTRUNCATED, 1, -1))
        settled = np.append(s[index][1:] != s[index][:-1], True) if index.size else np.empty(0, bool)
        index, collapsed = index[settled], positive[settled] == 0
        changed = collapsed != np.concatenate([[self._collapsed], collapsed[:-1]])
        if index.size:
            self._positive, self._collapsed = int(positive[-1]), bool(collapsed[-1])
        index, collapsed = index[changed], collapsed[changed]
        kind = np.where(collapsed, Kind.COLLAPSE, Kind.UNCOLLAPSE)
        point = self.data.members[self.data.first[i[index] + 1] - 1]
        return self._rows(s[index], kind, point, r[index]), index

    def _turns(self, cluster: int, side: Pattern) -> BoolArray:
        """Count a cluster's foreign crossings; return at which of them it leaves S_ℓ⁺ or is back wholly."""
        released = side == UNTRUNCATED
        outside = self._outside[cluster] + np.cumsum(np.where(released, -1, 1))
        self._outside[cluster] = outside[-1]
        return np.asarray(outside == np.where(released, 0, 1))

    def _foreign_passed(self, s: Array, i: IntArray, r: IntArray, side: Pattern, index: IntArray) -> EventLog:
        """Return the events that separation from a cluster is lost or regained, at these crossings."""
        i, side = i[index], side[index]
        kind = np.where(side == UNTRUNCATED, Kind.SEPARATION_REGAINED, Kind.SEPARATION_LOST)
        rows = self._rows(s[index], kind, self.data.members[self.data.first[i]], r[index])
        rows["cluster"] = self.data.owner[i]
        return rows

    def _rows(self, s: Array, kind: IntArray | Pattern, point: Indices, r: IntArray) -> EventLog:
        rows = np.empty(s.size, EVENT_DTYPE)
        rows["s"], rows["kind"], rows["point"], rows["coordinate"] = s, kind, point, r
        rows["layer"] = rows["cluster"] = self.data.layer
        rows["side"] = -1
        return rows

    def rest(self) -> list[EventRow]:
        """Return the row that says that this layer has stopped."""
        return [(Kind.REST, self.data.layer, -1, -1, self.data.layer, -1)]
