"""How many coordinates of a point a layer truncates in the course of a run, from the event log, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.passes import blocks
from truncflow_cli.events import Kind
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Array, BoolArray, IntArray
from truncflow_cli.report.history import CROSSINGS
from truncflow_cli.run_data import Run
from truncflow_cli.truncation import composed, coordinates


@dataclass(frozen=True)
class Changes:
    """The truncations of a layer: how they stand at s = 0, and by how much each event changes them.

    Attributes:
        members: (n,) the points, as rows of ``run.x``.
        start: (n, Q) which coordinates of each are truncated at s = 0, before any event.
        s: (E',) time of each event of these points under this layer.
        member: (E',) whose it is, counted within ``members``.
        coordinate: (E',) in which coordinate.
        step: (E',) change of the number of truncated coordinates: -1, 0 or 1.
        pin_step: (E',) change of the number of pinned coordinates.
    """

    members: IntArray
    start: BoolArray
    s: Array
    member: IntArray
    coordinate: IntArray
    step: IntArray
    pin_step: IntArray

    def first_truncated(self) -> Array:
        """Return when each point is first truncated in some coordinate, (n,): 0 at the start, infinite never."""
        first = np.full(self.members.size, np.inf)
        down = self.step > 0
        np.minimum.at(first, self.member[down], self.s[down])
        first[self.start.any(axis=1)] = 0.0
        return first

    def amount(self, end: float) -> Array:
        """Return the integral of the number of truncated coordinates up to ``end``, (n,)."""
        total = self.start.sum(axis=1) * end
        np.add.at(total, self.member, self.step * (end - self.s))
        return np.asarray(total)

    def at(self, times: Array, rows: IntArray) -> tuple[IntArray, BoolArray]:
        """Return the number of truncated coordinates of members ``rows`` (m,) at ascending times (K,).

        Also whether some coordinate is pinned; both (m, K). An event counts from its own time on.
        """
        place = np.full(self.members.size, -1)
        place[rows] = np.arange(rows.size)
        row = place[self.member]
        cut = self._summed(times, row, self.step, self.start[rows].sum(axis=1))
        return cut, self._summed(times, row, self.pin_step, np.zeros(rows.size, dtype=np.int64)) > 0

    def fractions(self, times: Array, of: BoolArray) -> Array:
        """Return the fraction of the members ``of`` (n,) truncated in each coordinate at ascending times, (K, Q)."""
        row = np.where(of[self.member], self.coordinate, -1)
        cut = self._summed(times, row, self.step, self.start[of].sum(axis=0))
        return np.asarray(cut.T / max(int(np.count_nonzero(of)), 1))

    def _summed(self, times: Array, row: IntArray, step: IntArray, start: IntArray) -> IntArray:
        """Return (m, K): ``start`` (m,) and the steps of events in ``row`` (E',), -1 in none, up to ascending times."""
        column = np.searchsorted(times, self.s, "left")
        here = (row >= 0) & (column < times.size)
        counts = np.zeros((start.size, times.size), dtype=np.int32)
        counts[:, 0] = start
        np.add.at(counts, (row[here], column[here]), step[here])
        return np.asarray(counts.cumsum(axis=1))


def changes(run: Run, layer: int, members: IntArray, foreign_from: float = np.inf) -> Changes:
    """Return the truncations of ``members`` (n,) by a layer.

    Which coordinates are truncated at first follows from the first event of each, and for those without any
    from a plain pass. Where a run has switched from `separated` to `general` at ``foreign_from``, the points of
    other clusters reach a layer only then, through the layers before it.
    """
    events = run.events
    events = events[(events["layer"] == layer) & np.isin(events["kind"], CROSSINGS)]
    place = np.full(run.n_points, -1)
    place[members] = np.arange(members.size)
    events = events[place[events["point"]] >= 0]
    member, dim = place[events["point"]], run.dim
    key = member * dim + events["coordinate"]
    down = (events["kind"] == Kind.TRUNCATE) | (events["kind"] == Kind.PIN)
    down |= (events["kind"] == Kind.UNPIN) & (events["side"] != 1)
    base = _at_start(run, layer, members, foreign_from).ravel()
    order = np.argsort(key, kind="stable")
    first = np.ones(order.size, dtype=bool)
    first[1:] = np.diff(key[order]) != 0
    opening = order[first]
    known = np.isin(events["kind"][opening], (Kind.TRUNCATE, Kind.RELEASE))
    base[key[opening][known]] = events["kind"][opening][known] == Kind.RELEASE
    before = np.empty(order.size, dtype=bool)
    before[order[1:]] = down[order[:-1]]
    before[opening] = base[key[opening]]
    pin_step = (events["kind"] == Kind.PIN).astype(np.int64) - (events["kind"] == Kind.UNPIN)
    return Changes(
        members=members,
        start=base.reshape(-1, dim),
        s=np.asarray(events["s"]),
        member=member,
        coordinate=np.asarray(events["coordinate"]),
        step=down.astype(np.int64) - before,
        pin_step=pin_step,
    )


def _at_start(run: Run, layer: int, members: IntArray, foreign_from: float) -> BoolArray:
    """Return which coordinates of each point a pass truncates when the layer first sees it, (n, Q)."""
    assert run.beta is not None and run.R is not None
    alone = flow_named(run.flow).acts_on == "own"
    truncated = np.empty((members.size, run.dim), dtype=bool)
    for _, part in blocks(1, members.size, run.dim):
        for t, before, mine in (
            (0, 0 if alone else layer, slice(None)),
            (-1, layer, (run.cluster[members[part]] != layer) & alone & np.isfinite(foreign_from)),
        ):
            x = composed(run.x[members[part]][mine], run.R[t, :before], run.beta[t, :before])
            truncated[part][mine] = coordinates(x, run.R[t, layer], run.beta[t, layer]) <= 0.0
    return truncated
