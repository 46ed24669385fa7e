"""Dense output of one smooth piece of the `general` flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.flows.general_data import GeneralData
from truncflow_cli.kernels.network import Samples
from truncflow_cli.kernels.series import evaluate_states, network_losses
from truncflow_cli.problem import Array
from truncflow_cli.saved_state import Saved, State


@dataclass(frozen=True)
class GeneralSeries:
    """R, b and the dissipated energy as polynomials in the offset t.

    Attributes:
        data: the points.
        R: (p+1, L, Q, Q) coefficients of R.
        b: (p+1, L, Q) coefficients of b_ℓ = R_ℓ(β^(ℓ) + x̄).
        energy: (p+1,) coefficients of the dissipated energy.
        truncated_fraction: (L, Q) share of all points truncated in each coordinate, constant along the piece.
    """

    data: GeneralData
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
        """See ``flows.interface.DenseOutput.sample``."""
        layers, dim = self.b.shape[1:]
        size = t.size
        at = [evaluate_states(self.R[:, k], self.b[:, k], self.energy, t) for k in range(layers)]
        R, b, beta = (np.stack([getattr(one, name) for one in at], axis=1) for name in ("R", "b", "beta"))
        fraction = np.broadcast_to(self.truncated_fraction, (size, layers, dim)).copy()
        return {
            "beta": beta - self.data.center,
            "R": R,
            "loss_cluster": losses(self.data, R, b),
            "energy": at[0].energy,
            "truncated_fraction": fraction,
        }


def restored_output(data: GeneralData, layers: int, saved: Saved) -> GeneralSeries:
    """Return the dense output that ``GeneralSeries.state`` has given.

    Raises:
        UserError: it does not fit.
    """
    dim = data.x.shape[1]
    energy = saved.array("energy", "f8", (None,))
    n = energy.size
    R, b = saved.array("R", "f8", (n, layers, dim, dim)), saved.array("b", "f8", (n, layers, dim))
    return GeneralSeries(data, R, b, energy, saved.array("truncated_fraction", "f8", (layers, dim)))


def losses(data: GeneralData, R: Array, b: Array) -> Array:
    """Return the loss of each cluster (T, C) in states R (T, L, Q, Q), b (T, L, Q)."""
    return network_losses(data.x, data.weight, data.target, data.label, data.n_clusters, R, b)


def sampled(data: GeneralData, samples: Samples, count: int) -> dict[str, Array] | None:
    """Return the first ``count`` samples that the compiled loop has taken, as ``GeneralSeries.sample`` has them."""
    if count == 0:
        return None
    return {
        "beta": samples.beta[:count] - data.center,
        "R": samples.R[:count],
        "loss_cluster": samples.loss[:count],
        "energy": samples.energy[:count],
        "truncated_fraction": samples.truncated[:count] / data.total,
    }
