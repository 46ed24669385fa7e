"""What sections 8 and 9 assume of the data: (8.1) for `collapsed`, (9.2) for `clustered`.

R_ℓ does not move in either flow (8.4), (9.6), nor do the β^(ℓ) of `clustered`.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.diagnostics.analysis import has_data
from truncflow_cli.diagnostics.certificates import certificate
from truncflow_cli.diagnostics.outcome import (
    Outcome,
    compare,
    listed,
    not_met,
    reach,
    violated,
)
from truncflow_cli.diagnostics.output_weight import ClusteredAnalysis, CollapsedAnalysis
from truncflow_cli.diagnostics.passes import farthest_image, sector_margins
from truncflow_cli.errors import UserError
from truncflow_cli.events import Kind
from truncflow_cli.problem import Array

#: Distance of a cluster's images from −β^(ℓ), relative to the data, that counts as none.
THERE = 1e-12


@certificate(
    "collapsed_data",
    order=8.0,
    source="(8.1)",
    statement="the composed truncation maps send every point of cluster ℓ to −β^(ℓ) throughout",
    meaning="The assumption of section 8: the layers map each cluster to a single point. Where it fails, "
    "the loss shown is not that of the network.",
    applies=CollapsedAnalysis,
    needs=(has_data,),
)
def collapsed_data(ev: CollapsedAnalysis) -> Outcome:
    """Measure how far images lie from where they should, and look at the event log."""
    events = ev.run.events
    lost = events[events["kind"] == Kind.UNCOLLAPSE]
    text = f"{lost.size} losses of it in the event log"
    try:
        distance = _distance(ev, ev.run.R0)
    except UserError as error:
        text += f"; R_ℓ is not known ({error})"
        if lost.size and lost["s"][0] <= 0.0:
            return not_met(f"not met at the start; {text}")
        return compare(text, lost.size, 0.0)
    worst = float(distance.max())
    bound = THERE * float(np.abs(ev.x).max() + np.abs(np.asarray(ev.run.B)).max()) * ev.dim
    series = {"distance": ev.along(distance)}
    text = f"{ev.sampling()}; largest distance of an image from −β^(ℓ) {worst:.4g}; {text}"
    if distance[0] > bound:
        return not_met(f"not met at the start; {text}", worst, bound, series)
    if lost.size:
        text += f", the first at s = {lost['s'][0]:.8g} for cluster {lost['cluster'][0]}"
        return violated(text, worst, bound, series)
    return compare(text, worst, bound, series)


def _distance(ev: CollapsedAnalysis, R: Array) -> Array:
    """Return the largest |τ^(L)∘…∘τ^(1)(x) + β^(k)| over the points x of all clusters k, (M,)."""
    beta = ev.B.swapaxes(1, 2)
    found = [farthest_image(ev.points(k), R, beta, -beta[:, k]) for k in range(ev.n_clusters)]
    return np.asarray(np.max(found, axis=0))


@certificate(
    "clustered_data",
    order=9.0,
    source="(9.2)",
    statement="every point lies in S_ℓ⁺ of every layer ℓ",
    meaning="The assumption of section 9: no layer truncates any point, so only the output weight acts.",
    applies=ClusteredAnalysis,
)
def clustered_data(ev: ClusteredAnalysis) -> Outcome:
    """Measure the margin of the start, which does not move."""
    try:
        margins = sector_margins(ev.x, ev.run.R0[None], ev.run.beta0[None])[0]
    except UserError as error:
        return Outcome(f"R_ℓ and β^(ℓ) are not known ({error})", "not applicable")
    worst = int(np.argmin(margins))
    text = f"R_ℓ, β^(ℓ) do not move (9.6); least margin {margins[worst]:.6g}, layer {worst} of {margins.size}"
    outside = [int(layer) for layer in np.flatnonzero(margins <= 0.0)]
    if outside:
        text += f"; some point is truncated by {listed(outside, 'layer')}"
        return not_met(text, margins[worst], 0.0)
    return reach(text, margins[worst], 0.0)
