"""Starts that lie on many surfaces at once, or where nothing moves to first order, run and balance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference.compare import run_solver
from reference.descent import descend
from reference.network import unpack
from reference.problems import integers
from reference.runs import networks

from truncflow_cli import solver
from truncflow_cli.config import build, load_text

#: Integer data on identity rotations: dozens of coordinates are exactly zero, some with no speed and no kink.
INTEGERS = """
flow: general
layers: 2
clusters:
  - points: [[-1, 0, 0], [-1, 1, -2], [1, -2, -1], [1, 0, -1], [0, 0, 0], [0, 1, -1], [0, -1, 1], [1, 1, 0]]
  - points: [[1, 0, 1], [1, -1, 0], [0, 2, 3], [0, 0, -2], [0, 0, -1], [1, -2, 0]]
  - points: [[0, -1, 1], [1, -1, -1], [1, 0, -1]]
labels: [[-1, 0, 0], [2, 1, 4], [3, 1, 2]]
initial: {rotation: identity, bias: [[1, -1, 1], [0, 2, 0]]}
integrator: {s_end: 5}
save: {count: 41}
"""

ONE_POINT = """
flow: FLOW
clusters: [{points: [[1.0]]}]
labels: [[0.5]]
initial: {rotation: identity, bias: [[-1.5]]}
integrator: {s_end: 3}
"""

ALL_EQUAL = """
flow: FLOW
clusters: [{points: [[1, 2], [1, 2], [1, 2], [1, 2]]}, {points: [[3, 3], [3, 3]]}]
labels: [[1, 2], [0, 1]]
initial: {rotation: identity, bias: [[-1, -3], [-4, -3]]}
integrator: {s_end: 3}
"""

EQUAL_LAYERS = """
flow: general
seed: 4
layers: 3
clusters:
  - {center: [1, 0, 0], shape: gaussian, std: 0.7, size: 8}
  - {center: [0, 1, 0], shape: gaussian, std: 0.7, size: 8}
labels: {scale: 2}
initial: {rotation: identity, bias: [[-0.5, -0.5, 0.1], [-0.5, -0.5, 0.1], [-0.5, -0.5, 0.1]]}
integrator: {s_end: 3}
"""

STARTS = {
    "integers": INTEGERS,
    "one point": ONE_POINT.replace("FLOW", "separated"),
    "one point, general": ONE_POINT.replace("FLOW", "general"),
    "all points equal": ALL_EQUAL.replace("FLOW", "separated"),
    "all points equal, general": ALL_EQUAL.replace("FLOW", "general"),
    "equal layers": EQUAL_LAYERS,
}


@pytest.mark.parametrize("name", STARTS)
def test_it_runs_to_the_end_and_balances(name: str, tmp_path: Path) -> None:
    problem = build(load_text(STARTS[name], tmp_path, "degenerate")).problem
    chunks = list(solver.solve(problem))
    loss = np.concatenate([chunk.samples["loss"] for chunk in chunks if chunk.samples])
    balance = np.concatenate([chunk.samples["energy_balance"] for chunk in chunks if chunk.samples])
    assert loss.size == problem.s_save.size
    assert (np.diff(loss) <= 1e-9).all()
    assert np.abs(balance).max() < 2e-9 * (1.0 + loss[0])


@pytest.mark.parametrize("seed", [0, 16, 72])
def test_integer_data_are_solved_by_general(seed: int) -> None:
    check_integers("general", seed)


@pytest.mark.parametrize("seed", [121, 384])
def test_integer_data_are_solved_by_separated(seed: int) -> None:
    check_integers("separated", seed)


def check_integers(flow: str, seed: int) -> None:
    """It balances all along, and begins as plain gradient descent does, which knows of no surfaces."""
    problem = integers(flow, seed)
    solved = run_solver(problem)
    loss, balance = solved.samples["loss"], solved.samples["energy_balance"]
    assert (np.diff(loss) <= 1e-9).all()
    assert np.abs(balance).max() < 2e-9 * (1.0 + loss[0])
    s, index = float(problem.s_save[1]), 1
    beta, R = [], []
    for net, start, _ in networks(problem):
        b, r = unpack(net, descend(net, start, s, 2.5e-4))
        beta.append(b)
        R.append(r)
    assert np.abs(np.concatenate(beta) - solved.samples["beta"][index]).max() < 4e-3
    assert np.abs(np.concatenate(R) - solved.samples["R"][index]).max() < 4e-3
