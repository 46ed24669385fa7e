"""The loop over smooth pieces: expand, find the first change, cut there, settle it, go on."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from truncflow_cli.errors import RunFailed
from truncflow_cli.events import Kind, event_log
from truncflow_cli.flows.interface import DenseOutput, DescentFallback, EventRow, PiecewiseFlow, StepsMany
from truncflow_cli.problem import Array
from truncflow_cli.saved_state import Saved, State, counts, integer, restore_counts, under
from truncflow_cli.solver.filippov import settle_flow, settle_surfaces
from truncflow_cli.solver.piece import NO_TIMES, Piece
from truncflow_cli.solver.step_control import StepControl, later, next_octave, next_reach, step_length

#: Changes at one and the same instant after which the flow is given up.
STUCK = 1_000

#: Changes at one and the same instant of which the last may change nothing.
UNMOVED = 2

#: Times in a row that the flow may fall back on descent before it is given up: it chatters.
MOST_FALLBACKS = 20

#: Steps that a flow takes in one go, about: a request to stop has to be heard in between.
MOST_AHEAD = 10_000
#: How much further each time, until it takes so many.
STRETCHED = 16

SURFACE_EVENTS = (Kind.TRUNCATE, Kind.RELEASE, Kind.PIN, Kind.UNPIN)


class EventLoop:
    """Advances one flow from event to event; see ``solver.piece.Solver``."""

    def __init__(
        self, flow: PiecewiseFlow, s_end: float, *, step_limit: float = np.inf, shortest: float = 0.0
    ) -> None:
        """Prepare; no step is longer than ``step_limit``, a run with a first step below ``shortest`` is given up."""
        self.flow = flow
        self._shortest = shortest
        self.s = 0.0
        self.finished = False
        self.counters = flow.counters
        self._s_end = s_end
        self._step_limit = step_limit
        self._ahead = flow if isinstance(flow, StepsMany) and not np.isfinite(step_limit) else None
        self._reach = np.inf
        self._resting = False
        self._at_instant = 0
        self._fallbacks = 0
        self._changed: set[tuple[int, int, int]] = set()
        self._lost = 0.0
        self._stretch = 0.0

    def start(self) -> Piece:
        """Settle the initial state; return the piece [0, 0] with the events at s = 0."""
        rows = self.flow.conditions_at_start()
        rows += settle_flow(self.flow, None)
        self._resting = self._look_for_rest(rows)
        self.finished = self._s_end <= 0.0
        return Piece(0.0, 0.0, self.flow.constant_output(), event_log([(0.0, *row) for row in rows]))

    def advance(self, until: float = -np.inf, saved: Array = NO_TIMES) -> Piece:
        """Go on to the next event, or as far as the series carries; return what was passed.

        A flow that can run ahead goes on beyond that, up to the first event or end of a series at or after
        ``until``: the piece returned covers whatever lies between ``until`` and its end. It may stop earlier, or take
        samples at ``saved`` (K,) times on its way: the piece has them, or covers those that have been passed.
        RunFailed says that the state is no longer finite, the step at rounding level, or that events pile up.
        """
        left = self._s_end - self.s
        if self._resting:
            s0 = self.s
            self._move_on(left, last=True)
            return Piece(s0, self.s, self.flow.constant_output(), event_log([]))
        if self.s == 0.0 < self._shortest and 0.0 < (h := self.flow.expand(left)) < self._shortest:
            raise RunFailed(
                f"with data of this size the steps are of length {h:.1g}, and s_end = {self._s_end:g} is out of "
                "reach; scale points and labels down, or lower integrator.s_end",
                self.s,
            )
        ahead = self._step_many(until, saved)
        if ahead is not None:
            return ahead
        flow = self.flow
        h = flow.expand(min(self._reach, left, self._step_limit))
        if not h > 0.0:
            raise RunFailed(
                f"the series of the solution is not finite at s = {self.s:.17g}: data of this size make it too "
                "fast for double precision; scale points and labels down",
                self.s,
            )
        h = min(step_length(h, self._reach, left), self._step_limit)
        change = flow.next_change(h)
        t = h if change is None else change.t
        if change is None and h < left and self.s + h <= self.s + 4 * np.spacing(self.s):
            raise RunFailed(
                f"the step size is at rounding level ({h:.3g}) at s = {self.s:.17g}; "
                "the flow is too fast for the scale of s",
                self.s,
            )
        s0 = self.s
        events = [(s0 + at, *row) for at, row in flow.observe(t)]
        output = flow.dense_output()
        flow.advance(t)
        self._move_on(t, last=change is None and h >= left)
        if change is not None:
            rows = settle_flow(flow, change)
            if self._unsettled(t, rows) and isinstance(flow, DescentFallback):
                self._count_fallback()
                taken, more, surfaces = flow.descent_fallback()
                self._move_on(taken, last=False)
                rows += more + settle_surfaces(flow, surfaces, at_start=False)
            self._resting = self._look_for_rest(rows)
            events += [(self.s, *row) for row in rows]
        else:
            self._fallbacks = 0
            if self.s >= next_octave(s0):  # at s = 2^k only: whether the flow has converged to rounding
                self._resting = bool(flow.at_rest())
        self._reach = next_reach(self._reach, t, change is not None, self._s_end)
        return Piece(s0, self.s, output, event_log(events))

    def state(self) -> State:
        """Return what the solver goes on from between two pieces; see ``PiecewiseFlow.state``.

        At its end, the flow's caches are left out: nothing further has to be the same to the bit.
        """
        return {
            "control": np.array([self.s, self._lost, self._reach, self._stretch]),
            "resting": integer(self._resting),
            "at_instant": integer(self._at_instant),
            "fallbacks": integer(self._fallbacks),
            "changed": np.array(sorted(self._changed), dtype=np.int64).reshape(-1, 3),
            **under("counters", counts(asdict(self.counters))),
            **under("flow", self.flow.state()),
            **({} if self.finished else under("caches", self.flow.caches())),
        }

    def restore(self, saved: Saved) -> None:
        """See ``solver.piece.Solver``."""
        self.s, self._lost, self._reach, self._stretch = saved.array("control", "f8", (4,)).tolist()
        self._resting = bool(saved.integer("resting", (0, 2)))
        self._at_instant = saved.integer("at_instant")
        self._fallbacks = saved.integer("fallbacks")
        self._changed = {(i, j, k) for i, j, k in saved.array("changed", "i8", (None, 3)).tolist()}
        self.finished = self.s >= self._s_end
        restore_counts(self.counters, saved.part("counters"))
        self.flow.restore(saved.part("flow"), saved.part("caches") if saved.has_part("caches") else None)

    def constant_output(self) -> DenseOutput:
        """See ``solver.piece.Solver``."""
        return self.flow.constant_output()

    def restored_output(self, saved: Saved) -> DenseOutput:
        """See ``solver.piece.Solver``."""
        return self.flow.restored_output(saved)

    def _step_many(self, until: float, saved: Array) -> Piece | None:
        """Let the flow take the usual steps by itself; None if the next step is not one."""
        flow = self._ahead
        if flow is None:
            return None
        s0, steps = self.s, self.counters.steps
        most = min(until, s0 + self._stretch)
        ahead = flow.step_many(StepControl(self.s, self._lost, self._reach), self._s_end, most, saved)
        if ahead is None:
            return None
        self.s, self._lost, self._reach = ahead.control.s, ahead.control.lost, ahead.control.reach
        self.finished = self.s >= self._s_end
        self._at_instant = 0
        steps = self.counters.steps - steps
        self._stretch = (self.s - s0) * min(STRETCHED, MOST_AHEAD / steps)
        if ahead.may_rest:
            self._resting = bool(self.flow.at_rest())
        return Piece(ahead.start, self.s, ahead.output, ahead.events, ahead.samples)

    def _move_on(self, t: float, *, last: bool) -> None:
        if last:
            self.s, self.finished = self._s_end, True
            return
        s, self._lost = later(self.s, self._lost, t)
        self.s = min(s, self._s_end)
        self.finished = self.s >= self._s_end

    def _unsettled(self, t: float, rows: list[EventRow]) -> bool:
        """Return whether a surface has changed for the second time at this instant, or keeps not changing."""
        if t > 2 * np.spacing(self.s):
            self._at_instant, self._changed = 0, set()
        self._at_instant += 1
        if self._at_instant > STUCK:
            raise RunFailed(f"events pile up at s = {self.s:.17g} without end", self.s)
        surfaces = {row[1:4] for row in rows if row[0] in SURFACE_EVENTS}
        again = not surfaces.isdisjoint(self._changed) or (not surfaces and self._at_instant > UNMOVED)
        self._changed |= surfaces
        return again

    def _count_fallback(self) -> None:
        self._fallbacks += 1
        if self._fallbacks > MOST_FALLBACKS:
            raise RunFailed(
                f"events accumulate at s = {self.s:.17g}: the flow chatters between the sides of several surfaces at "
                "once; a start that is not on them (a slightly different bias) may do",
                self.s,
            )

    def _look_for_rest(self, rows: list[EventRow]) -> bool:
        if self._resting:
            return True
        rest = self.flow.at_rest()
        rows += rest
        return bool(rest)
