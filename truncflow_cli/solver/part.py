"""One solver's part of the trajectory: what it has produced, ahead of what has been handed out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from truncflow_cli.events import EVENT_DTYPE, EventLog, Kind, event_log, joined_events
from truncflow_cli.problem import Array
from truncflow_cli.saved_state import Saved, State, integer, under
from truncflow_cli.solver.piece import NO_TIMES, Piece, Solver

_NO_EVENTS = event_log([])
_EVENT_NAMES: tuple[str, ...] = EVENT_DTYPE.names or ()
#: How a field of events is saved, if not as integers.
_TYPES = {"s": "f8"}


class Part:
    """One solver with what it has produced beyond the point that all have reached.

    That are ``n_events`` events and the samples up to the saved time number ``next``; ``piece`` is the last piece.
    """

    def __init__(self, solver: Solver, s_save: Array, most: int, saved: Saved | None) -> None:
        """Start the solver, or go on from ``saved``; at most ``most`` samples are evaluated in one go."""
        self.solver = solver
        self.events: list[EventLog] = []
        self.n_events = 0
        self.next = 0
        self.piece: Piece
        self._samples: list[dict[str, Array]] = []
        self._s_save = s_save
        self._most = most
        self._passed = 0
        if saved is None:
            self._take(solver.start())
            self._sample()
        else:
            self._restore(saved)

    @property
    def s(self) -> float:
        """How far all samples and events are there."""
        return self.solver.s if self.next == self._passed else float(self._s_save[self.next - 1])

    @property
    def finished(self) -> bool:
        """Whether that is the end of the run."""
        return self.solver.finished and self.next == self._passed

    def step(self, upto: int | None = None) -> None:
        """Sample the last piece further, or go on by a step; by several, to the saved time before number ``upto``."""
        if self.next == self._passed:
            if upto is None:
                self._take(self.solver.advance())
            else:
                saved = self._s_save[self.next : upto]
                self._take(self.solver.advance(float(saved[-1]) if saved.size else np.inf, saved))
        self._sample()

    def _take(self, piece: Piece) -> None:
        self.piece = replace(piece, events=_NO_EVENTS)  # which may be many, and go their own way
        if piece.events.size:
            self.events.append(piece.events)
            self.n_events += piece.events.size
        if piece.samples is not None:
            self._samples.append(piece.samples)
            self.next += piece.samples["energy"].size
        self._passed = int(np.searchsorted(self._s_save, piece.s1, side="right"))

    def _sample(self) -> None:
        upto = min(self._passed, self.next + self._most)
        if upto > self.next:
            self._samples.append(self.piece.sample(self._s_save[self.next : upto]))
            self.next = upto

    def pop_events(self, upto: float) -> EventLog:
        """Return and forget the events up to ``upto``."""
        events = joined_events(self.events)
        passed = events["s"] <= upto  # times may go back by a rounding error
        if passed.all():
            self.events, self.n_events = [], 0
            return events
        left = events[~passed]
        self.events, self.n_events = [left], left.size
        return events[passed]

    def pop_samples(self, count: int) -> dict[str, Array]:
        """Return and forget the first ``count`` samples."""
        whole = joined(self._samples)
        left = {name: array[count:] for name, array in whole.items()}
        self._samples = [left] if left["energy"].size else []
        return {name: array[:count] for name, array in whole.items()}

    def state(self, *, with_piece: bool) -> State:
        """Return what the part goes on from; with its last piece if that is asked for samples again."""
        events = joined_events(self.events)
        state = {
            **under("solver", self.solver.state()),
            "next": integer(self.next),
            **under("events", {name: events[name].astype(_TYPES.get(name, "i8")) for name in _EVENT_NAMES}),
        }
        if self._samples:
            state |= under("samples", joined(self._samples))
        if with_piece or self.next < self._passed:
            state["piece"] = np.array([self.piece.s0, self.piece.s1])
            state |= under("output", self.piece.output.state())
        return state

    def _restore(self, saved: Saved) -> None:
        self.solver.restore(saved.part("solver"))
        self.next = self._passed = saved.integer("next", (1, self._s_save.size + 1))
        events = _restored_events(saved.part("events"))
        self.events, self.n_events = [events], events.size
        if saved.has_part("samples"):
            samples, now = saved.part("samples"), self.solver.constant_output().sample(NO_TIMES)
            length = samples.array("energy", "f8", (None,)).size
            self._samples = [
                {name: samples.array(name, "f8", (length, *one.shape[1:])) for name, one in now.items()}
            ]
        if "piece" in saved:
            s0, s1 = saved.array("piece", "f8", (2,)).tolist()
            self.piece = Piece(s0, s1, self.solver.restored_output(saved.part("output")), _NO_EVENTS)
            self._passed = max(self.next, int(np.searchsorted(self._s_save, s1, side="right")))


def joined(samples: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """Put samples at consecutive times together."""
    if len(samples) == 1:
        return samples[0]
    return {name: np.concatenate([part[name] for part in samples]) for name in samples[0]}


def _restored_events(saved: Saved) -> EventLog:
    """Return the events of which there are the columns; a UserError says that they do not fit."""
    events = np.empty(saved.array("s", "f8", (None,)).size, EVENT_DTYPE)
    for name in _EVENT_NAMES:
        bounds = {"s": None, "kind": (0, len(Kind)), "side": (-1, 2)}.get(name, (-1, 1 << 31))
        events[name] = saved.array(name, _TYPES.get(name, "i8"), events.shape, bounds)
    return events
