"""What a solver hands to the trajectory assembler: one stretch of the run after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from truncflow_cli.events import EventLog
from truncflow_cli.flows.interface import DenseOutput
from truncflow_cli.problem import Array
from truncflow_cli.saved_state import Saved, State

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
