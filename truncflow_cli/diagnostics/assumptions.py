"""What sections 8 and 9 assume of the data: (8.1) for `collapsed`, (9.2) for `clustered`.

R_ℓ does not move in either flow (8.4), (9.6), nor do the β^(ℓ) of `clustered`, so a run file does not hold
them: they are built once more from the run's config, and believed only if its data come out the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from truncflow_cli.certificate import Certificate
from truncflow_cli.diagnostics.analysis import Evidence
from truncflow_cli.diagnostics.passes import farthest_image, sector_margins
from truncflow_cli.diagnostics.statement import Statement, listed
from truncflow_cli.errors import UserError
from truncflow_cli.events import Kind
from truncflow_cli.problem import Array

#: Distance of a cluster's images from −β^(ℓ), relative to the data, that counts as none.
THERE = 1e-12

COLLAPSED = Statement(
    "collapsed_data",
    "(8.1)",
    "the composed truncation maps send every point of cluster ℓ to −β^(ℓ) throughout",
)
CLUSTERED = Statement("clustered_data", "(9.2)", "every point lies in S_ℓ⁺ of every layer ℓ")


def certificates(ev: Evidence) -> list[Certificate]:
    """Certify the data's part of Theorems 8.4 and 9.1."""
    return [_collapsed(ev), _clustered(ev)]


def _layers(ev: Evidence) -> tuple[Array, Array] | str:
    """Return the initial R_ℓ (L, Q, Q) and β^(ℓ) (L, Q) of the run's config, or why they are not known."""
    from truncflow_cli import config

    try:
        experiment = config.load_text(ev.run.config, Path.cwd(), "the run's config")
        problem = config.build(experiment).problem
    except UserError as error:
        return f"R_ℓ cannot be built once more from the run's config ({error})"
    if problem.x.shape != ev.x.shape or not np.array_equal(problem.x, ev.x):
        return "R_ℓ is not known: the run's config now gives other data"
    return problem.R0, problem.beta0


def _collapsed(ev: Evidence) -> Certificate:
    if ev.flow != "collapsed":
        return COLLAPSED.not_applicable(f"about the collapsed flow; this run's flow is {ev.flow}")
    if not ev.x.shape[0]:
        return COLLAPSED.not_applicable("the run has no clusters: (8.2) is taken as it stands")
    events = ev.run.events
    lost = events[events["kind"] == Kind.UNCOLLAPSE]
    text = f"{lost.size} losses of it in the event log"
    built = _layers(ev)
    if isinstance(built, str):
        text += f"; {built}"
        if lost.size and lost["s"][0] <= 0.0:
            return COLLAPSED.not_met(f"not met at the start; {text}")
        return COLLAPSED.compare(text, float(lost.size), 0.0)
    distance = _distance(ev, built[0])
    worst, bound = float(distance.max()), THERE * _size(ev)
    series = {"distance": ev.along(distance)}
    text = f"{ev.sampling()}; largest distance of an image from −β^(ℓ) {worst:.4g}; {text}"
    if distance[0] > bound:
        return COLLAPSED.not_met(f"not met at the start; {text}", worst, bound, series)
    if lost.size:
        text += f", the first at s = {lost['s'][0]:.8g} for cluster {lost['cluster'][0]}"
        return COLLAPSED.violated(text, worst, bound, series)
    return COLLAPSED.compare(text, worst, bound, series)


def _size(ev: Evidence) -> float:
    """Return the size of what is subtracted: points, and biases."""
    return float(np.abs(ev.x).max() + np.abs(np.asarray(ev.run.B)).max()) * ev.dim


def _distance(ev: Evidence, R: Array) -> Array:
    """Return the largest |τ^(L)∘…∘τ^(1)(x) + β^(k)| over the points x of all clusters k, (M,)."""
    beta = np.asarray(ev.run.B, dtype=np.float64)[ev.times].swapaxes(1, 2)
    result = np.zeros(ev.s.size)
    for k in range(ev.n_clusters):
        np.maximum(result, farthest_image(ev.points(k), R, beta, -beta[:, k]), out=result)
    return result


def _clustered(ev: Evidence) -> Certificate:
    if ev.flow != "clustered":
        return CLUSTERED.not_applicable(f"about the clustered flow; this run's flow is {ev.flow}")
    built = _layers(ev)
    if isinstance(built, str):
        return CLUSTERED.not_applicable(built)
    R, beta = built
    margins = sector_margins(ev.x, R[None], beta[None])[0]
    worst = int(np.argmin(margins))
    text = f"R_ℓ, β^(ℓ) do not move (9.6); least margin {margins[worst]:.6g}, layer {worst} of {margins.size}"
    outside = [int(layer) for layer in np.flatnonzero(margins <= 0.0)]
    if outside:
        text += f"; some point is truncated by {listed(outside, 'layer')}"
        return CLUSTERED.not_met(text, float(margins[worst]), 0.0)
    return CLUSTERED.reach(text, float(margins[worst]), 0.0)
