"""A run that meets too many events hands out as many as it may, and fails at the last of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference.problems import normal

from truncflow_cli import solver
from truncflow_cli.errors import RunFailed
from truncflow_cli.problem import Problem


def limited(problem: Problem, **settings: object) -> Problem:
    return replace(problem, settings=problem.settings.replace(**settings))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("allowed", [1, 7, 20])
def test_as_many_events_as_allowed_are_kept(frozen: bool, allowed: int) -> None:
    problem = limited(normal("separated", 3, 40, 2, 2, 2), freeze_rotation=frozen)
    everything = np.concatenate([chunk.events for chunk in solver.solve(problem)])
    kept = []
    with pytest.raises(RunFailed, match="more than") as failure:
        for chunk in solver.solve(limited(problem, max_events=allowed)):
            kept.append(chunk.events)
    events = np.concatenate(kept)
    last = everything["s"][allowed - 1]
    assert failure.value.s == last
    assert np.array_equal(events, everything[everything["s"] <= last])
