"""The analysis of flows in which no layer turns, and the output weight W moves."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from truncflow_cli.diagnostics.analysis import ROUNDING, RunAnalysis
from truncflow_cli.problem import Array


class OutputAnalysis(RunAnalysis):
    """A run whose output weight W moves, as the certificates see it."""

    @cached_property
    def W(self) -> Array:
        """W, (M, Q, Q)."""
        return self.evaluated(self.run.W)

    @property
    def states(self) -> tuple[Array, ...]:
        """(W,)."""
        return (self.W,)

    @property
    def inputs(self) -> Array:
        """What W is multiplied with."""
        return self.x

    def gradients(self) -> dict[str, Array]:
        """Return the gradient of the loss along each part of the state, (M, ...)."""
        raise NotImplementedError

    @property
    def state_size(self) -> float:
        """The largest entry of the state."""
        return float(max(np.abs(part).max(initial=0.0) for part in self.states))

    @cached_property
    def state_error(self) -> float:
        """The error of the state's entries that the tolerances allow."""
        return (self.rtol + ROUNDING) * self.state_size + self.atol

    @property
    def residual_size(self) -> float:
        """The size of what is subtracted in a residual Wx + y (a length)."""
        W = float(np.abs(self.W).max(initial=0.0)) * self.dim
        return max(super().residual_size, W * float(np.abs(self.inputs).max(initial=0.0)))

    @cached_property
    def loss_error(self) -> float:
        """Error of the loss that follows from the state's; |∂C| ≤ √(2C(0)) for each cluster."""
        slope = float(np.sqrt(2.0 * self.loss[0] * self.n_clusters))
        lever = max(self.state_size, float(self.x.max(initial=0.0)), -float(self.x.min(initial=0.0)))
        return slope * self.state_error * lever * self.dim + ROUNDING * float(self.loss[0])
