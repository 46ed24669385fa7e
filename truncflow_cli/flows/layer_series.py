"""Dense output of one smooth piece of the `separated` flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.flows.layer_data import LayerData
from truncflow_cli.kernels.layer import Samples
from truncflow_cli.kernels.series import cluster_losses, evaluate_states
from truncflow_cli.problem import Array
from truncflow_cli.saved_state import State

#: Points that are passed forward at a time: what is in between stays in the cache.
BLOCK = 1024


@dataclass(frozen=True)
class LayerSeries:
    """R, b and the dissipated energy as polynomials in the offset t.

    Attributes:
        data: the layer's points.
        R: (p+1, Q, Q) coefficients of R.
        b: (p+1, Q) coefficients of b = R(β + x̄).
        energy: (p+1,) coefficients of the dissipated energy.
        truncated_fraction: (Q,) share of own points truncated in each coordinate, constant along the piece.
    """

    data: LayerData
    R: Array
    b: Array
    energy: Array
    truncated_fraction: Array

    def state(self) -> State:
        """See ``flows.interface.DenseOutput.state``."""
        return {
            "R": self.R,
            "b": self.b,
            "energy": self.energy,
            "truncated_fraction": self.truncated_fraction,
        }

    def sample(self, t: Array) -> dict[str, Array]:
        """See ``flows.interface.DenseOutput.sample``; layer and cluster axes have length 1."""
        dim = self.data.dim
        size = t.size
        at = evaluate_states(self.R, self.b, self.energy, t)
        fraction = np.broadcast_to(self.truncated_fraction, (size, 1, dim))
        return {
            "beta": (at.beta - self.data.center)[:, None],
            "R": at.R[:, None],
            "loss_cluster": losses(self.data, at.R, at.b)[:, None],
            "energy": at.energy,
            "truncated_fraction": fraction.copy(),
        }


def losses(data: LayerData, R: Array, b: Array) -> Array:
    """Return the cluster's part of the loss (3.18) in states R (T, Q, Q), b (T, Q)."""
    return cluster_losses(data.x, data.multiplicity, data.total, data.y_tilde, R, b)


def sampled(data: LayerData, samples: Samples, count: int) -> dict[str, Array] | None:
    """Return the first ``count`` samples that the compiled loop has taken, as ``LayerSeries.sample`` has them."""
    if count == 0:
        return None
    return {
        "beta": (samples.beta[:count] - data.center)[:, None],
        "R": samples.R[:count, None],
        "loss_cluster": samples.loss[:count, None],
        "energy": samples.energy[:count],
        "truncated_fraction": (1.0 - samples.untruncated[:count] / data.total)[:, None],
    }
