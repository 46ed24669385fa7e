"""What the integrator needs to know of a flow, and no more.

The state space is cut by *surfaces* z_k = 0 (a coordinate of a point in some layer's frame). Inside a cell of the
cut the field is smooth and the flow expands its solution in a Taylor series; on the surfaces it says what changes.
How to write a new flow: implement ``PiecewiseFlow``; ``solver.loop.EventLoop`` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from truncflow_cli.events import EventLog
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.saved_state import Saved, State
from truncflow_cli.solver.step_control import StepControl

#: (kind, layer, point, coordinate, cluster, side) of an event; the time is known to the caller.
EventRow = tuple[int, int, int, int, int, int]


@dataclass
class Counters:
    """Work done so far."""

    steps: int = 0
    orders: int = 0
    candidates: int = 0
    roots: int = 0
    refreshes: int = 0
    slides: int = 0

    def add(self, steps: int, orders: int, candidates: int, roots: int) -> None:
        """Count work that has been done elsewhere."""
        self.steps += steps
        self.orders += orders
        self.candidates += candidates
        self.roots += roots


class DenseOutput(Protocol):
    """The state along one smooth piece, as polynomials in the time since its start."""

    def sample(self, t: Array) -> dict[str, Array]:
        """Return ``chunk.Chunk.samples`` without "s" at offsets t (T,); for "energy_balance", "energy" so far."""
        ...

    def state(self) -> State:
        """Return what ``PiecewiseFlow.restored_output`` makes the same series from."""
        ...


@dataclass(frozen=True)
class Change:
    """The field changes at offset ``t`` of the current series; ``what`` means something to the flow only."""

    t: float
    what: Any


@dataclass(frozen=True)
class LocalField:
    """The field on the surfaces that the state lies on: velocity + Σ_k λ_k directions_k.

    Attributes:
        velocity: (d,) the field with all λ_k = 0, in orthonormal coordinates of the tangent space.
        normals: (m, d) ∇z_k.
        directions: (m, d) how the field jumps from the truncated to the untruncated side: κ_k ∇z_k, as the loss is
            continuous (up to normals of other surfaces on which the state is held, where points share a surface).
    """

    velocity: Array
    normals: Array
    directions: Array


@dataclass(frozen=True)
class Surfaces:
    """The surfaces on which the state lies.

    Attributes:
        side: (m,) the side each had until now: 0, 1, or 2 where it was pinned.
        weight: (m,) the λ_k each had until now (its side, where it was not pinned).
        leaving: (m,) whether this surface is why we are here (its coordinate or its weight has left).
        field: the field about given weights λ (m,).
        descend: None where the field is affine in λ. Where one point lies on surfaces of several layers it is
            multilinear, ``field`` is its tangent, and ``descend`` says which sides (m,) short steps of plain gradient
            descent from here (with h(0) = 0) take to; 2 where they stay.
    """

    side: IntArray
    weight: Array
    leaving: IntArray
    field: Callable[[Array], LocalField]
    descend: Callable[[], IntArray] | None = None


def _no_field(weight: Array) -> LocalField:
    raise AssertionError("there is no surface to be asked about")


#: Where the state lies on none.
NO_SURFACES = Surfaces(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64), _no_field)


@runtime_checkable
class DescentFallback(Protocol):
    """A flow that can take its first steps away from where nothing settles: no speed or kink to first order."""

    def descent_fallback(self) -> tuple[float, list[EventRow], Surfaces]:
        """Move on by plain descent, by a millionth of the data; return time taken, events, and what is to settle."""
        ...


class PiecewiseFlow(Protocol):
    """A gradient flow whose field is smooth between events."""

    counters: Counters

    def expand(self, reach: float) -> float:
        """Expand the solution about the current state, to be accurate over ``reach``; return the length it is so on."""
        ...

    def next_change(self, h: float) -> Change | None:
        """Return the first change of the field within [0, h] of the current series."""
        ...

    def observe(self, t: float) -> list[tuple[float, EventRow]]:
        """Return what happens on [0, t] without changing the field, with offsets, in order."""
        ...

    def dense_output(self) -> DenseOutput:
        """Return the current series for dense output (it stays valid when the flow moves on)."""
        ...

    def constant_output(self) -> DenseOutput:
        """Return the present state as a series of order 0: nothing moves from here on."""
        ...

    def advance(self, t: float) -> None:
        """Move the state to offset ``t`` of the current series."""
        ...

    def conditions_at_start(self) -> list[EventRow]:
        """Return what already holds at s = 0 and is logged as an event (not the surfaces' own events)."""
        ...

    def surfaces(self, change: Change | None) -> Surfaces:
        """Describe the surfaces that the state lies on, after ``advance`` to ``change`` (None: at the start)."""
        ...

    def regroup(self, side: IntArray, weight: Array) -> Surfaces | None:
        """Describe the surfaces anew if settling them like this changes which of them are one and the same."""
        ...

    def apply(self, side: IntArray, weight: Array) -> list[EventRow]:
        """Let the surfaces last described go to these sides (m,), 2 with this weight (m,); return their events."""
        ...

    def at_rest(self) -> list[EventRow]:
        """Return the rest event's row(s) if the field is zero to rounding, else an empty list."""
        ...

    def state(self) -> State:
        """Return what the flow goes on from, to the bit, without ``counters``; valid until the flow moves on."""
        ...

    def caches(self) -> State:
        """Return what has been kept for speed, and could be made anew, but not to the bit the same."""
        ...

    def restore(self, saved: Saved, caches: Saved | None) -> None:
        """Take back ``state`` into an unused flow of the same problem, and ``caches`` unless they are made anew.

        Raises:
            UserError: it does not fit the problem.
        """
        ...

    def restored_output(self, saved: Saved) -> DenseOutput:
        """Return a series of this flow from what its ``state`` has given.

        Raises:
            UserError: it does not fit the problem.
        """
        ...


@dataclass(frozen=True)
class ManySteps:
    """What several steps in one go have passed.

    Attributes:
        control: where they have led to.
        start: beginning of the last of them, where ``output`` begins.
        output: the state from there on.
        events: what has happened, in order.
        samples: the trajectory's arrays, see ``Series.sample``, at the first of the saved times asked for; those after
            them that have been passed are in ``output``.
        may_rest: whether the last of them has passed some s = 2^k, and the flow may have converged to rounding.
    """

    control: StepControl
    start: float
    output: DenseOutput
    events: EventLog
    samples: dict[str, Array] | None
    may_rest: bool


@runtime_checkable
class StepsMany(Protocol):
    """A flow that can take many usual steps in one go; it must give what single steps would have given."""

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> ManySteps | None:
        """Take steps until one ends at or after ``until``, or may have come to rest, or the next is not a usual one.

        ``saved`` (K,) are saved times ahead. A flow that does not sample them on its way stops at the first one.

        Returns None if already the first is not a usual one. The state, and everything that ``PiecewiseFlow`` says
        about it, is then that of the last step's end.
        """
        ...
