"""Theorem 3.2: the loss decreases, both parts of its derivative are non-positive, and its balance closes."""

from __future__ import annotations

import numpy as np

from truncflow_cli.diagnostics.analysis import Mask, RunAnalysis, has_states
from truncflow_cli.diagnostics.certificates import another_way, certificate
from truncflow_cli.diagnostics.descent import descent
from truncflow_cli.diagnostics.layered import LayeredAnalysis
from truncflow_cli.diagnostics.outcome import Outcome, compare, not_met
from truncflow_cli.diagnostics.output_weight import OutputAnalysis
from truncflow_cli.problem import Array

#: Relative rounding of a loss that two programs sum up in their own order.
ROUNDING_OF_LOSS = 1e-12


@certificate(
    "stored_loss",
    order=2.0,
    source="(2.26), (8.2), (9.3)",
    statement="the loss in the file is that of the saved states, by a plain forward pass",
    meaning="The loss is worked out again from the saved states, by another way than the solver's. "
    "If it differs, the curve of the loss is not to be trusted.",
    applies=RunAnalysis,
    needs=(has_states,),
)
def stored_loss(ev: RunAnalysis) -> Outcome:
    """Compare the stored loss with that of the flow's own analysis."""
    stored_parts, stored = ev.evaluated(ev.run.loss_cluster), ev.evaluated(ev.run.loss)
    difference = np.maximum(
        np.abs(stored - ev.loss), np.abs(stored_parts - ev.loss_cluster).max(axis=1, initial=0.0)
    )
    # Rounding of a sum of squares |r|², each r a difference of numbers of the size of `length`.
    length = ev.residual_size
    allowed = ROUNDING_OF_LOSS * (ev.loss + np.sqrt(2.0 * ev.loss) * length + ROUNDING_OF_LOSS * length**2)
    m = int(np.argmax(difference - allowed))
    text = f"{ev.sampling()}; largest difference at s = {ev.s[m]:.6g}"
    return compare(text, difference[m], allowed[m], {"difference": ev.along(difference)})


@certificate(
    "loss_monotone",
    order=3.0,
    source="(3.27)",
    statement="the loss never increases along the flow",
    meaning="Along a gradient flow the loss can only fall. A rise beyond the tolerance would mean that "
    "what was integrated is not the gradient flow.",
    applies=RunAnalysis,
)
def loss_monotone(ev: RunAnalysis) -> Outcome:
    """Look for growth from one evaluated time to the next."""
    growth = np.diff(ev.loss, prepend=ev.loss[:1])
    growth[_across_switch(ev)] = 0.0
    worst = float(growth.max(initial=0.0))
    text = f"{ev.sampling()}; {ev.asked()}; largest growth from one to the next {worst:.3g}"
    if worst > 0.0:
        text += f", up to s = {ev.s[int(np.argmax(growth))]:.6g}"
    series = {"loss": ev.along(ev.loss), "growth": ev.along(growth)}
    return compare(text + _switch_text(ev), worst, ev.loss_error, series)


def _across_switch(ev: RunAnalysis) -> Mask:
    """At which evaluated times another flow holds than at the one before: the two losses may differ, (M,) bool."""
    return np.concatenate([[False], ev.own_layer_only[1:] != ev.own_layer_only[:-1]])


def _switch_text(ev: RunAnalysis) -> str:
    return (
        f"; without the switch to general at s = {ev.switched_at:.6g}" if np.isfinite(ev.switched_at) else ""
    )


@certificate(
    "gradient_parts",
    order=3.0,
    source="(3.28), (3.29)",
    statement="(∂_β C)·∂_s β ≤ 0 and Tr((∂_R C)ᵀ ∂_s R) ≤ 0 separately, for every layer at every time",
    meaning="Moving the biases alone lowers the loss, and so does turning the rotations alone: neither "
    "works against the other.",
    applies=LayeredAnalysis,
)
def gradient_parts(ev: LayeredAnalysis) -> Outcome:
    """Evaluate both parts of dC/ds, layer by layer."""
    found = descent(ev)
    both = np.maximum(found.beta_part, found.R_part).max(axis=1)
    seen = np.isfinite(both)
    if not seen.any():
        return not_met("every saved time lies on a pinned surface, where the printed field has no value")
    size = float(found.size[seen].max())
    worst = float(both[seen].max())
    text = ev.sampling()
    if ev.printed:
        positive = int(np.count_nonzero(both[seen] > 1e-12 * size))
        text += (
            f"; Ω as printed, without −½zzᵀ: the gradient is that of the loss; positive at {positive} times"
        )
    if worst > 1e-12 * size:
        m = int(np.flatnonzero(seen)[np.argmax(both[seen])])
        layer = int(np.argmax(np.maximum(found.beta_part[m], found.R_part[m])))
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
    return compare(text, worst, 1e-12 * size, series)


@another_way("gradient_parts", applies=OutputAnalysis)
def gradient_parts_of_output(ev: OutputAnalysis) -> Outcome:
    """Evaluate −‖∂_W C‖², and −‖∂_B C‖² where B moves."""
    parts = {f"{name}_part": -np.einsum("tij,tij->t", part, part) for name, part in ev.gradients().items()}
    worst = max(float(part.max(initial=-np.inf)) for part in parts.values())
    text = f"{ev.sampling()}; here the parts are those of {' and '.join(ev.gradients())}"
    return compare(text, worst, 0.0, {name: ev.along(part) for name, part in parts.items()})


@certificate(
    "energy_balance",
    order=3.0,
    source="(3.27)-(3.29)",
    statement="the loss falls by exactly the integral of the squared gradient norm: D(s) = 0",
    meaning="The run's own measure of its error: what the loss has lost against what the gradient has "
    "used up. It is zero for an exact solution, so it says how far the trajectory can be trusted.",
    applies=RunAnalysis,
)
def energy_balance(ev: RunAnalysis) -> Outcome:
    """Look at D(s) as it was saved."""
    D = np.asarray(ev.run.energy_balance, dtype=np.float64)
    worst = float(np.abs(D).max(initial=0.0)) if np.isfinite(D).all() else np.nan
    text = f"D(s) as integrated with the state, {ev.asked()}"
    return compare(text, worst, ev.loss_error, {"energy_balance": D})


@certificate(
    "dissipation",
    order=3.0,
    source="(3.27)-(3.29)",
    statement="between two saved times the loss falls by at least (distance travelled)²/(time passed), as "
    "it must along a gradient flow",
    meaning="To travel a distance in a given time the flow has to use up a least amount of loss. A test on "
    "the saved states alone, which the solver cannot have built in.",
    applies=RunAnalysis,
    needs=(has_states,),
)
def dissipation(ev: RunAnalysis) -> Outcome:
    """Compare the fall of the loss with the chords between evaluated times, shorter than the way that was travelled."""
    if ev.s.size < 2:
        return not_met("a single saved time")
    needed = sum(map(_squared_steps, ev.states)) / np.diff(ev.s)
    shortfall = np.concatenate([[0.0], needed + np.diff(ev.loss)])
    shortfall[_across_switch(ev)] = 0.0
    worst = float(shortfall.max())
    m = int(np.argmax(shortfall))
    text = f"{ev.sampling()}; by Cauchy-Schwarz, dC/ds = −(speed)²; {ev.asked()}{_switch_text(ev)}"
    if worst > ev.loss_error:
        text += f"; falls short most on s = {ev.s[m - 1]:.6g} … {ev.s[m]:.6g}"
    return compare(text, worst, ev.loss_error, {"shortfall": ev.along(shortfall)})


def _squared_steps(state: Array) -> Array:
    """Return |Δ|² between successive evaluated times, (M−1,)."""
    step = np.diff(state, axis=0).reshape(state.shape[0] - 1, -1)
    return np.asarray(np.einsum("td,td->t", step, step))
