"""A flow that is known for all s at once, as a solver."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from truncflow_cli.events import EventLog
from truncflow_cli.flows.interface import DenseOutput
from truncflow_cli.problem import Array
from truncflow_cli.saved_state import Saved, State, counts, number, restore_counts, under
from truncflow_cli.solver.piece import NO_TIMES, Piece


@dataclass
class Counters:
    """Work done: samples evaluated, events located."""

    evaluations: int = 0
    roots: int = 0


class KnownFlow(DenseOutput, Protocol):
    """The state at any time s, and all the events."""

    @property
    def counters(self) -> Counters:
        """Work done."""
        ...

    def events(self, s_end: float) -> EventLog:
        """Return the events up to ``s_end``, in order."""
        ...


class ClosedForm:
    """Hands out the run from saved times to saved times; see ``solver.piece.Solver``."""

    def __init__(self, flow: KnownFlow, s_end: float) -> None:
        self.s = 0.0
        self.finished = s_end <= 0.0
        self.counters = flow.counters
        self._flow = flow
        self._s_end = s_end
        self._events = flow.events(s_end)

    def start(self) -> Piece:
        """Return the piece [0, 0] with the events at s = 0."""
        return Piece(0.0, 0.0, self._flow, self._events[self._events["s"] <= 0.0])

    def advance(self, until: float = -np.inf, saved: Array = NO_TIMES) -> Piece:
        """Return the piece up to ``until``; to the end of the run if there is nothing to be saved before."""
        start = self.s
        self.s = min(until, self._s_end) if until > start else self._s_end
        self.finished = self.s >= self._s_end
        events = self._events[(self._events["s"] > start) & (self._events["s"] <= self.s)]
        self.counters.roots += events.size
        return Piece(0.0, self.s, self._flow, events)

    def state(self) -> State:
        """See ``solver.piece.Solver``; everything else is computed anew, to the same bits."""
        return {"s": number(self.s), **under("counters", counts(asdict(self.counters)))}

    def restore(self, saved: Saved) -> None:
        """See ``solver.piece.Solver``."""
        self.s = saved.number("s")
        self.finished = self.s >= self._s_end
        restore_counts(self.counters, saved.part("counters"))

    def constant_output(self) -> DenseOutput:
        """Return the flow itself."""
        return self._flow

    def restored_output(self, saved: Saved) -> DenseOutput:
        """Return the flow itself."""
        return self._flow
