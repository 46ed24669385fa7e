"""Problems of the `general` flow with many points, and flows about them, for the tests of its cells and deadlines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from reference.problems import general_normal

from truncflow_cli.flows.general import GeneralFlow
from truncflow_cli.flows.points import network_points
from truncflow_cli.network_field import forward_pass
from truncflow_cli.problem import UNTRUNCATED, Problem


def network_problem(
    seed: int, dim: int = 3, layers: int = 2, clusters: int = 2, points: int = 120, apart: float = 0.0
) -> Problem:
    """Return clusters of ``points`` normal points in all, their centres ``apart`` from 0; s_end 1."""
    problem = general_normal(seed, points, dim, layers, clusters)
    centers = apart * np.eye(clusters, dim)
    return replace(
        problem,
        x=0.5 * problem.x + centers[problem.cluster] if apart else problem.x,
        s_save=np.linspace(0.0, 1.0, 21),
        settings=problem.settings.replace(s_end=1.0),
    )


def flow_of(problem: Problem) -> GeneralFlow:
    """Return an unused flow."""
    settings = problem.settings
    return GeneralFlow(
        network_points(problem), problem.R0, problem.beta0, rtol=settings.rtol, atol=settings.atol
    )


def furthest_on_the_wrong_side(flow: GeneralFlow, R: np.ndarray, b: np.ndarray) -> float:
    """Return by how much any coordinate is on the wrong side in this state, relative to the data."""
    opened = flow.pattern == UNTRUNCATED
    z = forward_pass(flow.data.x, R, b, lambda layer, _: opened[:, layer]).z
    sign = np.where(opened, 1.0, np.where(flow.pattern == 0, -1.0, 0.0))
    return float((-sign * z).max() / (flow.data.spread + np.abs(b).max()))
