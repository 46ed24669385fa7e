"""The loop over smooth pieces: expand, find the first change, cut there, settle it, go on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.errors import RunFailed
from truncflow_cli.flows.base import EventRow, PiecewiseFlow, Series
from truncflow_cli.integrate.pinning import settle_flow
from truncflow_cli.model.problem import Array

#: Changes at one and the same instant after which the flow is given up.
STUCK = 1_000
#: How much further than the last spacing of events the next series is made to reach.
REACH_AFTER_EVENT = 2.0
#: How much further the next series reaches when the last one met no event.
REACH_AFTER_QUIET = 8.0

#: A step much longer than where the next event is expected would only have more candidates to look at.
LONGEST = 4.0

TimedRow = tuple[float, EventRow]


@dataclass(frozen=True)
class Piece:
    """A smooth stretch [s0, s1] of the trajectory, and the events in (s0, s1], in order."""

    s0: float
    s1: float
    series: Series
    events: list[TimedRow]

    def sample(self, s: Array) -> dict[str, Array]:
        """Return the state at times s (T,) within [s0, s1]."""
        return self.series.sample(np.maximum(s - self.s0, 0.0))


class Solver:
    """Advances one flow from event to event.

    Attributes:
        s: time reached.
        finished: whether ``s_end`` has been reached.
        counters: work done.
    """

    def __init__(self, flow: PiecewiseFlow, s_end: float, *, step_limit: float = np.inf) -> None:
        self.flow = flow
        self.s = 0.0
        self.finished = False
        self.counters = flow.counters
        self._s_end = s_end
        self._step_limit = step_limit
        self._reach = np.inf
        self._resting = False
        self._at_instant = 0
        self._lost = 0.0

    def start(self) -> Piece:
        """Settle the initial state; return the piece [0, 0] with the events at s = 0."""
        rows = self.flow.conditions_at_start()
        rows += settle_flow(self.flow, None)
        self._resting = self._look_for_rest(rows)
        self.flow.expand(0.0)
        self.finished = self._s_end <= 0.0
        return Piece(0.0, 0.0, self.flow.series(), [(0.0, row) for row in rows])

    def advance(self) -> Piece:
        """Go on to the next event, or as far as the series carries; return what was passed.

        Raises:
            RunFailed: the state is no longer finite, the step has shrunk to rounding level, or events pile up
                at one instant.
        """
        flow = self.flow
        left = self._s_end - self.s
        h = flow.expand(min(self._reach, left, self._step_limit))
        if not h > 0.0:
            raise RunFailed(f"the state is no longer finite at s = {self.s:.17g}", self.s)
        if self._resting:
            h = left
        elif np.isfinite(self._reach):
            h = min(h, LONGEST * self._reach)
        h = min(h, left, self._step_limit)
        change = None if self._resting else flow.next_change(h)
        t = h if change is None else change.t
        if change is None and h < left and self.s + h <= self.s + 4 * np.spacing(self.s):
            raise RunFailed(
                f"the step size is at rounding level ({h:.3g}) at s = {self.s:.17g}; "
                "the flow is too fast for the scale of s",
                self.s,
            )
        s0 = self.s
        events = [(s0 + at, row) for at, row in flow.observe(t)]
        series = flow.series()
        flow.advance(t)
        self._move_on(t, last=change is None and h >= left)
        if change is not None:
            rows = settle_flow(flow, change)
            self._watch_instant(t)
            self._resting = self._look_for_rest(rows)
            events += [(self.s, row) for row in rows]
        self._plan(t, change is not None)
        return Piece(s0, self.s, series, events)

    def _move_on(self, t: float, *, last: bool) -> None:
        """Add t to s with the rounding error of the sum carried along (Kahan)."""
        if last:
            self.s, self.finished = self._s_end, True
            return
        step = t - self._lost
        s = self.s + step
        self._lost = (s - self.s) - step
        self.s = min(s, self._s_end)
        self.finished = self.s >= self._s_end

    def _plan(self, t: float, met_event: bool) -> None:
        if not met_event:
            self._reach *= REACH_AFTER_QUIET
        elif np.isinf(self._reach):
            self._reach = REACH_AFTER_EVENT * t if t > 0.0 else self._reach
        else:
            self._reach = max(0.5 * (self._reach + REACH_AFTER_EVENT * t), 1e-14 * self._s_end)

    def _watch_instant(self, t: float) -> None:
        self._at_instant = self._at_instant + 1 if t <= 2 * np.spacing(self.s) else 0
        if self._at_instant > STUCK:
            raise RunFailed(f"events pile up at s = {self.s:.17g} without end", self.s)

    def _look_for_rest(self, rows: list[EventRow]) -> bool:
        if self._resting:
            return True
        rest = self.flow.at_rest()
        rows += rest
        return bool(rest)
