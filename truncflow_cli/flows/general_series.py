"""Dense output of one smooth piece of the `general` flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.flows.general_data import GeneralData
from truncflow_cli.flows.kernels.separated import evaluate_state
from truncflow_cli.model.network import forward_pass
from truncflow_cli.model.problem import Array
from truncflow_cli.model.state import Saved, State


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
        """See ``flows.base.Series.state``."""
        return {
            "R": self.R,
            "b": self.b,
            "energy": self.energy,
            "truncated_fraction": self.truncated_fraction,
        }

    def sample(self, t: Array) -> dict[str, Array]:
        """See ``flows.base.Series.sample``."""
        layers, dim = self.b.shape[1:]
        size = t.size
        beta, R = np.empty((size, layers, dim)), np.empty((size, layers, dim, dim))
        loss, energy = np.empty((size, self.data.n_clusters)), np.empty(size)
        b = np.empty((layers, dim))
        by_layer = [
            (np.ascontiguousarray(self.R[:, layer]), np.ascontiguousarray(self.b[:, layer]))
            for layer in range(layers)
        ]
        order = self.energy.size - 1
        for k in range(size):
            for layer, (R_series, b_series) in enumerate(by_layer):
                energy[k] = evaluate_state(
                    R_series, b_series, self.energy, order, t[k], R[k, layer], b[layer]
                )
            beta[k] = np.einsum("lia,li->la", R[k], b) - self.data.center
            loss[k] = cluster_losses(self.data, R[k], b)
        fraction = np.broadcast_to(self.truncated_fraction, (size, layers, dim)).copy()
        return {"beta": beta, "R": R, "loss_cluster": loss, "energy": energy, "truncated_fraction": fraction}


def restored_series(data: GeneralData, layers: int, saved: Saved) -> GeneralSeries:
    """Return the dense output that ``GeneralSeries.state`` has given.

    Raises:
        UserError: it does not fit.
    """
    dim = data.x.shape[1]
    energy = saved.array("energy", "f8", (None,))
    n = energy.size
    R, b = saved.array("R", "f8", (n, layers, dim, dim)), saved.array("b", "f8", (n, layers, dim))
    return GeneralSeries(data, R, b, energy, saved.array("truncated_fraction", "f8", (layers, dim)))


def cluster_losses(data: GeneralData, R: Array, b: Array) -> Array:
    """Return (1/N_j) Σ_i ½ |τ̲^(L)(x) − ỹ_j|² for each cluster (C,), by a forward pass (2.26)."""
    residual = forward_pass(data.x, R, b, lambda _, z: z > 0.0).output - data.y_tilde[data.label]
    squares = 0.5 * data.weight * np.einsum("ia,ia->i", residual, residual)
    return np.bincount(data.label, weights=squares, minlength=data.n_clusters).astype(np.float64)
