"""Orthogonality; cluster separated truncations (3.3), and the map and field that are then the separated ones."""

from __future__ import annotations

import numpy as np

from truncflow_cli.diagnostics.analysis import Mask
from truncflow_cli.diagnostics.certificates import certificate
from truncflow_cli.diagnostics.layered import ON_SURFACE, LayeredAnalysis, one_layer_each
from truncflow_cli.diagnostics.outcome import Outcome, compare, not_met, reach
from truncflow_cli.diagnostics.passes import largest, orthogonality_defects
from truncflow_cli.events import Kind, of_kind
from truncflow_cli.problem import Array

#: Largest ‖RᵀR − 1‖ (Frobenius) that counts as orthogonal.
ORTHOGONAL = 1e-12
#: Rounding of two ways to sum the same field, relative to the largest it could be.
SAME_FIELD = 1e-12


def defects_of_layers(ev: LayeredAnalysis) -> Array:
    """Return ‖RᵀR − 1‖ (Frobenius) of each layer at each saved time, (T, L)."""
    return orthogonality_defects(np.asarray(ev.run.R))


@certificate(
    "orthogonality",
    order=3.2,
    source="(3.20), (3.24)",
    statement="R_ℓᵀR_ℓ = 1 at all times, for every layer",
    meaning="The cumulative weights stay rotations or reflections; nothing is stretched by mistake.",
    applies=LayeredAnalysis,
)
def orthogonality(ev: LayeredAnalysis) -> Outcome:
    """Look at every layer at every saved time."""
    norms = ev.once(defects_of_layers).max(axis=1)
    text = f"every layer at every saved time ({norms.size}); ‖RᵀR − 1‖ in the Frobenius norm"
    return compare(text, norms.max(), ORTHOGONAL, {"defect": norms})


@certificate(
    "separation",
    order=3.2,
    source="(3.3)",
    statement="the truncations stay cluster separated: every cluster lies in S_ℓ⁺ of every layer ℓ but its own",
    meaning="The assumption of Theorem 3.2: each layer acts on its own cluster only. While it holds, the "
    "clusters evolve independently of one another.",
    applies=LayeredAnalysis,
    needs=(one_layer_each,),
)
def separation(ev: LayeredAnalysis) -> Outcome:
    """Compare the margins at the evaluated times with the losses of separation in the event log."""
    if ev.n_clusters == 1:
        return Outcome("a single cluster: there are no others to leave alone", "holds")
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
        return reach(f"{text}; the log misses it at {unseen} saved times", value, 0.0, series)
    if least[0] <= 0.0 and (not lost.size or lost["s"].min() <= ev.s[0]):
        return not_met(f"not separated at the start; {text}", value, 0.0, series)
    if ev.flow.acts_on == "all" and (lost.size or value <= 0.0):
        return not_met(f"the {ev.flow.name} flow does not need it; {text}", value, 0.0, series)
    if lost.size:
        first = lost[0]
        text += f"; first lost at s = {first['s']:.8g}: point {first['point']} under layer {first['layer']}"
        end = _wanted_end(ev)
        if first["s"] >= end:
            ended = "went on with the general flow" if end < ev.run.s[-1] else "stopped"
            before = least[ev.s < end]
            value = float(before.min()) if before.size else 0.0
            return reach(f"{text}, where the run {ended}", value, 0.0, series)
        value = min(value, 0.0)
    return reach(text, value, 0.0, series)


def _wanted_end(ev: LayeredAnalysis) -> float:
    """Return when a run that was to stop, or to switch, at a loss of separation did so; infinite if it never did."""
    if np.isfinite(ev.switched_at):
        return ev.switched_at
    return float(ev.run.s[-1]) if ev.integrator.get("on_separation_lost") == "stop" else np.inf


def _lost_at(ev: LayeredAnalysis) -> Mask:
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
    return np.asarray(lost | (ev.s > ev.switched_at) | (ev.flow.acts_on == "all"), dtype=bool)


def separated_times(ev: LayeredAnalysis) -> tuple[Mask, Array]:
    """Return when (3.3) holds and the images stay in place too, (M,) bool, and that margin (M,)."""
    margin = np.minimum(ev.foreign_margins.min(axis=(1, 2)), ev.image_margins.min(axis=(1, 2)))
    return np.asarray(margin > 0.0, dtype=bool), margin


@certificate(
    "composition",
    order=3.2,
    source="(3.4), (3.5), (5.12)",
    statement="the composed map acts on each cluster as its own layer alone: later layers leave its image in place",
    meaning="The network as a whole does to each cluster what its own layer does: the layers after it "
    "leave the images where they are.",
    applies=LayeredAnalysis,
    needs=(one_layer_each,),
)
def composition(ev: LayeredAnalysis) -> Outcome:
    """Compare both maps while the truncations are cluster separated."""
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
        return not_met(text, series=series)
    difference = np.max([passed.apart for passed in ev.composed], axis=0)
    difference[~separated] = np.nan
    series["difference"] = ev.along(difference)
    # A layer that leaves an image t alone maps it to t + (RᵀR − 1)(t + β).
    defects = float(ev.once(defects_of_layers)[ev.times].max(axis=0).sum())
    return compare(text, np.nanmax(difference), (1e-13 + defects) * ev.reach, series)


@certificate(
    "general_equals_separated",
    order=5.0,
    source="Thm 5.1, Thm 3.2, (5.13)",
    statement="while the truncations are cluster separated, the general field is that of the separated flow",
    meaning="While clusters are separated, the equations of the whole network are those of "
    "Theorem 3.2. Both are evaluated on the run and compared.",
    applies=LayeredAnalysis,
    needs=(one_layer_each,),
)
def general_equals_separated(ev: LayeredAnalysis) -> Outcome:
    """Evaluate both fields at the saved states, by plain formulas."""
    separated, margin = separated_times(ev)
    # With a point on its surface, to rounding, the two fields may be those of either side.
    on_surface = np.any([passed.nearest <= ON_SURFACE * ev.reach for passed in ev.own], axis=(0, 2, 3))
    separated &= ~on_surface
    text = (
        f"{ev.sampling()}; separated, with the images of each cluster in S_ℓ⁺ of the later layers and no "
        f"point on its surface, at {int(separated.sum())} of {ev.s.size} times"
    )
    if ev.frozen:
        text += "; R is held fixed in this run, its velocity is compared all the same"
    if np.isfinite(margin).any() and not separated.all():
        text += f"; least margin {margin.min():.4g} at s = {ev.s[int(np.argmin(margin))]:.6g}"
    if not separated.any():
        return not_met(text)
    general_beta = -np.add.reduce([passed.gradient_beta for passed in ev.composed])
    general_R = -np.add.reduce([passed.gradient_R for passed in ev.composed])
    difference = np.zeros((ev.n_clusters, ev.s.size))
    for k, (moved, turned) in enumerate(ev.velocity):
        off_beta, off_R = moved - general_beta[:, k], turned - general_R[:, k]
        difference[k] = np.maximum(largest(off_beta), largest(off_R) / (ev.reach or 1.0))
    difference = difference.max(axis=0)
    difference[~separated] = np.nan
    if ev.printed:
        text += "; Theorem 3.2 with Ω as printed, without −½zzᵀ"
    series = {"difference": ev.along(difference)}
    return compare(text, np.nanmax(difference), SAME_FIELD * ev.reach, series)
