"""Section 9: the closed form (9.10) against the matrix exponential, and its limit against least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.diagnostics.certificates import certificate
from truncflow_cli.diagnostics.outcome import Outcome, compare, largest_later, not_met
from truncflow_cli.diagnostics.output_weight import RANK_SHARE, ClusteredAnalysis
from truncflow_cli.problem import Array

#: Saved times at which the matrix exponential is taken.
SAMPLES = 25
#: Relative error of the exponential of a matrix of norm 1; it grows with the norm.
EXPM_ERROR = 1e-13


def exponential_solution(W: Array, A: Array, K: Array, s: float) -> Array:
    """Return W(s) of ∂_s W = −WA + K from W(0) = W (Q, Q), by one block exponential, whatever A's rank."""
    # Imported where it is needed: the other flows are certified without it, and sooner.
    from scipy.linalg import expm

    dim = W.shape[0]
    generator = np.zeros((2 * dim, 2 * dim))
    generator[:dim, :dim] = -A
    generator[dim:, :dim] = K
    result: Array = (np.hstack([W, np.eye(dim)]) @ expm(s * generator))[:, :dim]
    return result


@certificate(
    "closed_form",
    order=9.1,
    source="Thm 9.1, (9.7), (9.10) corrected",
    statement="W(s) = W(0)e^{−sA} + Y_ext Xᵀ/N φ(s, A) solves ∂_s W = −(WX − Y_ext)Xᵀ/N",
    meaning="The closed form of the output weight is compared with an independent evaluation of the matrix "
    "exponential.",
    applies=ClusteredAnalysis,
)
def closed_form(ev: ClusteredAnalysis) -> Outcome:
    """Compare W with a block exponential at some of the saved times."""
    W, (A, K) = ev.W, ev.moments
    off, allowed = np.full(ev.s.size, np.nan), np.full(ev.s.size, np.nan)
    size = float(max(np.abs(W).max(), np.linalg.norm(K)))
    growth = float(np.linalg.norm(A, 2) + np.linalg.norm(K, 2))
    for m in np.unique(np.linspace(0, ev.s.size - 1, SAMPLES).astype(np.int64)):
        s = float(ev.s[m])
        off[m] = np.linalg.norm(W[m] - exponential_solution(W[0], A, K, s))
        allowed[m] = (
            EXPM_ERROR * max(size, 1.0 if size == 0.0 else size) * (1.0 + s * growth)
            + ev.atol
            + ev.rtol * size
        )
    eigenvalues = np.linalg.eigvalsh(A)
    text = (
        f"evaluated at {int(np.isfinite(off).sum())} saved times; A = XXᵀ/N has eigenvalues "
        f"{eigenvalues[0]:.4g} … {eigenvalues[-1]:.4g}, rank {_rank(eigenvalues)} of {ev.dim}; "
        f"deviation over what rounding allows"
    )
    ratio = off / allowed
    return compare(text, np.nanmax(ratio), 1.0, {"deviation": ev.along(off)})


def _rank(eigenvalues: NDArray[np.floating[Any]]) -> int:
    return int(np.count_nonzero(eigenvalues > RANK_SHARE * max(float(eigenvalues[-1]), 0.0)))


@certificate(
    "least_squares",
    order=9.1,
    source="Thm 9.1, (9.9), (9.12) corrected",
    statement="W(s) → Y_ext X⁺, the least-squares minimiser, with ‖W(s) − Y_ext X⁺‖ ≤ e^{−λs} ‖W(0) − Y_ext X⁺‖ "
    "for λ = inf spec A",
    meaning="The output weight tends to the best linear fit of the labels, at the rate of the slowest "
    "mode or faster.",
    applies=ClusteredAnalysis,
)
def least_squares(ev: ClusteredAnalysis) -> Outcome:
    """Compare the distance to the minimiser with its bound."""
    W, (A, _) = ev.W, ev.moments
    root = np.sqrt(ev.point_weights)[:, None]
    minimiser = np.linalg.lstsq(ev.x * root, ev.run.y[ev.cluster] * root, rcond=None)[0].T
    eigenvalues, vectors = np.linalg.eigh(A)
    rank = _rank(eigenvalues)
    text = f"(9.9) XXᵀ has rank {rank} of Q = {ev.dim}, inf spec A = {eigenvalues[0]:.6g}; {ev.sampling()}"
    size = float(max(np.abs(W).max(), np.abs(minimiser).max()))
    condition = float(eigenvalues[-1] / eigenvalues[ev.dim - rank]) if rank else 1.0
    error = (1e-14 * condition + ev.rtol) * size * ev.dim + ev.atol
    distance = np.linalg.norm(W - minimiser, axis=(1, 2))
    if rank < ev.dim:
        kernel = vectors[:, : ev.dim - rank]
        limit = minimiser + W[0] @ kernel @ kernel.T
        reached = float(np.linalg.norm(W[-1] - limit))
        text += (
            f"; on the kernel of XXᵀ W keeps its initial value, so the limit is Y_ext X⁺ + W(0)(1 − XX⁺), "
            f"now {reached:.4g} away"
        )
        return not_met(text, series={"distance": ev.along(distance)})
    bound = distance[0] * np.exp(-eigenvalues[0] * ev.s)
    ratio = distance / (bound + error)
    text += f"; ‖W − Y_ext X⁺‖ = {distance[-1]:.4g} at s = {ev.s[-1]:.6g}; distance over its bound"
    series = {"distance": ev.along(distance), "bound": ev.along(bound)}
    return compare(text, largest_later(ratio), 1.0, series)
