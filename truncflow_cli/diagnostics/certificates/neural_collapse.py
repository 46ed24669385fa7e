"""Neural collapse of the truncated data (Papyan, Han, Donoho 2020): variability within clusters."""

from __future__ import annotations

import numpy as np

from truncflow_cli.diagnostics.analysis import Mask, has_data
from truncflow_cli.diagnostics.certificates import certificate
from truncflow_cli.diagnostics.layered import ON_SURFACE, LayeredAnalysis
from truncflow_cli.diagnostics.outcome import Outcome, compare, not_met
from truncflow_cli.events import Kind, of_kind
from truncflow_cli.problem import Array

#: Variability within clusters, relative to the size of the data squared, that counts as none.
COLLAPSED = 1e-24


def variability(ev: LayeredAnalysis) -> tuple[Array, Array]:
    """Return the variability within and between clusters, each (M,).

    Means over the clusters of mean |τ(x) − its mean|², and of |its mean − mean of all|².
    """
    within = ev.by_cluster("within").mean(axis=1)
    means = ev.by_cluster("mean")
    around = means - means.mean(axis=1, keepdims=True)
    return within, np.einsum("tkq,tkq->t", around, around) / ev.n_clusters


def _collapsed_at(ev: LayeredAnalysis) -> Mask:
    """When every cluster is wholly truncated by some layer, by event log or by saved state, (M,) bool."""
    alone = ev.own_layer_only
    every = np.ones(ev.s.size, dtype=bool)
    surface = ON_SURFACE * ev.reach
    for k in range(ev.n_clusters):
        here = collapsed_by_log(ev, k)
        if alone.any():
            here |= alone & (ev.own[k].highest[:, 0] < -surface)
        if not alone.all():
            here |= ~alone & (ev.composed[k].highest < -surface).any(axis=1)
        every &= here
    return every


def collapsed_by_log(ev: LayeredAnalysis, k: int) -> Mask:
    """Return when the event log counts cluster k as wholly truncated by some layer, (M,) bool."""
    events = ev.run.events
    mine = events[(events["cluster"] == k) & of_kind(events, Kind.COLLAPSE, Kind.UNCOLLAPSE)]
    collapsed = np.zeros(ev.s.size, dtype=bool)
    for layer in np.unique(mine["layer"]):
        here = mine[mine["layer"] == layer]
        # What the last event strictly before each time says.
        last = np.searchsorted(here["s"], ev.s, "left") - 1
        collapsed |= (last >= 0) & (here["kind"][last] == Kind.COLLAPSE)
    return collapsed


@certificate(
    "neural_collapse",
    order=10.0,
    source="(2.15), (3.6); Papyan, Han, Donoho 2020",
    statement="once every cluster is wholly truncated by some layer, the variability within clusters is zero",
    meaning="How far the images of one cluster lie apart against how far the clusters do: neural "
    "collapse is when the first vanishes.",
    applies=LayeredAnalysis,
    needs=(has_data,),
)
def neural_collapse(ev: LayeredAnalysis) -> Outcome:
    """Measure the variability within clusters where every cluster is wholly truncated."""
    within, between = ev.once(variability)
    ratio = np.full(ev.s.size, np.nan)
    apart = between > COLLAPSED * ev.reach**2
    ratio[apart] = within[apart] / between[apart]
    series = {"within": ev.along(within), "between": ev.along(between), "ratio": ev.along(ratio)}
    text = (
        f"{ev.sampling()}; within {within[0]:.4g} → {within[-1]:.4g}, "
        f"between {between[0]:.4g} → {between[-1]:.4g}"
    )
    if ev.n_clusters > 1 and apart[0] and apart[-1]:
        text += f", ratio {ratio[0]:.4g} → {ratio[-1]:.4g}"
    rate = decay_rate(ev.s, within)
    if rate is not None:
        text += f"; within falls like e^{{−{rate:.4g} s}} at the end"
    collapsed = _collapsed_at(ev)
    if not collapsed.any():
        return not_met(f"{text}; at no saved time is every cluster wholly truncated", series=series)
    text += f"; every cluster wholly truncated from s = {ev.s[int(np.argmax(collapsed))]:.6g}"
    return compare(text, within[collapsed].max(), COLLAPSED * ev.reach**2, series)


def decay_rate(s: Array, values: Array) -> float | None:
    """Return the rate at which values (M,) decay, over the last third of the times when they are not tiny."""
    seen = np.flatnonzero(values > 1e-13 * max(float(values.max(initial=0.0)), np.finfo(np.float64).tiny))
    if seen.size < 6:
        return None
    last = seen[-(seen.size // 3) :]
    if s[last[-1]] <= s[last[0]]:
        return None
    rate = float(-np.log(values[last[-1]] / values[last[0]]) / (s[last[-1]] - s[last[0]]))
    return rate if rate > 1e-6 else None


@certificate(
    "within_loss",
    order=10.0,
    source="(3.6)",
    statement="the variability within clusters, Σ_j mean_i |τ(x_ji) − mean|², is at most 2C(s) and decays with it",
    meaning="The spread of the images within clusters cannot outlive the loss: it is at most twice as large.",
    applies=LayeredAnalysis,
    needs=(has_data,),
)
def within_loss(ev: LayeredAnalysis) -> Outcome:
    """Compare it with the loss."""
    total = ev.once(variability)[0] * ev.n_clusters
    excess = total - 2.0 * ev.loss
    text = (
        f"{ev.sampling()}; 2C {2.0 * ev.loss[0]:.4g} → {2.0 * ev.loss[-1]:.4g}, "
        f"within {total[0]:.4g} → {total[-1]:.4g}"
    )
    bound = 1e-13 * float((ev.loss + ev.reach * np.sqrt(2.0 * ev.loss)).max()) + 1e-28 * ev.reach**2
    return compare(text, excess.max(), bound, {"within_total": ev.along(total)})
