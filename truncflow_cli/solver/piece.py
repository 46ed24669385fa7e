"""What a solver hands to the trajectory assembler: one stretch of the run after the other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from truncflow_cli.events import EventLog
from truncflow_cli.flows.interface import DenseOutput
from truncflow_cli.problem import Array
from truncflow_cli.saved_state import Saved, State, counts, number, restore_counts, under

#: No saved times.
NO_TIMES: Array = np.empty(0)


@dataclass(frozen=True)
class Piece:
    """A stretch [s0, s1] of the trajectory.

    Attributes:
        s0, s1: where it begins and ends.
        output: the state along it.
        events: those since the last piece, in order.
        samples: the trajectory's arrays at the first of the saved times since the last piece, if taken on the way.
    """

    s0: float
    s1: float
    output: DenseOutput
    events: EventLog
    samples: dict[str, Array] | None = None

    def sample(self, s: Array) -> dict[str, Array]:
        """Return the state at times s (T,) within [s0, s1]."""
        return self.output.sample(np.maximum(s - self.s0, 0.0))


class Solver(Protocol):
    """Advances one flow, or one layer of it, to the end of the run.

    Attributes:
        s: time reached.
        finished: whether that is the end.
        counters: work done: a dataclass of integers.
    """

    s: float
    finished: bool
    counters: Any

    def start(self) -> Piece:
        """Return the piece [0, 0] with the events at s = 0."""
        ...

    def advance(self, until: float = -np.inf, saved: Array = NO_TIMES) -> Piece:
        """Go on by a step, or by as many as lead to ``until``; return what was passed.

        ``saved`` (K,) are saved times ahead. The piece has samples at the first of those that have been passed, or
        covers them. RunFailed says that the solution cannot be followed further.
        """
        ...

    def state(self) -> State:
        """Return what ``restore`` goes on from between two pieces, to the bit."""
        ...

    def restore(self, saved: Saved) -> None:
        """Take back a state in place of ``start``; UserError says that it does not fit the problem."""
        ...

    def constant_output(self) -> DenseOutput:
        """Return the present state as one that stays."""
        ...

    def restored_output(self, saved: Saved) -> DenseOutput:
        """Return a piece's output from what its ``state`` has given; UserError as above."""
        ...


@dataclass
class Counters:
    """Work done on a closed form: samples evaluated, events located."""

    evaluations: int = 0
    roots: int = 0


class ClosedForm:
    """A flow that is known for all s at once, as a solver: hands it out from saved times to saved times.

    ``output`` is the state at any time, and counts its evaluations in ``counters``; ``events`` are all of the run's.
    """

    def __init__(self, output: DenseOutput, counters: Counters, events: EventLog, s_end: float) -> None:
        self.s = 0.0
        self.finished = s_end <= 0.0
        self.counters = counters
        self._output = output
        self._s_end = s_end
        self._events = events

    def start(self) -> Piece:
        """See ``Solver``."""
        return Piece(0.0, 0.0, self._output, self._between(-np.inf, 0.0))

    def advance(self, until: float = -np.inf, saved: Array = NO_TIMES) -> Piece:
        """Return the piece up to ``until``; to the end of the run if there is nothing to be saved before."""
        start = self.s
        self.s = min(until, self._s_end) if until > start else self._s_end
        self.finished = self.s >= self._s_end
        events = self._between(start, self.s)
        self.counters.roots += events.size
        return Piece(0.0, self.s, self._output, events)

    def _between(self, after: float, upto: float) -> EventLog:
        first, last = np.searchsorted(self._events["s"], (after, upto), side="right")
        return self._events[first:last]

    def state(self) -> State:
        """See ``Solver``; everything else is computed anew, to the same bits."""
        return {"s": number(self.s), **under("counters", counts(asdict(self.counters)))}

    def restore(self, saved: Saved) -> None:
        """See ``Solver``."""
        self.s = saved.number("s")
        self.finished = self.s >= self._s_end
        restore_counts(self.counters, saved.part("counters"))

    def constant_output(self) -> DenseOutput:
        """Return the closed form itself."""
        return self._output

    def restored_output(self, saved: Saved) -> DenseOutput:
        """Return the closed form itself."""
        return self._output
