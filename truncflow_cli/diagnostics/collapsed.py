"""Section 8: the conserved matrix, the propagators, and Theorem 8.4 with its bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.certificate import Certificate
from truncflow_cli.diagnostics.analysis import Evidence
from truncflow_cli.diagnostics.propagators import PROPAGATORS, propagators
from truncflow_cli.diagnostics.statement import Statement, largest_later
from truncflow_cli.problem import Array

#: Share of a bound that rounding and the tolerances may add.
BOUND_SHARE = 1e-9

INVARIANT = Statement("invariant", "Prop. 8.3, (8.21)", "I = BBᵀ − WᵀW is conserved: I(s) = I(0)")
LOSS_BOUND = Statement("loss_bound", "Thm 8.4, (8.27)", "C(s) ≤ e^{−2λ₀s} C(0) at all times")
NORM_BOUNDS = Statement(
    "norm_bounds",
    "(8.34)-(8.37) corrected",
    "‖W‖ ≤ (‖Y‖ + √(2C(0)) e^{−λ₀s})/√λ₀ =: c_W and ‖B‖² ≤ ‖I(0)‖ + c_W² if I(0) > λ₀; "
    "with W and B exchanged if −I(0) > λ₀",
)
LIMIT = Statement(
    "limit",
    "(8.28), (8.29), (8.38), (8.39)",
    "WB → −Y, and B and W converge: what is left of their way at s is at most c √(2C(0)) e^{−λ₀s}/λ₀, "
    "c the bound of the other's norm",
)
STATEMENTS = (INVARIANT, PROPAGATORS, LOSS_BOUND, NORM_BOUNDS, LIMIT)


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


def certificates(ev: Evidence) -> list[Certificate]:
    """Certify 7 of the list."""
    if ev.flow != "collapsed":
        return [
            statement.not_applicable(f"about the collapsed flow; this run's flow is {ev.flow}")
            for statement in STATEMENTS
        ]
    B = np.asarray(ev.run.B, dtype=np.float64)[ev.times]
    W = np.asarray(ev.run.W, dtype=np.float64)[ev.times]
    gap = spectral_gap(B[0], W[0])
    found = [_invariant(ev, B, W), propagators(ev, B, W)]
    if gap.rate <= 0.0:
        text = f"{gap.text}: I(0) is neither positive nor negative definite, no λ₀ > 0"
        return [*found, *(statement.not_met(text) for statement in (LOSS_BOUND, NORM_BOUNDS, LIMIT))]
    return [*found, _loss_bound(ev, B, W, gap), _norm_bounds(ev, B, W, gap), _limit(ev, B, W, gap)]


def _norm(A: Array) -> Array:
    """Return the operator norm of A (M, a, b), (M,)."""
    return np.asarray(np.linalg.norm(A, ord=2, axis=(1, 2)))


def _state_error(ev: Evidence, B: Array, W: Array) -> float:
    """Return the error of B and W that the tolerances allow."""
    size = float(max(np.abs(B).max(), np.abs(W).max()))
    return (ev.rtol + 1e-14) * size + ev.atol


def _invariant(ev: Evidence, B: Array, W: Array) -> Certificate:
    invariant = B @ B.swapaxes(1, 2) - W.swapaxes(1, 2) @ W
    drift = _norm(invariant - invariant[0])
    size = float(max(_norm(B).max(), _norm(W).max()))
    bound = 2.0 * size * _state_error(ev, B, W)
    start = float(_norm(invariant[:1])[0])
    text = f"{ev.sampling()}; ‖I(0)‖ = {start:.6g}, rtol {ev.rtol:.3g}, atol {ev.atol:.3g}"
    return INVARIANT.compare(text, float(drift.max()), bound, {"drift": ev.along(drift)})


def _loss_floor(ev: Evidence, B: Array, W: Array) -> float:
    """Return the loss that errors of the size of the tolerances leave when WB has reached −Y."""
    error = 2.0 * B.shape[1] * float(max(_norm(B).max(), _norm(W).max())) * _state_error(ev, B, W)
    return 0.5 * float(10.0 * error) ** 2


def _loss_bound(ev: Evidence, B: Array, W: Array, gap: Gap) -> Certificate:
    bound = np.exp(-2.0 * gap.rate * ev.s) * ev.loss[0]
    floor = _loss_floor(ev, B, W)
    ratio = ev.loss / np.maximum(bound * (1.0 + BOUND_SHARE) + floor, np.finfo(np.float64).tiny)
    text = (
        f"{gap.text}: λ0 = {gap.rate:.6g}; {ev.sampling()}; C over its bound, {floor:.2g} added for rtol and "
        f"atol{measured_rate(ev.s, ev.loss, floor)}"
    )
    series = {"bound": ev.along(bound), "ratio": ev.along(ratio)}
    return LOSS_BOUND.compare(text, largest_later(ratio), 1.0, series)


def measured_rate(s: Array, loss: Array, floor: float) -> str:
    """Say how fast the loss (M,) has fallen on average, up to where it is above a floor."""
    above = np.flatnonzero(loss > max(100.0 * floor, np.finfo(np.float64).tiny))
    last = int(above[-1]) if above.size else 0
    if s[last] <= 0.0:
        return ""
    return f"; on average it falls like e^{{−{np.log(loss[0] / loss[last]) / s[last]:.6g} s}}"


def _constants(ev: Evidence, B: Array, W: Array, gap: Gap) -> tuple[Array, Array, float]:
    """Return the bounds of ‖W‖ and ‖B‖ at all times (M,), and √(2C(0))."""
    residual = float(np.sqrt(2.0 * ev.loss[0]))
    Y = float(np.linalg.norm(ev.run.y.T, ord=2))
    invariant = float(_norm((B[0] @ B[0].T - W[0].T @ W[0])[None])[0])
    near = (Y + residual * np.exp(-gap.rate * ev.s)) / np.sqrt(gap.rate)
    far = np.sqrt(invariant + near**2)
    return (near, far, residual) if gap.of == "B" else (far, near, residual)


def _norm_bounds(ev: Evidence, B: Array, W: Array, gap: Gap) -> Certificate:
    bound_W, bound_B, _ = _constants(ev, B, W, gap)
    norm_W, norm_B = _norm(W), _norm(B)
    error = max(_state_error(ev, B, W), float(np.finfo(np.float64).tiny))
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
    return NORM_BOUNDS.compare(text, float(ratio.max()), 1.0 + BOUND_SHARE, series)


def _limit(ev: Evidence, B: Array, W: Array, gap: Gap) -> Certificate:
    bound_W, bound_B, residual = _constants(ev, B, W, gap)
    # From (8.38): ∫_s^{s_end} ‖E‖‖B‖, with ‖E‖ ≤ √(2C(0)) e^{−λ₀ s'} and ‖B‖ ≤ its bound at s.
    left = residual * np.exp(-gap.rate * ev.s) * -np.expm1(-gap.rate * (ev.s[-1] - ev.s)) / gap.rate
    error = 10.0 * _state_error(ev, B, W) * ev.dim
    tiny = np.finfo(np.float64).tiny
    way_W = np.linalg.norm(W - W[-1], axis=(1, 2)) / np.maximum(bound_B * left + error, tiny)
    way_B = np.linalg.norm(B - B[-1], axis=(1, 2)) / np.maximum(bound_W * left + error, tiny)
    distance = np.sqrt(2.0 * ev.loss)
    close = distance / np.maximum(
        residual * np.exp(-gap.rate * ev.s) + np.sqrt(2.0 * _loss_floor(ev, B, W)), tiny
    )
    ratio = np.maximum(np.maximum(way_W, way_B), close)
    text = (
        f"{gap.text}: λ0 = {gap.rate:.6g}; {ev.sampling()}; ‖WB + Y‖ = {distance[-1]:.4g} "
        f"at s = {ev.s[-1]:.6g}; "
        f"distances to the end state and to −Y over their bounds"
    )
    series = {"distance": ev.along(distance), "ratio": ev.along(ratio)}
    return LIMIT.compare(text, largest_later(ratio), 1.0 + BOUND_SHARE, series)
