"""A flow that is known for all s at once, in the shape in which the event loop hands out its pieces."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from truncflow_cli.flows.frozen import FrozenLayer
from truncflow_cli.flows.interface import Counters, DenseOutput
from truncflow_cli.problem import Array
from truncflow_cli.saved_state import Saved, State, counts, number, under
from truncflow_cli.solver.loop import NO_TIMES, Piece, restore_counters


class ClosedForm:
    """Hands out the whole run as one piece after the start; the counterpart of ``solver.Solver``."""

    def __init__(self, layer: FrozenLayer, s_end: float) -> None:
        self.s = 0.0
        self.finished = False
        self.counters = Counters()
        self._layer = layer
        self._s_end = s_end

    def start(self) -> Piece:
        """Return the piece [0, 0] with the events at s = 0."""
        self._events = self._layer.events(self._s_end)
        self.finished = self._s_end <= 0.0
        return Piece(0.0, 0.0, self._layer, self._events[self._events["s"] <= 0.0])

    def advance(self, until: float = -np.inf, saved: Array = NO_TIMES) -> Piece:
        """Return the piece [0, s_end]."""
        self.s, self.finished = self._s_end, True
        self.counters.steps += 1
        self.counters.roots += len(self._events)
        return Piece(0.0, self._s_end, self._layer, self._events[self._events["s"] > 0.0])

    def state(self) -> State:
        """See ``solver.Solver.state``."""
        return {"s": number(self.s), **under("counters", counts(asdict(self.counters)))}

    def restore(self, saved: Saved) -> None:
        """See ``solver.Solver.restore``; everything else is computed anew, to the same bits."""
        self.s = saved.number("s")
        self.finished = self.s >= self._s_end
        events = self._layer.events(self._s_end)
        self._events = events[(events["s"] <= 0.0) | (events["s"] > self.s)]
        restore_counters(self.counters, saved.part("counters"))

    def restored_output(self, saved: Saved) -> DenseOutput:
        """Return the whole run."""
        return self._layer
