"""With series of order p and steps of length h the error is of order h^p, through crossings and pinned stretches."""

from __future__ import annotations

import numpy as np
import pytest
from reference.runs import catalogued

from truncflow_cli.events import Kind
from truncflow_cli.flows.general import GeneralFlow
from truncflow_cli.flows.points import layer_points, network_points
from truncflow_cli.flows.separated import LayerFlow
from truncflow_cli.problem import Problem
from truncflow_cli.solver.loop import EventLoop

STEPS = 0.1 / 2.0 ** np.arange(4)


def end_state(problem: Problem, order: int, step: float, rtol: float) -> tuple[np.ndarray, set[int]]:
    """Return R and b at the end, and the kinds of events met; the whole series is used on every step."""
    if problem.flow == "general":
        flow = GeneralFlow(
            network_points(problem), problem.R0, problem.beta0, rtol=rtol, atol=1e-12, order=order
        )
    else:
        flow = LayerFlow(
            layer_points(problem, 0),
            problem.R0[0],
            problem.beta0[0],
            rtol=rtol,
            atol=1e-12,
            printed=False,
            order=order,
        )
    expand = flow.expand
    flow.expand = lambda reach: expand(np.inf)
    solver = EventLoop(flow, 2.0, step_limit=step)
    kinds = set(solver.start().events["kind"].tolist())
    while not solver.finished:
        kinds |= set(solver.advance().events["kind"].tolist())
    return np.concatenate([flow.R.ravel(), flow.b.ravel()]), kinds


@pytest.mark.parametrize("order", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["crossings both ways", "pins left both ways"])
def test_the_error_falls_with_the_power_of_the_step(name: str, order: int) -> None:
    problem = catalogued(name)
    exact, kinds = end_state(problem, 24, np.inf, 1e-13)
    assert Kind.TRUNCATE in kinds
    assert (Kind.UNPIN in kinds) == name.startswith("pins")
    errors = [np.abs(end_state(problem, order, step, 1e6)[0] - exact).max() for step in STEPS]
    slope = np.polyfit(np.log(STEPS), np.log(errors), 1)[0]
    assert order - 0.35 < slope < order + 1.5
