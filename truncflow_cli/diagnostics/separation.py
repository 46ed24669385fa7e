"""Orthogonality; cluster separated truncations (3.3) over the run, and the composed map (3.5), (5.12)."""

from __future__ import annotations

import numpy as np

from truncflow_cli.certificate import Certificate
from truncflow_cli.diagnostics.analysis import Evidence, Mask
from truncflow_cli.diagnostics.passes import orthogonality_defects
from truncflow_cli.diagnostics.statement import Statement
from truncflow_cli.events import Kind, of_kind
from truncflow_cli.problem import Array

#: Largest ‖RᵀR − 1‖ (Frobenius) that counts as orthogonal.
ORTHOGONAL = 1e-12

ORTHOGONALITY = Statement("orthogonality", "(3.20), (3.24)", "R_ℓᵀR_ℓ = 1 at all times, for every layer")
SEPARATION = Statement(
    "separation",
    "(3.3)",
    "the truncations stay cluster separated: every cluster lies in S_ℓ⁺ of every layer ℓ but its own",
)
COMPOSITION = Statement(
    "composition",
    "(3.4), (3.5), (5.12)",
    "the composed map acts on each cluster as its own layer alone: later layers leave its image in place",
)


def certificates(ev: Evidence) -> list[Certificate]:
    """Certify 2 of the list: orthogonality, separation, and the composed map while separated."""
    if not ev.layered:
        reason = f"flow {ev.flow} has no R_ℓ(s)"
        return [statement.not_applicable(reason) for statement in (ORTHOGONALITY, SEPARATION, COMPOSITION)]
    if not ev.square:
        reason = f"needs a layer for each cluster; here L = {ev.n_layers}, C = {ev.n_clusters}"
        return [_orthogonality(ev), SEPARATION.not_applicable(reason), COMPOSITION.not_applicable(reason)]
    return [_orthogonality(ev), _separation(ev), _composition(ev)]


def _orthogonality(ev: Evidence) -> Certificate:
    norms = orthogonality_defects(np.asarray(ev.run.R)).max(axis=1)
    worst = float(norms.max())
    return ORTHOGONALITY.compare(
        f"every layer at every saved time ({norms.size}); ‖RᵀR − 1‖ in the Frobenius norm",
        worst,
        ORTHOGONAL,
        {"defect": norms},
    )


def _separation(ev: Evidence) -> Certificate:
    if ev.n_clusters == 1:
        return SEPARATION.vacuous("a single cluster: there are no others to leave alone")
    margins = ev.foreign_margins
    least = margins.min(axis=(1, 2))
    m = int(np.argmin(least))
    layer, cluster = np.unravel_index(int(np.argmin(margins[m])), margins.shape[1:])
    events = ev.run.events
    lost = events[events["kind"] == Kind.SEPARATION_LOST]
    text = (
        f"{ev.sampling()}; least margin {least[m]:.4g} at s = {ev.s[m]:.6g}: cluster {cluster} under layer "
        f"{layer}; {lost.size} losses of separation in the event log"
    )
    series = {"margin": ev.along(least)}
    value = float(least[m])
    near_zero = -1e-9 * ev.reach
    unseen = int(np.count_nonzero((least < near_zero) & ~_lost_at(ev)))
    if unseen:
        return SEPARATION.reach(f"{text}; the log misses it at {unseen} saved times", value, 0.0, series)
    if least[0] <= 0.0 and (not lost.size or lost["s"].min() <= ev.s[0]):
        return SEPARATION.not_met(f"not separated at the start; {text}", value, 0.0, series)
    if ev.flow == "general" and (lost.size or value <= 0.0):
        return SEPARATION.not_met(f"the general flow does not need it; {text}", value, 0.0, series)
    if lost.size:
        first = lost[0]
        text += f"; first lost at s = {first['s']:.8g}: point {first['point']} under layer {first['layer']}"
        end = _wanted_end(ev)
        if first["s"] >= end:
            ended = "went on with the general flow" if end < ev.run.s[-1] else "stopped"
            before = least[ev.s < end]
            value = float(before.min()) if before.size else 0.0
            return SEPARATION.reach(f"{text}, where the run {ended}", value, 0.0, series)
        value = min(value, 0.0)
    return SEPARATION.reach(text, value, 0.0, series)


def _wanted_end(ev: Evidence) -> float:
    """Return when a run that was to stop, or to switch, at a loss of separation did so; infinite if it never did."""
    if np.isfinite(ev.switched_at):
        return ev.switched_at
    return float(ev.run.s[-1]) if ev.integrator.get("on_separation_lost") == "stop" else np.inf


def _lost_at(ev: Evidence) -> Mask:
    """At which evaluated times the event log counts some (cluster, layer) as not separated, (M,) bool."""
    lost = np.zeros(ev.s.size, dtype=bool)
    open_since: dict[tuple[int, int], float] = {}
    events = ev.run.events
    for event in events[of_kind(events, Kind.SEPARATION_LOST, Kind.SEPARATION_REGAINED)]:
        key = (int(event["cluster"]), int(event["layer"]))
        if event["kind"] == Kind.SEPARATION_LOST:
            open_since.setdefault(key, float(event["s"]))
        elif key in open_since:
            lost |= (ev.s >= open_since.pop(key)) & (ev.s <= event["s"])
    for start in open_since.values():
        lost |= ev.s >= start
    # After the switch to the general flow nobody watches.
    return np.asarray(lost | (ev.s > ev.switched_at) | (ev.flow == "general"), dtype=bool)


def separated_times(ev: Evidence) -> tuple[Mask, Array]:
    """Return when (3.3) holds and the images stay in place too, (M,) bool, and that margin (M,)."""
    margin = np.minimum(ev.foreign_margins.min(axis=(1, 2)), ev.image_margins.min(axis=(1, 2)))
    return np.asarray(margin > 0.0, dtype=bool), margin


def _composition(ev: Evidence) -> Certificate:
    separated, margin = separated_times(ev)
    series = {"margin": ev.along(np.where(np.isfinite(margin), margin, np.nan))}
    worst_at = int(np.argmin(margin))
    text = (
        f"{ev.sampling()}; (3.3) holds, and the images τ^(k)(x) lie in S_ℓ⁺ of the layers ℓ > k too, at "
        f"{int(separated.sum())} of {ev.s.size} times"
    )
    if np.isfinite(margin[worst_at]):
        text += f", least margin {margin[worst_at]:.4g} at s = {ev.s[worst_at]:.6g}"
    if not separated.any():
        return COMPOSITION.not_met(text, series=series)
    difference = np.max([passed.apart for passed in ev.composed], axis=0)
    difference[~separated] = np.nan
    series["difference"] = ev.along(difference)
    # A layer that leaves an image t alone maps it to t + (RᵀR − 1)(t + β).
    defects = float(orthogonality_defects(ev.R).max(axis=0).sum())
    return COMPOSITION.compare(text, float(np.nanmax(difference)), (1e-13 + defects) * ev.reach, series)
