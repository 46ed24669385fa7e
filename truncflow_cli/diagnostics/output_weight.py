"""The analysis of flows in which no layer turns and the output weight W moves: sections 8 and 9."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from truncflow_cli.diagnostics.analysis import ROUNDING, RunAnalysis
from truncflow_cli.diagnostics.passes import blocks
from truncflow_cli.problem import Array

#: Eigenvalues of A below this share of the largest count as zero.
RANK_SHARE = 1e-12


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


@dataclass(frozen=True)
class Gap:
    """The spectral gap of Theorem 8.4.

    Attributes:
        rate: λ₀, not positive where there is none.
        of: "B" if it is inf spec I(0) (8.25), "W" if it is inf spec(−I(0)) (8.26).
        text: both, in words.
    """

    rate: float
    of: str
    text: str


def spectral_gap(B: Array, W: Array) -> Gap:
    """Return λ₀ of the initial data B (Q, C), W (Q, Q).

    inf spec I(0) > λ₀ gives the rate only if B is square: BᵀB ≥ λ₀ is needed, which BBᵀ ≥ λ₀ gives only then.
    """
    spectrum = np.linalg.eigvalsh(B @ B.T - W.T @ W)
    plus, minus = float(spectrum[0]), float(-spectrum[-1])
    text = f"inf spec I(0) = {plus:.6g}, inf spec(−I(0)) = {minus:.6g}"
    if B.shape[0] != B.shape[1]:
        text += f"; C = {B.shape[1]} ≠ Q = {B.shape[0]}, so only the second gives a rate"
        return Gap(minus, "W", text)
    return Gap(plus, "B", text) if plus >= minus else Gap(minus, "W", text)


class CollapsedAnalysis(OutputAnalysis):
    """A run of the collapsed flow, section 8, whose state is (B, W), with the loss ½|WB + Y|²."""

    about: ClassVar[str] = "the collapsed flow"

    @cached_property
    def B(self) -> Array:
        """B, (M, Q, C)."""
        return self.evaluated(self.run.B)

    @property
    def states(self) -> tuple[Array, ...]:
        """(B, W)."""
        return self.B, self.W

    @property
    def inputs(self) -> Array:
        """What W is multiplied with: B."""
        return self.B

    @cached_property
    def E(self) -> Array:
        """WB + Y, (M, Q, C) (8.2)."""
        return np.asarray(self.W @ self.B + self.run.y.T)

    @cached_property
    def loss_cluster(self) -> Array:
        """½|W B_ℓ + y_ℓ|² (8.2), (M, C)."""
        result: Array = 0.5 * np.einsum("tqc,tqc->tc", self.E, self.E)
        return result

    def gradients(self) -> dict[str, Array]:
        """Return ∂_B C = WᵀE (8.6) and ∂_W C = EBᵀ (8.7)."""
        return {"B": self.W.swapaxes(1, 2) @ self.E, "W": self.E @ self.B.swapaxes(1, 2)}

    @cached_property
    def gap(self) -> Gap:
        """The spectral gap of its start."""
        return spectral_gap(self.B[0], self.W[0])


class ClusteredAnalysis(OutputAnalysis):
    """A run of the clustered flow, section 9, whose state is W, with the loss ½ Σ_i w_i |W x_i − y|²."""

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
