"""What the flows ask of a kernel: the numerical work of `separated` and `general`, compiled or in numpy.

A kernel holds the state, where each coordinate of each point is, and the sums that the field needs. It expands the
solution in a Taylor series and finds the first crossing along it. What a crossing means is the flow's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.saved_state import Saved, State
from truncflow_cli.solver.step_control import StepControl

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Pattern = NDArray[np.int8]

#: Surface (row of the points, layer, coordinate), and the surfaces of points that coincide there.
Key = tuple[int, int, int]
Group = tuple[Key, ...]


@dataclass(frozen=True)
class Coefficients:
    """The state along a piece as polynomials in the time since its start.

    Attributes:
        R: (p+1, L, Q, Q).
        b: (p+1, L, Q).
        energy: (p+1,) the dissipated energy.
    """

    R: Array
    b: Array
    energy: Array


@dataclass(frozen=True)
class States:
    """The state at T times.

    Attributes:
        R: (T, L, Q, Q) orthonormal.
        b: (T, L, Q).
        beta: (T, L, Q) Rᵀ b.
        energy: (T,) dissipated energy.
    """

    R: Array
    b: Array
    beta: Array
    energy: Array


class Crossing(NamedTuple):
    """The first crossing on [0, h] of the present series.

    Attributes:
        t: when; h if there is none.
        surface: which; None if there is none.
        candidates: coordinates that were looked at.
        roots: crossings that were located.
    """

    t: float
    surface: Key | None
    candidates: int
    roots: int


@dataclass(frozen=True)
class Crossings:
    """Coordinates that have crossed, in order: time, point, layer, coordinate, and the pattern after, (E,) each."""

    s: Array
    point: Ints
    layer: Ints
    row: Ints
    side: Pattern


@dataclass(frozen=True)
class StepsTaken:
    """What several steps in one go have passed.

    Attributes:
        control: where they have led to.
        start: beginning of the last of them; None if its series is gone, and the state is where ``control`` is.
        truncated_fraction: (L, Q) along the last of them.
        work: steps, orders, candidates and roots.
        crossings: the coordinates that have gone through.
        samples: the trajectory's arrays at the first of the saved times, with beta = Rᵀ b; None if none was passed.
        slowed: whether some s = 2^k has been passed so slowly that this may be rest.
    """

    control: StepControl
    start: float | None
    truncated_fraction: Array
    work: tuple[int, int, int, int]
    crossings: Crossings
    samples: dict[str, Array] | None
    slowed: bool


class Kernel(Protocol):
    """What the kernels of both flows do.

    Attributes:
        R, b: the state, (Q, Q), (Q,) or (L, Q, Q), (L, Q); changed in place.
        energy: the integral of the squared gradient norm so far.
        pattern: (M, Q) or (M, L, Q) int8, where each coordinate is.
    """

    R: Array
    b: Array
    energy: float
    pattern: Pattern

    @property
    def refreshes(self) -> int:
        """How often what is kept for speed has been made anew."""

    @property
    def order(self) -> int:
        """Order of the present series."""

    @property
    def truncated_fraction(self) -> Array:
        """(L, Q) share of the training inputs that are truncated."""

    def orthonormalise(self) -> None:
        """Take rounding errors off R."""

    def hold(self, pins: Sequence[Group]) -> None:
        """Pin these surfaces, and no others; a network's ``move`` or ``restore_sums`` follows."""

    def moved(self) -> None:
        """Hear that the state has been moved in a way that the series do not say."""

    def expand(self, reach: float, weight: Array, inverse: Array) -> float:
        """Expand the solution; return the length on which it is accurate.

        Args:
            reach: the series may stop at a lower order once it is accurate over so much.
            weight: (k,) λ of the pinned surfaces now.
            inverse: (k, k) pseudo-inverse of ∂ż/∂λ.
        """

    def weights(self) -> Array:
        """Return the series (p, k) of the pinned surfaces' λ."""

    def coefficients(self) -> Coefficients:
        """Return a copy of the present series."""

    def first_crossing(self, h: float) -> Crossing:
        """Return the first coordinate that leaves its side on [0, h] of the present series, see ``first_exit``."""

    def advance(self, t: float) -> None:
        """Move the state to offset t of the present series."""

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> StepsTaken | None:
        """Take usual steps in one go; None if the next is not one, or if the kernel takes single steps only."""

    def evaluate(self, series: Coefficients, t: Array) -> States:
        """Return the states at times t (T,)."""

    def losses(self, R: Array, b: Array) -> Array:
        """Return each cluster's part of the loss (T, C) in states R (T, L, Q, Q), b (T, L, Q), by a forward pass."""

    def first_exit(self, c: Array, h: float, noise: float) -> float:
        """Return when Σ c_n tⁿ, which ought to stay positive, leaves [−noise, ∞) on [0, h]; -1.0 if it does not."""

    def sums(self) -> State:
        """Return the sums as they have been summed up, in their order."""

    def restore_sums(self, saved: Saved) -> None:
        """Take back what ``sums`` has given."""

    def caches(self) -> State:
        """Return what has been kept for speed, and could be made anew, but not to the bit the same."""

    def restore_caches(self, saved: Saved) -> None:
        """Take back what ``caches`` has given."""


class LayerKernel(Kernel, Protocol):
    """One layer of `separated`; the sums are the constrained moments (Cor. 3.5)."""

    def moments(self) -> tuple[Array, Array, Array]:
        """Return p (Q,), G (Q, Q) and K (Q, Q, Q), means over the own points."""

    def sum_moments(self) -> None:
        """Sum the moments from scratch, from the pattern."""

    def count(self, points: Ints, rows: Ints, sign: float) -> None:
        """Count own points (k,) in coordinates (k,) as untruncated (``sign`` 1.0), or no longer (-1.0)."""

    def looked_at(self) -> tuple[Ints, Ints]:
        """Return points (m,) and coordinates (m,) that can have come to zero in the step last searched."""

    def foreign_crossings(self, t: float) -> list[tuple[float, int, int]]:
        """Return time, point and coordinate of each crossing of a foreign point on [0, t], in order."""


class NetworkKernel(Kernel, Protocol):
    """All layers of `general`.

    Attributes:
        noise: (M,) rounding error of the points' coordinates.
    """

    noise: Array

    def set_scale(self, way: float, slack: float) -> None:
        """Say how far is far: a length κ, and the rounding error of a way, in units of it."""

    def gather(self) -> None:
        """Sum up all points from scratch, from the pattern and the pins."""

    def move(self, points: Ints) -> None:
        """Hear that the pattern or the pins of these points (k,) have changed."""

    def field(self) -> tuple[Array, Array]:
        """Return c (L, Q) and Ω (L, Q, Q) at the state, with λ = 0 on pinned surfaces."""

    def drift(self) -> Array:
        """Return the series (p+1, k) of the pinned coordinates, which ought to vanish."""

    def close(self) -> Ints:
        """Return the points (m,) that can have a coordinate at zero."""
