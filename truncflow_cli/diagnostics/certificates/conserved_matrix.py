"""Section 8: the conserved matrix, and Theorem 8.4 with its bounds."""

from __future__ import annotations

import numpy as np

from truncflow_cli.diagnostics.certificates import certificate
from truncflow_cli.diagnostics.outcome import Outcome, compare, largest_later, not_met
from truncflow_cli.diagnostics.output_weight import CollapsedAnalysis
from truncflow_cli.problem import Array

#: Share of a bound that rounding and the tolerances may add.
BOUND_SHARE = 1e-9


def _norm(A: Array) -> Array:
    """Return the operator norm of A (M, a, b), (M,)."""
    return np.asarray(np.linalg.norm(A, ord=2, axis=(1, 2)))


def _size(ev: CollapsedAnalysis) -> float:
    """Return the largest norm of B and W."""
    return float(max(_norm(part).max() for part in ev.states))


def _indefinite(ev: CollapsedAnalysis) -> Outcome | None:
    """Return what is said of every bound if there is no λ₀ > 0."""
    if ev.gap.rate > 0.0:
        return None
    return not_met(f"{ev.gap.text}: I(0) is neither positive nor negative definite, no λ₀ > 0")


@certificate(
    "invariant",
    order=8.1,
    source="Prop. 8.3, (8.21)",
    statement="I = BBᵀ − WᵀW is conserved: I(s) = I(0)",
    meaning="A quantity that the flow of biases and output weight conserves; how far it drifts is an error of "
    "the integration.",
    applies=CollapsedAnalysis,
)
def invariant(ev: CollapsedAnalysis) -> Outcome:
    """Measure its drift."""
    B, W = ev.states
    conserved = B @ B.swapaxes(1, 2) - W.swapaxes(1, 2) @ W
    drift = _norm(conserved - conserved[0])
    bound = 2.0 * _size(ev) * ev.state_error
    start = float(_norm(conserved[:1])[0])
    text = f"{ev.sampling()}; ‖I(0)‖ = {start:.6g}, rtol {ev.rtol:.3g}, atol {ev.atol:.3g}"
    return compare(text, drift.max(), bound, {"drift": ev.along(drift)})


def _loss_floor(ev: CollapsedAnalysis) -> float:
    """Return the loss that errors of the size of the tolerances leave when WB has reached −Y."""
    error = 2.0 * ev.dim * _size(ev) * ev.state_error
    return 0.5 * float(10.0 * error) ** 2


@certificate(
    "loss_bound",
    order=8.4,
    source="Thm 8.4, (8.27)",
    statement="C(s) ≤ e^{−2λ₀s} C(0) at all times",
    meaning="The theorem's promise of exponential decay: the loss stays below its bound at all times.",
    applies=CollapsedAnalysis,
)
def loss_bound(ev: CollapsedAnalysis) -> Outcome:
    """Compare the loss with its bound."""
    gap = ev.gap
    if indefinite := _indefinite(ev):
        return indefinite
    bound = np.exp(-2.0 * gap.rate * ev.s) * ev.loss[0]
    floor = _loss_floor(ev)
    ratio = ev.loss / np.maximum(bound * (1.0 + BOUND_SHARE) + floor, np.finfo(np.float64).tiny)
    text = (
        f"{gap.text}: λ0 = {gap.rate:.6g}; {ev.sampling()}; C over its bound, {floor:.2g} added for rtol and "
        f"atol{measured_rate(ev.s, ev.loss, floor)}"
    )
    series = {"bound": ev.along(bound), "ratio": ev.along(ratio)}
    return compare(text, largest_later(ratio), 1.0, series)


def measured_rate(s: Array, loss: Array, floor: float) -> str:
    """Say how fast the loss (M,) has fallen on average, up to where it is above a floor."""
    above = np.flatnonzero(loss > max(100.0 * floor, np.finfo(np.float64).tiny))
    last = int(above[-1]) if above.size else 0
    if s[last] <= 0.0:
        return ""
    return f"; on average it falls like e^{{−{np.log(loss[0] / loss[last]) / s[last]:.6g} s}}"


def _constants(ev: CollapsedAnalysis) -> tuple[Array, Array, float]:
    """Return the bounds of ‖W‖ and ‖B‖ at all times (M,), and √(2C(0))."""
    (B, W), gap = ev.states, ev.gap
    residual = float(np.sqrt(2.0 * ev.loss[0]))
    Y = float(np.linalg.norm(ev.run.y.T, ord=2))
    start = float(_norm((B[0] @ B[0].T - W[0].T @ W[0])[None])[0])
    near = (Y + residual * np.exp(-gap.rate * ev.s)) / np.sqrt(gap.rate)
    far = np.sqrt(start + near**2)
    return (near, far, residual) if gap.of == "B" else (far, near, residual)


@certificate(
    "norm_bounds",
    order=8.4,
    source="(8.34)-(8.37) corrected",
    statement="‖W‖ ≤ (‖Y‖ + √(2C(0)) e^{−λ₀s})/√λ₀ =: c_W and ‖B‖² ≤ ‖I(0)‖ + c_W² if I(0) > λ₀; "
    "with W and B exchanged if −I(0) > λ₀",
    meaning="Bias and output weight stay bounded as the theorem says: neither runs away.",
    applies=CollapsedAnalysis,
)
def norm_bounds(ev: CollapsedAnalysis) -> Outcome:
    """Compare both norms with their bounds."""
    gap = ev.gap
    if indefinite := _indefinite(ev):
        return indefinite
    bound_W, bound_B, _ = _constants(ev)
    norm_W, norm_B = _norm(ev.W), _norm(ev.B)
    error = max(ev.state_error, float(np.finfo(np.float64).tiny))
    ratio = np.maximum(norm_W / (bound_W + error), norm_B / (bound_B + error))
    text = (
        f"{gap.text}: λ0 = {gap.rate:.6g}; {ev.sampling()}; largest ‖W‖ = {norm_W.max():.6g} "
        f"(bound {bound_W[0]:.6g}), ‖B‖ = {norm_B.max():.6g} (bound {bound_B[0]:.6g})"
    )
    series = {
        "norm_W": ev.along(norm_W),
        "bound_W": ev.along(bound_W),
        "norm_B": ev.along(norm_B),
        "bound_B": ev.along(bound_B),
    }
    return compare(text, ratio.max(), 1.0 + BOUND_SHARE, series)


@certificate(
    "limit",
    order=8.4,
    source="(8.28), (8.29), (8.38), (8.39)",
    statement="WB → −Y, and B and W converge: what is left of their way at s is at most c √(2C(0)) e^{−λ₀s}/λ₀, "
    "c the bound of the other's norm",
    meaning="The product of output weight and biases tends to minus the labels, and both factors converge.",
    applies=CollapsedAnalysis,
)
def limit(ev: CollapsedAnalysis) -> Outcome:
    """Compare the distances to the end state and to −Y with their bounds."""
    (B, W), gap = ev.states, ev.gap
    if indefinite := _indefinite(ev):
        return indefinite
    bound_W, bound_B, residual = _constants(ev)
    # From (8.38): ∫_s^{s_end} ‖E‖‖B‖, with ‖E‖ ≤ √(2C(0)) e^{−λ₀ s'} and ‖B‖ ≤ its bound at s.
    left = residual * np.exp(-gap.rate * ev.s) * -np.expm1(-gap.rate * (ev.s[-1] - ev.s)) / gap.rate
    error = 10.0 * ev.state_error * ev.dim
    tiny = np.finfo(np.float64).tiny
    way_W = np.linalg.norm(W - W[-1], axis=(1, 2)) / np.maximum(bound_B * left + error, tiny)
    way_B = np.linalg.norm(B - B[-1], axis=(1, 2)) / np.maximum(bound_W * left + error, tiny)
    distance = np.sqrt(2.0 * ev.loss)
    close = distance / np.maximum(residual * np.exp(-gap.rate * ev.s) + np.sqrt(2.0 * _loss_floor(ev)), tiny)
    ratio = np.maximum(np.maximum(way_W, way_B), close)
    text = (
        f"{gap.text}: λ0 = {gap.rate:.6g}; {ev.sampling()}; ‖WB + Y‖ = {distance[-1]:.4g} "
        f"at s = {ev.s[-1]:.6g}; "
        f"distances to the end state and to −Y over their bounds"
    )
    series = {"distance": ev.along(distance), "ratio": ev.along(ratio)}
    return compare(text, largest_later(ratio), 1.0 + BOUND_SHARE, series)
