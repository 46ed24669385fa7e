"""The analysis of the clustered flow, section 9: W of the weighted least squares Σ_i w_i |W x_i − y|²."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np

from truncflow_cli.diagnostics.output_weight import OutputAnalysis
from truncflow_cli.diagnostics.passes import blocks
from truncflow_cli.problem import Array

#: Eigenvalues of A below this share of the largest count as zero.
RANK_SHARE = 1e-12


class ClusteredAnalysis(OutputAnalysis):
    """A run whose state is W alone, as the certificates see it."""

    about: ClassVar[str] = "the clustered flow"

    @cached_property
    def point_weights(self) -> Array:
        """Weight of each point in the loss, (N,): 1/N (9.3), or 1/N_j (2.22)."""
        weights = np.full(self.n_points, 1.0 / max(1, self.n_points))
        if self.run.settings.get("point_weights") == "1/N_j":
            for group in self.groups:
                weights[group] = 1.0 / max(1, group.size)
        return weights

    @cached_property
    def moments(self) -> tuple[Array, Array]:
        """A = Σ_i w_i x_i x_iᵀ, which is XXᵀ/N, and Σ_i w_i y_i x_iᵀ, both (Q, Q)."""
        weighted = self.x * self.point_weights[:, None]
        return self.x.T @ weighted, self.run.y[self.cluster].T @ weighted

    @cached_property
    def loss_cluster(self) -> Array:
        """½ Σ_i w_i |W x_i − y_j|² of each cluster j, (M, C) (9.3)."""
        result = np.zeros((self.s.size, self.n_clusters))
        for j, group in enumerate(self.groups):
            for states, points in blocks(self.s.size, group.size, self.dim):
                part = group[points]
                residual = self.x[part] @ self.W[states].swapaxes(1, 2) - self.run.y[j]
                squares = np.einsum("tiq,tiq->ti", residual, residual)
                result[states, j] += 0.5 * squares @ self.point_weights[part]
        return result

    def gradients(self) -> dict[str, Array]:
        """Return ∂_W C = WA − Σ_i w_i y_i x_iᵀ (9.7)."""
        A, K = self.moments
        return {"W": self.W @ A - K}
