"""Lemma 8.1: the propagators (8.9), integrated once more along the flow from saved states."""

from __future__ import annotations

import numpy as np

from truncflow_cli.diagnostics.certificates import certificate
from truncflow_cli.diagnostics.outcome import Outcome, compare, not_met
from truncflow_cli.diagnostics.output_weight import CollapsedAnalysis
from truncflow_cli.problem import Array

TINY = float(np.finfo(np.float64).tiny)
#: Length of a stretch times the largest eigenvalue on it: ‖U‖ stays well above rounding, nothing is stiff.
STRETCH = 20.0
#: Stretches, spread over the run.
STRETCHES = 8
#: Times on each at which the propagators are looked at.
SAMPLES = 41
#: log‖U‖ + λ(s − s₀) may exceed 0 by this, from the integration.
LOG_ERROR = 1e-5


@certificate(
    "propagators",
    order=8.2,
    source="Lemma 8.1, (8.9), (8.13)",
    statement="‖U_B(s)‖ ≤ e^{−λs} if BBᵀ ≥ λ > 0 at all times, and ‖U_W(s)‖ ≤ e^{−λs} if WᵀW ≥ λ > 0",
    meaning="The linear maps that carry the state forward contract at the rate that the lemma gives.",
    applies=CollapsedAnalysis,
)
def propagators(ev: CollapsedAnalysis) -> Outcome:
    """Integrate ∂U_B = −U_B BBᵀ, ∂U_W = −WᵀW U_W from saved states of a run."""
    B, W = ev.states
    fastest = float(
        max(np.linalg.norm(B, ord=2, axis=(1, 2)).max(), np.linalg.norm(W, ord=2, axis=(1, 2)).max()) ** 2
    )
    length = STRETCH / fastest if fastest > 0.0 else np.inf
    found = []
    for m in np.unique(np.linspace(0, ev.s.size - 1, STRETCHES + 1).astype(np.int64)[:-1]):
        stop = min(float(ev.s[-1]), float(ev.s[m]) + length)
        s = np.linspace(ev.s[m], stop, SAMPLES) if stop > ev.s[m] else ev.s[m : m + 1]
        found.append((s - s[0], *integrate(B[m], W[m], ev.run.y.T, s)))
    rate_B = min(_least(path @ path.swapaxes(1, 2)) for _, path, _, _, _ in found)
    rate_W = min(_least(path.swapaxes(1, 2) @ path) for _, _, path, _, _ in found)
    text = (
        f"integrated from {len(found)} of the saved states over Δs ≤ {min(length, float(ev.s[-1])):.4g}; "
        f"BBᵀ ≥ {rate_B:.6g} and WᵀW ≥ {rate_W:.6g} there"
    )
    definite = [
        (rate, which) for rate, which in ((rate_B, 3), (rate_W, 4)) if rate > 1e-12 * max(fastest, TINY)
    ]
    if not definite:
        return not_met(f"{text}: neither is bounded below by a λ > 0")
    worst = max(
        float((np.log(np.linalg.norm(part[which], ord=2, axis=(1, 2))) + rate * part[0]).max())
        for rate, which in definite
        for part in found
    )
    return compare(f"{text}; log‖U(s, s₀)‖ + λ(s − s₀)", worst, LOG_ERROR)


def _least(A: Array) -> float:
    return float(np.linalg.eigvalsh(A)[:, 0].min())


def integrate(B: Array, W: Array, Y: Array, s: Array) -> tuple[Array, Array, Array, Array]:
    """Return B (S, Q, C), W, U_B and U_W (S, Q, Q) at times s (S,), from B (Q, C), W (Q, Q) at s[0].

    Y (Q, C) are the labels, as columns.
    """
    # Imported where it is needed: the other flows are certified without it, and sooner.
    from scipy.integrate import solve_ivp

    dim, n = B.shape
    stops = np.cumsum([dim * n, dim * dim, dim * dim, dim * dim]).tolist()
    shapes = ((dim, n), (dim, dim), (dim, dim), (dim, dim))

    def split(state: Array) -> list[Array]:
        starts = (0, *stops[:-1])
        return [
            state[start:stop].reshape(*shape, *state.shape[1:])
            for start, stop, shape in zip(starts, stops, shapes, strict=True)
        ]

    def field(_: float, state: Array) -> Array:
        b, w, u_b, u_w = split(state)
        E = w @ b + Y
        parts = (-w.T @ E, -E @ b.T, -u_b @ (b @ b.T), -(w.T @ w) @ u_w)
        return np.concatenate([part.ravel() for part in parts])

    start = np.concatenate([B.ravel(), W.ravel(), np.eye(dim).ravel(), np.eye(dim).ravel()])
    if s.size == 1:
        states = start[:, None]
    else:
        states = solve_ivp(field, (s[0], s[-1]), start, "DOP853", s, rtol=1e-10, atol=1e-16).y
    b, w, u_b, u_w = (np.moveaxis(part, -1, 0) for part in split(states))
    return b, w, u_b, u_w
