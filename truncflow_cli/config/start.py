"""What the start of a run misses of its flow's hypotheses, what will take very long, and a tolerance that is no use.

The functions with a flow's name are its part "start_warnings": they return the sentences there are to say. They raise
a UserError for a run that ``on_separation_lost: stop`` would stop at once, and for an ``s_end`` beyond all reach.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.config.clusters import Clusters
from truncflow_cli.config.experiment import Experiment
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Problem
from truncflow_cli.truncation import composed, count_outside

#: As many violations are spelt out in a warning.
_SPELT_OUT = 3
#: Relative to the data: images this near to −β^(ℓ) are there.
_THERE = 1e-9
#: About how far a step goes, times the rate of the fastest motion, as measured.
_STEP = 15.0
#: A longer run takes years.
_LONGEST = 1e12
#: Points that are looked at together.
_BLOCK = 65_536
#: An absolute tolerance above this share of the data's size is what the run is then as good as.
_SHARE = 1e-3


def separated(experiment: Experiment, problem: Problem, clusters: Clusters) -> tuple[str, ...]:
    """Theorem 3.2 assumes (3.3)."""
    return _foreign(experiment, problem, clusters) + _fast(experiment, problem, 3e6) + _small(problem)


def general(experiment: Experiment, problem: Problem, clusters: Clusters) -> tuple[str, ...]:
    """Theorem 5.1 assumes nothing of the start."""
    return _fast(experiment, problem, 1e5) + _small(problem)


def _fast(experiment: Experiment, problem: Problem, many_steps: float) -> tuple[str, ...]:
    """Warn of a run of very many steps, because the data are large or ``s_end`` is; ``many_steps`` take minutes.

    Biases follow at a rate of 1 whatever the size of the data, rotations at a rate of its square: with v = x + β and
    u = β + ỹ it is at most the mean of |v|² + |v||u|, and the steps go by it.
    """
    s_end = problem.settings.s_end
    if problem.settings.freeze_rotation:
        return ()
    if s_end > _LONGEST:
        what = f"at most {_LONGEST:.0g} for flow {problem.flow}, whose steps are of order 1"
        raise experiment.error(("integrator", "s_end"), what)
    rate = max([1.0, *(_turning_rate(problem, layer) for layer in range(problem.n_layers))])
    steps = rate * s_end / _STEP
    if steps <= many_steps:
        return ()
    return (
        f"data of this size turn the rotations at a rate of up to {rate:.1g}, and up to s_end the run may take about "
        f"{steps:.1g} steps; scale points and labels down, or give a smaller s_end",
    )


def _turning_rate(problem: Problem, layer: int) -> float:
    """Return the mean of |v|² + |v||u| of the points that a layer acts on, looking at some at a time."""
    beta = problem.beta0[layer]
    u_size = np.linalg.norm(problem.y_tilde + beta, axis=1)
    total, count = 0.0, 0
    for first in range(0, len(problem.x), _BLOCK):
        block = slice(first, first + _BLOCK)
        v_size, cluster = np.linalg.norm(problem.x[block] + beta, axis=1), problem.cluster[block]
        own = (cluster == layer) | (flow_named(problem.flow).acts_on == "all")
        total += float((v_size**2 + v_size * u_size[cluster])[own].sum())
        count += int(np.count_nonzero(own))
    return total / max(count, 1)


def _small(problem: Problem) -> tuple[str, ...]:
    """Warn of data beside which the absolute tolerance is not small; the closed form has none."""
    arrays = (problem.x, problem.y_tilde, problem.beta0)
    size = max(float(max(a.max(initial=0.0), -a.min(initial=0.0))) for a in arrays)
    atol = problem.settings.atol
    if problem.settings.freeze_rotation or not 0.0 < size < atol / _SHARE:
        return ()
    return (
        f"points, labels and biases are of size {size:.1g}, and integrator.atol = {atol:g} is an error that is not "
        f"small beside it: lower it to {max(size * atol, 1e-300):.0e}, or scale all of them up",
    )


def _foreign(experiment: Experiment, problem: Problem, clusters: Clusters) -> tuple[str, ...]:
    lost = [
        (layer, k, count)
        for layer, (R, beta) in enumerate(zip(problem.R0, problem.beta0, strict=True))
        for k, points in enumerate(clusters.points)
        if k != layer and (count := count_outside(points, R, beta))
    ]
    if not lost:
        return ()
    spelt = [
        f"layer {layer} truncates {count} of {len(clusters.points[k])} points of {clusters.called(k)}"
        for layer, k, count in lost[:_SPELT_OUT]
    ]
    if len(lost) > _SPELT_OUT:
        spelt.append(f"and {len(lost) - _SPELT_OUT} more pairs of layer and cluster")
    lacks = f"the start is not cluster separated, (3.3): {', '.join(spelt)}"
    sentence = f"{lacks}; initial.construct: separated may mend it"
    if problem.settings.on_separation_lost == "stop":
        raise experiment.error(("integrator", "on_separation_lost"), f"nothing to run up to: {sentence}")
    return (sentence,)


def collapsed(experiment: Experiment, problem: Problem, clusters: Clusters) -> tuple[str, ...]:
    """Section 8 assumes (8.1): the composed map takes every cluster to its −β^(ℓ)."""
    size = 1.0 + float(np.abs(problem.beta0).max()) + float(np.abs(problem.x).max())
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.abs(composed(problem.x, problem.R0, problem.beta0) + problem.beta0[problem.cluster])
        off = np.unique(problem.cluster[~(distance.max(axis=1) <= _THERE * size)]).tolist()
    if not off:
        return ()
    which = ", ".join(map(clusters.called, off[:_SPELT_OUT])) + " and others" * (len(off) > _SPELT_OUT)
    lacks = f"the start is not collapsed, (8.1): {which} not mapped to −β^(ℓ)"
    return (f"{lacks}; initial.construct: collapsed may mend it",)


def clustered(experiment: Experiment, problem: Problem, clusters: Clusters) -> tuple[str, ...]:
    """Section 9 assumes (9.2): nothing is truncated."""
    layers = zip(problem.R0, problem.beta0, strict=True)
    counts = [count_outside(problem.x, R, beta) for R, beta in layers]
    if not any(counts):
        return ()
    layer = int(np.argmax(counts))
    found = f"layer {layer} truncates {counts[layer]} of {len(problem.x)}"
    lacks = f"not every point is in S⁺ of every layer, (9.2): {found}"
    return (f"{lacks}; initial.construct: clustered mends it",)
