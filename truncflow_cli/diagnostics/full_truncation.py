"""Proposition 4.2: a cluster that starts concentrated enough is wholly truncated by a known time."""

from __future__ import annotations

import math

import numpy as np

from truncflow_cli.certificate import Certificate
from truncflow_cli.diagnostics.analysis import Evidence
from truncflow_cli.diagnostics.concentration import Concentration, concentration
from truncflow_cli.diagnostics.statement import Statement, largest_later
from truncflow_cli.events import Kind, of_kind
from truncflow_cli.problem import Array

#: Clusters named one by one in the hypothesis; the others are counted.
NAMED = 4

TRUNCATION = Statement(
    "full_truncation",
    "Prop. 4.2, (4.30)",
    "the whole cluster is truncated from a time s₁ ≤ log(1/γ)/(1 − η₀) on",
)
DECAY = Statement(
    "bias_decay",
    "Prop. 4.2, (4.28)",
    "|β + ỹ|(s) ≤ e^{−(1−η₀)s} |β + ỹ|(0)",
)


def certificates(ev: Evidence) -> list[Certificate]:
    """Certify 4 of the list; the exact law after s₁ is certified with Prop. 4.1."""
    if not ev.layered or ev.flow != "separated":
        reason = f"a statement about the separated flow; this run's flow is {ev.flow}"
        return [TRUNCATION.not_applicable(reason), DECAY.not_applicable(reason)]
    found = [
        concentration(
            ev.points(k), ev.run.y_tilde[k], ev.R[0, k], ev.beta[0, k], turns=not ev.frozen, index=group
        )
        for k, group in enumerate(ev.groups)
    ]
    met = [k for k, constants in enumerate(found) if constants.met]
    text = describe(found)
    if not met:
        return [TRUNCATION.not_met(text), DECAY.not_met(text)]
    return [_truncation(ev, found, met, text), _decay(ev, found, met, text)]


def _truncation(ev: Evidence, found: list[Concentration], met: list[int], text: str) -> Certificate:
    reached = min(float(ev.s[-1]), ev.switched_at)
    measured = {k: truncated_from(ev, k) for k in met}
    judged = [k for k in met if found[k].s1 <= reached or math.isfinite(measured[k])]
    for k in met:
        if k not in judged:
            text += f"; the run ends at s = {reached:.6g}, before the bound of cluster {k}"
    if not judged:
        return TRUNCATION.not_met(text)
    worst = min(judged, key=lambda k: found[k].s1 - measured[k])
    text += "; s1 measured: " + ", ".join(f"{measured[k]:.6g} (cluster {k})" for k in judged[:NAMED])
    bound = found[worst].s1
    return TRUNCATION.compare(text, measured[worst], bound + 10.0 * ev.rtol * (1.0 + bound))


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


def truncated_from(ev: Evidence, k: int) -> float:
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


def _decay(ev: Evidence, found: list[Concentration], met: list[int], text: str) -> Certificate:
    alone = np.flatnonzero(ev.own_layer_only)
    error = 10.0 * (ev.bias_error + ev.turn_error * ev.reach)
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
    return DECAY.compare(text, largest_later(ratio), 1.0, {"ratio": ev.along(spread)})
