"""What the start of a run misses of its flow's hypotheses."""

from __future__ import annotations

import numpy as np

from truncflow_cli.config.clusters import Clusters
from truncflow_cli.config.construct.sectors import composed, foreign_points, outside
from truncflow_cli.config.load import Experiment
from truncflow_cli.model.problem import Problem

#: As many violations are spelt out in a warning.
_SPELT_OUT = 3
#: Relative to the data: images this near to −β^(ℓ) are there.
_THERE = 1e-9


def start_warnings(experiment: Experiment, problem: Problem, clusters: Clusters) -> tuple[str, ...]:
    """Return a sentence on each hypothesis of the flow that the start does not meet.

    Raises:
        UserError: `separated` that is not cluster separated, with ``on_separation_lost: stop``.
    """
    if problem.flow == "separated":
        return _separated(experiment, problem, clusters)
    if problem.flow == "collapsed":
        return _collapsed(problem, clusters)
    if problem.flow == "clustered":
        return _clustered(problem)
    return ()


def _separated(experiment: Experiment, problem: Problem, clusters: Clusters) -> tuple[str, ...]:
    lost = foreign_points(problem.R0, problem.beta0, clusters.points)
    if not lost:
        return ()
    spelt = [
        f"layer {layer} truncates {count} of {len(clusters.points[cluster])} points of "
        f"{clusters.called(cluster)}"
        for (cluster, layer), count in list(lost.items())[:_SPELT_OUT]
    ]
    if len(lost) > _SPELT_OUT:
        spelt.append(f"and {len(lost) - _SPELT_OUT} more pairs of layer and cluster")
    sentence = f"the start is not cluster separated, (3.3): {', '.join(spelt)}"
    if problem.settings.on_separation_lost == "stop":
        raise experiment.error(
            ("integrator", "on_separation_lost"),
            f"nothing to run up to: {sentence}; initial.construct: separated may mend it",
        )
    return (f"{sentence}; initial.construct: separated may mend it",)


def _collapsed(problem: Problem, clusters: Clusters) -> tuple[str, ...]:
    size = (
        1.0
        + float(np.abs(problem.beta0).max())
        + max(float(np.abs(points).max()) for points in clusters.points)
    )
    with np.errstate(over="ignore", invalid="ignore"):
        off = [
            cluster
            for cluster, points in enumerate(clusters.points)
            if not np.abs(composed(problem.R0, problem.beta0, points) + problem.beta0[cluster]).max()
            <= _THERE * size
        ]
    if not off:
        return ()
    which = ", ".join(clusters.called(cluster) for cluster in off[:_SPELT_OUT]) + (
        " and others" if len(off) > _SPELT_OUT else ""
    )
    return (
        f"the start is not collapsed, (8.1): {which} not mapped to −β^(ℓ); initial.construct: collapsed "
        f"may mend it",
    )


def _clustered(problem: Problem) -> tuple[str, ...]:
    counts = [outside(R, beta, problem.x) for R, beta in zip(problem.R0, problem.beta0, strict=True)]
    if not any(counts):
        return ()
    layer = int(np.argmax(counts))
    return (
        f"not every point is in S⁺ of every layer, (9.2): layer {layer} truncates {counts[layer]} of "
        f"{len(problem.x)}; "
        "initial.construct: clustered mends it",
    )
