"""The analysis of the collapsed flow, section 8: B and W of ½|WB + Y|²."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from truncflow_cli.diagnostics.output_weight import OutputAnalysis
from truncflow_cli.problem import Array


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
    """A run whose state is (B, W), as the certificates see it."""

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
