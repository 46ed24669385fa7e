"""Theorem 5.1 = Theorem 3.2 while the truncations are cluster separated."""

from __future__ import annotations

import numpy as np

from truncflow_cli.diagnostics.certificates import certificate
from truncflow_cli.diagnostics.certificates.separation import separated_times
from truncflow_cli.diagnostics.layered import ON_SURFACE, LayeredAnalysis, one_layer_each
from truncflow_cli.diagnostics.outcome import Outcome, compare, not_met
from truncflow_cli.diagnostics.passes import largest

#: Rounding of two ways to sum the same field, relative to the largest it could be.
SAME_FIELD = 1e-12


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
