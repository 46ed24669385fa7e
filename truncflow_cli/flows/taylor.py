"""What `separated` and `general` share: Taylor series about the state, cut where the first surface is met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from truncflow_cli.events import EventLog
from truncflow_cli.flows.interface import Change, Counters, ManySteps
from truncflow_cli.kernels.interface import Coefficients, Kernel, StepsTaken
from truncflow_cli.problem import Array, Pattern
from truncflow_cli.saved_state import Saved, State
from truncflow_cli.solver.step_control import StepControl

#: Rounding error of a pinned weight λ.
LAMBDA_NOISE = 1e-12


@dataclass(frozen=True)
class TaylorOutput:
    """Dense output of one smooth piece.

    Attributes:
        kernel: what evaluates it.
        center: (Q,) where the coordinates are centred: b_ℓ = R_ℓ(β^(ℓ) + center).
        path: R, b and the dissipated energy as polynomials in the offset t.
        truncated_fraction: (L, Q) share of the points truncated in each coordinate, constant along the piece.
    """

    kernel: Kernel
    center: Array
    path: Coefficients
    truncated_fraction: Array

    def state(self) -> State:
        """See ``flows.interface.DenseOutput.state``."""
        return {**vars(self.path), "truncated_fraction": self.truncated_fraction}

    def sample(self, t: Array) -> dict[str, Array]:
        """See ``flows.interface.DenseOutput.sample``."""
        at = self.kernel.evaluate(self.path, t)
        return {
            "beta": at.beta - self.center,
            "R": at.R,
            "loss_cluster": self.kernel.losses(at.R, at.b),
            "energy": at.energy,
            "truncated_fraction": np.repeat(self.truncated_fraction[None], t.size, axis=0),
        }


class TaylorFlow:
    """A flow whose kernel expands, searches and moves; a subclass says what surfaces mean.

    Attributes:
        kernel: the state and the work on it.
        R, b, pattern: the kernel's own arrays.
        pin_weight: (k,) λ of the pinned surfaces.
    """

    def __init__(self, kernel: Kernel, center: Array) -> None:
        self._kernel, self._center = kernel, center
        self.R, self.b = kernel.R, kernel.b
        self.pattern: Pattern = kernel.pattern
        self.counters = Counters()
        self.pin_weight: Array = np.empty(0)

    def _expand(self, reach: float, inverse: Array) -> float:
        """Expand the series; ``inverse`` (k, k) is the pseudo-inverse of ∂ż/∂λ of the pinned surfaces."""
        h = self._kernel.expand(reach, self.pin_weight, inverse)
        self.counters.slides += self.pin_weight.size > 0
        self.counters.steps += 1
        self.counters.orders += self._kernel.order
        return h

    def next_change(self, h: float) -> Change | None:
        """See ``PiecewiseFlow.next_change``; ``what`` is ("surface", (i, ℓ, r)) or ("weight", k)."""
        t, surface, candidates, roots = self._kernel.first_crossing(h)
        self.counters.candidates += candidates
        self.counters.roots += roots
        self.counters.refreshes = self._kernel.refreshes
        what: tuple[str, Any] | None = None if surface is None else ("surface", surface)
        for pin, c in enumerate(self._kernel.weights().T):
            upper = -c
            upper[0] += 1.0
            for bound in (c, upper):
                exit_ = self._kernel.first_exit(bound, t, LAMBDA_NOISE)
                if exit_ >= 0.0 and (exit_ < t or what is None):
                    t, what = exit_, ("weight", pin)
        return None if what is None else Change(t, what)

    def dense_output(self) -> TaylorOutput:
        """See ``PiecewiseFlow.dense_output``."""
        kernel = self._kernel
        return TaylorOutput(kernel, self._center, kernel.coefficients(), kernel.truncated_fraction)

    def constant_output(self) -> TaylorOutput:
        """See ``PiecewiseFlow.constant_output``."""
        kernel = self._kernel
        layers, dim = kernel.truncated_fraction.shape
        path = Coefficients(
            kernel.R.reshape(1, layers, dim, dim).copy(),
            kernel.b.reshape(1, layers, dim).copy(),
            np.array([kernel.energy]),
        )
        return TaylorOutput(kernel, self._center, path, kernel.truncated_fraction)

    def restored_output(self, saved: Saved) -> TaylorOutput:
        """See ``PiecewiseFlow.restored_output``."""
        layers, dim = self._kernel.truncated_fraction.shape
        energy = saved.array("energy", "f8", (None,))
        n = energy.size
        path = Coefficients(
            saved.array("R", "f8", (n, layers, dim, dim)), saved.array("b", "f8", (n, layers, dim)), energy
        )
        return TaylorOutput(
            self._kernel, self._center, path, saved.array("truncated_fraction", "f8", (layers, dim))
        )

    def advance(self, t: float) -> None:
        """See ``PiecewiseFlow.advance``."""
        self._kernel.advance(t)
        for pin, c in enumerate(self._kernel.weights().T):
            self.pin_weight[pin] = np.polynomial.polynomial.polyval(t, c)

    def _passed(self, many: StepsTaken, events: EventLog, *, may_rest: bool) -> ManySteps:
        """Return what many steps have passed, as the solver wants it."""
        self.counters.add(*many.work)
        self.counters.refreshes = self._kernel.refreshes
        start, series = many.control.s, self.constant_output()
        if many.start is not None:
            start = many.start
            series = TaylorOutput(
                self._kernel, self._center, self._kernel.coefficients(), many.truncated_fraction
            )
        samples = many.samples and {**many.samples, "beta": many.samples["beta"] - self._center}
        return ManySteps(many.control, start, series, events, samples, may_rest)

    def _step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> StepsTaken | None:
        """Let the kernel take usual steps; pins are not usual."""
        return None if self.pin_weight.size else self._kernel.step_many(control, s_end, until, saved)

    def caches(self) -> State:
        """Return what has been kept for speed."""
        return self._kernel.caches()
