"""Dense output of one smooth piece of the `separated` flow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from truncflow_cli.flows.kernels.separated import evaluate_state
from truncflow_cli.flows.layer_data import LayerData
from truncflow_cli.model.problem import Array
from truncflow_cli.model.state import State

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
        """See ``flows.base.Series.state``."""
        return {
            "R": self.R,
            "b": self.b,
            "energy": self.energy,
            "truncated_fraction": self.truncated_fraction,
        }

    def sample(self, t: Array) -> dict[str, Array]:
        """See ``flows.base.Series.sample``; layer and cluster axes have length 1."""
        dim = self.data.dim
        size = t.size
        beta, R = np.empty((size, 1, dim)), np.empty((size, 1, dim, dim))
        loss, energy = np.empty((size, 1)), np.empty(size)
        b = np.empty(dim)
        for k in range(size):
            energy[k] = evaluate_state(self.R, self.b, self.energy, self.energy.size - 1, t[k], R[k, 0], b)
            beta[k, 0] = R[k, 0].T @ b - self.data.center
            loss[k, 0] = cluster_loss(self.data, R[k, 0], b)
        fraction = np.broadcast_to(self.truncated_fraction, (size, 1, dim))
        return {
            "beta": beta,
            "R": R,
            "loss_cluster": loss,
            "energy": energy,
            "truncated_fraction": fraction.copy(),
        }


def cluster_loss(data: LayerData, R: Array, b: Array) -> float:
    """Return ½ mean_i |σ(R x_i + b) − u|², u = b + Rỹ, the cluster's part of the loss (3.18).

    By a forward pass, without the moments that the flow itself works with, so that the energy balance checks them.
    """
    u = b + R @ data.y_tilde
    sums = []
    for first in range(0, data.n_own, BLOCK):
        block = slice(first, min(first + BLOCK, data.n_own))
        off = data.x[block] @ R.T
        off += b
        np.maximum(off, 0.0, out=off)
        off -= u
        sums.append(data.multiplicity[block] @ np.einsum("ir,ir->i", off, off))
    return 0.5 * math.fsum(sums) / data.total
