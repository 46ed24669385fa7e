"""Steps over many crossings keep to the tolerance, whatever room there is for them, and with few points too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_problems import random_problem
from reference.compare import Solved, run_solver

from truncflow_cli.kernels import compiled_layer
from truncflow_cli.problem import Problem


def stepped(problem: Problem, rtol: float) -> Problem:
    return replace(problem, settings=problem.settings.replace(events="batched", rtol=rtol))


def test_room_for_crossings_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on from a checkpoint begins with little room again, and has to give the same bits."""
    problem = stepped(random_problem(2, dim=2, points=3000, clusters=2, s_end=1.0, saves=5), 1e-5)
    runs: list[Solved] = []
    for room in (4096, 8):
        monkeypatch.setattr(compiled_layer, "CROSSINGS", room)
        runs.append(run_solver(problem))
    plenty, little = runs
    assert plenty.counters["roots"] > 20 * plenty.counters["steps"], "steps over many crossings"
    assert (plenty.events == little.events).all()
    assert (np.diff(little.events["s"]) >= 0.0).all()
    for name, array in plenty.samples.items():
        assert (array == little.samples[name]).all(), name


@pytest.mark.parametrize("points", [8, 40, 400])
@pytest.mark.parametrize("seed", [0, 1, 5])
def test_steps_that_turn_out_to_be_off_are_taken_back(points: int, seed: int) -> None:
    """With few points each crossing is a large jump of the field, which a step that is too long may meet."""
    problem = random_problem(seed, dim=2, points=points, clusters=2, s_end=3.0, saves=7)
    exact = run_solver(problem)
    for rtol in (1e-6, 1e-9):
        run = run_solver(stepped(problem, rtol))
        size = 1.0 + run.samples["loss"][0]
        assert np.abs(run.samples["energy_balance"]).max() < 10 * rtol * size
        assert np.abs(run.samples["beta"] - exact.samples["beta"]).max() < 30 * rtol
        # Each event is found, whatever the step.
        ours, theirs = ([event[1:] for event in r.crossings] for r in (run, exact))
        assert sorted(ours) == sorted(theirs)
