"""Proposition 4.2: a cluster that starts concentrated enough is wholly truncated by a known time."""

from __future__ import annotations

import math

import numpy as np

from truncflow_cli.diagnostics.certificates import certificate
from truncflow_cli.diagnostics.concentration import Concentration, concentration
from truncflow_cli.diagnostics.layered import LayeredAnalysis, own_layers
from truncflow_cli.diagnostics.outcome import Outcome, compare, largest_later, not_met
from truncflow_cli.events import Kind, of_kind
from truncflow_cli.problem import Array

#: Clusters named one by one in the hypothesis; the others are counted.
NAMED = 4


def _concentrations(ev: LayeredAnalysis) -> list[Concentration]:
    return [
        concentration(
            ev.points(k), ev.run.y_tilde[k], ev.R[0, k], ev.beta[0, k], turns=not ev.frozen, index=group
        )
        for k, group in enumerate(ev.groups)
    ]


@certificate(
    "full_truncation",
    order=4.2,
    source="Prop. 4.2, (4.30)",
    statement="the whole cluster is truncated from a time s₁ ≤ log(1/γ)/(1 − η₀) on",
    meaning="If the data start close enough to full truncation, the whole cluster is truncated after a "
    "finite time, and the theorem says by when at the latest.",
    applies=LayeredAnalysis,
    needs=(own_layers,),
)
def full_truncation(ev: LayeredAnalysis) -> Outcome:
    """Compare when each cluster is wholly truncated with the bound."""
    found = ev.once(_concentrations)
    met, text = [k for k, constants in enumerate(found) if constants.met], describe(found)
    reached = min(float(ev.s[-1]), ev.switched_at)
    measured = {k: truncated_from(ev, k) for k in met}
    judged = [k for k in met if found[k].s1 <= reached or math.isfinite(measured[k])]
    for k in met:
        if k not in judged:
            text += f"; the run ends at s = {reached:.6g}, before the bound of cluster {k}"
    if not judged:
        return not_met(text)
    worst = min(judged, key=lambda k: found[k].s1 - measured[k])
    text += "; s1 measured: " + ", ".join(f"{measured[k]:.6g} (cluster {k})" for k in judged[:NAMED])
    bound = found[worst].s1
    return compare(text, measured[worst], bound + 10.0 * ev.rtol * (1.0 + bound))


def describe(found: list[Concentration]) -> str:
    """Return the constants of each cluster in words."""
    parts = []
    for k, c in enumerate(found[:NAMED]):
        if c.met:
            gamma = "γ ≥ 1" if c.gamma >= 1.0 else f"γ = {c.gamma:.4g}"
            parts.append(
                f"cluster {k}: η0 = {c.eta0:.4g}, {gamma}, m1 = {c.m1:.4g}, m2 = {c.m2:.4g}, "
                f"η2 = {c.eta2:.4g}, s1 ≤ {c.s1:.4g}"
            )
        else:
            parts.append(f"cluster {k}: {c.reason}")
    if len(found) > NAMED:
        parts.append(
            f"and {len(found) - NAMED} clusters more, {sum(c.met for c in found[NAMED:])} of them met"
        )
    return "; ".join(parts)


def truncated_from(ev: LayeredAnalysis, k: int) -> float:
    """Return the time from which cluster k stays wholly truncated by its layer, infinite if there is none.

    The time is the event log's; the saved states must agree with it from the first one after it on.
    """
    events = ev.run.events
    mine = events[of_kind(events, Kind.COLLAPSE, Kind.UNCOLLAPSE)]
    mine = mine[(mine["cluster"] == k) & (mine["layer"] == k) & (mine["s"] <= ev.switched_at)]
    alone = ev.own_layer_only
    inside = ev.own[k].highest[alone, 0] <= 1e-9 * ev.reach
    outside = np.flatnonzero(~inside)
    seen = 0 if not outside.size else int(outside[-1]) + 1
    if seen >= inside.size or not mine.size or mine["kind"][-1] != Kind.COLLAPSE:
        return math.inf
    logged = float(mine["s"][-1])
    earlier = float(ev.s[seen - 1]) if seen else 0.0
    return logged if logged >= earlier else float(ev.s[seen])


@certificate(
    "bias_decay",
    order=4.2,
    source="Prop. 4.2, (4.28)",
    statement="|β + ỹ|(s) ≤ e^{−(1−η₀)s} |β + ỹ|(0)",
    meaning="Under the same condition the bias approaches minus the label at least at this rate.",
    applies=LayeredAnalysis,
    needs=(own_layers,),
)
def bias_decay(ev: LayeredAnalysis) -> Outcome:
    """Compare |β + ỹ| with its bound."""
    found = ev.once(_concentrations)
    met, text = [k for k, constants in enumerate(found) if constants.met], describe(found)
    if not met:
        return not_met(text)
    alone = np.flatnonzero(ev.own_layer_only)
    error = 10.0 * ev.state_error
    ratio = np.zeros(alone.size)
    for k in met:
        distance = np.linalg.norm(ev.beta[alone, k] + ev.run.y_tilde[k], axis=1)
        allowed = found[k].distance * np.exp(-(1.0 - found[k].eta0) * ev.s[alone])
        ratio = np.maximum(
            ratio, np.maximum(distance - error, 0.0) / np.maximum(allowed, np.finfo(np.float64).tiny)
        )
    spread: Array = np.full(ev.s.size, np.nan)
    spread[alone] = ratio
    text += f"; {ev.sampling()}; |β + ỹ| over its bound, less {error:.2g} for rtol and atol"
    return compare(text, largest_later(ratio), 1.0, {"ratio": ev.along(spread)})
