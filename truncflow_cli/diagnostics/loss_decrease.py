"""Theorem 3.2: the loss decreases, both parts of its derivative are non-positive, and its balance closes."""

from __future__ import annotations

import numpy as np

from truncflow_cli.certificate import Certificate
from truncflow_cli.diagnostics.analysis import Evidence, Mask
from truncflow_cli.diagnostics.descent import descent
from truncflow_cli.diagnostics.statement import Statement
from truncflow_cli.problem import Array

#: Relative rounding of a loss that two programs sum up in their own order.
ROUNDING_OF_LOSS = 1e-12

STORED = Statement(
    "stored_loss",
    "(2.26), (8.2), (9.3)",
    "the loss in the file is that of the saved states, by a plain forward pass",
)
MONOTONE = Statement("loss_monotone", "(3.27)", "the loss never increases along the flow")
PARTS = Statement(
    "gradient_parts",
    "(3.28), (3.29)",
    "(∂_β C)·∂_s β ≤ 0 and Tr((∂_R C)ᵀ ∂_s R) ≤ 0 separately, for every layer at every time",
)
BALANCE = Statement(
    "energy_balance",
    "(3.27)-(3.29)",
    "the loss falls by exactly the integral of the squared gradient norm: D(s) = 0",
)
DISSIPATION = Statement(
    "dissipation",
    "(3.27)-(3.29)",
    "between two saved times the loss falls by at least (distance travelled)²/(time passed), as "
    "it must along a gradient flow",
)


def certificates(ev: Evidence) -> list[Certificate]:
    """Certify 1 of the list: stored loss, monotone decrease, both parts, balance, and dissipation."""
    return [_stored(ev), _monotone(ev), _parts(ev), _balance(ev), _dissipation(ev)]


def balance_tolerance(ev: Evidence) -> float:
    """Return what |D(s)| may reach for the tolerances that the run was asked for."""
    return ev.loss_error


def _asked(ev: Evidence) -> str:
    return f"rtol {ev.rtol:.3g}, atol {ev.atol:.3g}, C(0) = {ev.loss[0]:.4g}"


def _stored(ev: Evidence) -> Certificate:
    stored_parts = np.asarray(ev.run.loss_cluster, dtype=np.float64)[ev.times]
    stored = np.asarray(ev.run.loss, dtype=np.float64)[ev.times]
    difference = np.maximum(
        np.abs(stored - ev.loss), np.abs(stored_parts - ev.loss_cluster).max(axis=1, initial=0.0)
    )
    # Rounding of a sum of squares |r|², each r a difference of numbers of the size of `length`.
    length = _length(ev)
    allowed = ROUNDING_OF_LOSS * (ev.loss + np.sqrt(2.0 * ev.loss) * length + ROUNDING_OF_LOSS * length**2)
    m = int(np.argmax(difference - allowed))
    text = f"{ev.sampling()}; largest difference at s = {ev.s[m]:.6g}"
    return STORED.compare(text, float(difference[m]), float(allowed[m]), {"difference": ev.along(difference)})


def _length(ev: Evidence) -> float:
    """Return the size of what is subtracted in a residual."""
    if ev.layered:
        return ev.reach
    labels = float(np.linalg.norm(ev.run.y, axis=1).max(initial=0.0))
    W = np.abs(np.asarray(ev.run.W)).max(initial=0.0) * ev.dim
    inputs = (
        np.abs(ev.x).max(initial=0.0)
        if ev.flow == "clustered"
        else np.abs(np.asarray(ev.run.B)).max(initial=0.0)
    )
    return max(labels, float(W * inputs))


def _monotone(ev: Evidence) -> Certificate:
    growth = np.diff(ev.loss, prepend=ev.loss[:1])
    growth[_across_switch(ev)] = 0.0
    worst = float(growth.max(initial=0.0))
    at = float(ev.s[int(np.argmax(growth))])
    text = f"{ev.sampling()}; {_asked(ev)}; largest growth from one to the next {worst:.3g}"
    if worst > 0.0:
        text += f", up to s = {at:.6g}"
    text += _switch_text(ev)
    series = {"loss": ev.along(ev.loss), "growth": ev.along(growth)}
    return MONOTONE.compare(text, worst, ev.loss_error, series)


def _across_switch(ev: Evidence) -> Mask:
    """At which evaluated times another flow holds than at the one before: the two losses may differ, (M,) bool."""
    return np.concatenate([[False], ev.own_layer_only[1:] != ev.own_layer_only[:-1]])


def _switch_text(ev: Evidence) -> str:
    return (
        f"; without the switch to general at s = {ev.switched_at:.6g}" if np.isfinite(ev.switched_at) else ""
    )


def _parts(ev: Evidence) -> Certificate:
    if not ev.layered:
        return _parts_of_output(ev)
    found = descent(ev)
    both = np.maximum(found.beta_part, found.R_part).max(axis=1)
    seen = np.isfinite(both)
    if not seen.any():
        return PARTS.not_met(
            "every saved time lies on a pinned surface, where the printed field has no value"
        )
    size = float(found.size[seen].max())
    worst = float(both[seen].max())
    m = int(np.flatnonzero(seen)[np.argmax(both[seen])])
    layer = int(np.argmax(np.maximum(found.beta_part[m], found.R_part[m])))
    text = ev.sampling()
    if ev.printed:
        positive = int(np.count_nonzero(both[seen] > 1e-12 * size))
        text += (
            f"; Ω as printed, without −½zzᵀ: the gradient is that of the loss; positive at {positive} times"
        )
    if worst > 1e-12 * size:
        text += f"; largest at s = {ev.s[m]:.6g}, layer {layer}"
    if found.pinned:
        text += f"; {found.pinned} on pinned surfaces"
        text += f", {found.left_out} of them left out" if found.left_out else ", least-norm element taken"
    if ev.frozen:
        text += "; rotation frozen, so the second part is 0"
    series = {
        "beta_part": ev.along(found.beta_part.sum(axis=1)),
        "R_part": ev.along(found.R_part.sum(axis=1)),
        "largest_part": ev.along(both),
    }
    return PARTS.compare(text, worst, 1e-12 * size, series)


def _parts_of_output(ev: Evidence) -> Certificate:
    """Return the same for `collapsed` and `clustered`: −‖∂_W C‖² and −‖∂_B C‖², by (8.6), (8.7), (9.7)."""
    W = np.asarray(ev.run.W, dtype=np.float64)[ev.times]
    if ev.flow == "collapsed":
        B = np.asarray(ev.run.B, dtype=np.float64)[ev.times]
        E = W @ B + ev.run.y.T
        parts = {"B_part": W.swapaxes(1, 2) @ E, "W_part": E @ B.swapaxes(1, 2)}
    else:
        weighted = ev.x * ev.point_weights[:, None]
        parts = {"W_part": W @ (ev.x.T @ weighted) - ev.run.y[ev.cluster].T @ weighted}
    series = {name: -np.einsum("tij,tij->t", part, part) for name, part in parts.items()}
    worst = float(max(part.max(initial=-np.inf) for part in series.values()))
    text = f"{ev.sampling()}; here the parts are those of {' and '.join(name[0] for name in series)}"
    return PARTS.compare(text, worst, 0.0, {name: ev.along(part) for name, part in series.items()})


def _balance(ev: Evidence) -> Certificate:
    D = np.asarray(ev.run.energy_balance, dtype=np.float64)
    worst = float(np.abs(D).max(initial=0.0)) if np.isfinite(D).all() else np.nan
    text = f"D(s) as integrated with the state, {_asked(ev)}"
    return BALANCE.compare(text, worst, balance_tolerance(ev), {"energy_balance": D})


def _dissipation(ev: Evidence) -> Certificate:
    if ev.s.size < 2:
        return DISSIPATION.not_met("a single saved time")
    needed = _distance_squared(ev) / np.diff(ev.s)
    fallen = -np.diff(ev.loss)
    shortfall = np.concatenate([[0.0], needed - fallen])
    shortfall[_across_switch(ev)] = 0.0
    worst = float(shortfall.max())
    m = int(np.argmax(shortfall))
    text = f"{ev.sampling()}; by Cauchy-Schwarz, dC/ds = −(speed)²; {_asked(ev)}{_switch_text(ev)}"
    bound = ev.loss_error
    if worst > bound:
        text += f"; falls short most on s = {ev.s[m - 1]:.6g} … {ev.s[m]:.6g}"
    return DISSIPATION.compare(text, worst, bound, {"shortfall": ev.along(shortfall)})


def _distance_squared(ev: Evidence) -> Array:
    """Return |Δβ|² + ‖ΔR‖² (or that of B, W) between successive evaluated times, (M−1,).

    These are chords, shorter than the way that was travelled.
    """
    names = ("beta", "R") if ev.layered else ("B", "W")
    total = np.zeros(ev.s.size - 1)
    for name in names:
        state = getattr(ev.run, name)
        if state is not None:
            step = np.diff(np.asarray(state, dtype=np.float64)[ev.times], axis=0).reshape(ev.s.size - 1, -1)
            total += np.einsum("td,td->t", step, step)
    return total
