"""Clusters of `separated` use the cores there are; what comes out does not depend on how many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.reference.problems import separated_normal
from truncflow_cli.errors import RunFailed
from truncflow_cli.flows.separated import LayerFlow
from truncflow_cli.solver import assemble, solve
from truncflow_cli.solver.loop import EventLoop


def outcome(problem, monkeypatch, cores):
    """Return all that is handed out with this many cores, and the failure if there is one."""
    monkeypatch.setattr(assemble, "available_cores", lambda: cores)
    monkeypatch.setattr(assemble, "WORTH_THREADS", 0)
    chunks, failure = [], None
    try:
        chunks.extend(solve(problem))
    except RunFailed as failed:
        failure = (str(failed), failed.s)
    samples = [chunk.samples for chunk in chunks if chunk.samples]
    return (
        {name: np.concatenate([part[name] for part in samples]) for name in samples[0]},
        np.concatenate([chunk.events for chunk in chunks]),
        failure,
    )


@pytest.mark.parametrize("max_events", [1_000_000, 100])
@pytest.mark.parametrize("cores", [2, 8])
def test_every_bit_is_that_of_one_core(monkeypatch, cores, max_events) -> None:
    problem = separated_normal(3, 30, 3, 4)
    problem = replace(problem, settings=problem.settings.replace(max_events=max_events))
    samples, events, failure = outcome(problem, monkeypatch, 1)
    samples_there, events_there, failure_there = outcome(problem, monkeypatch, cores)
    assert failure == failure_there
    np.testing.assert_array_equal(events, events_there)
    for name, array in samples.items():
        np.testing.assert_array_equal(array, samples_there[name], err_msg=name)


def test_a_lane_that_cannot_go_on_ends_the_run_where_it_does_with_one_core(monkeypatch) -> None:
    problem = separated_normal(3, 20, 3, 3)
    advance = EventLoop.advance

    def failing(self, *asked):
        if self.s > 0.2 * (3 - self.flow.data.layer):
            raise RunFailed(f"layer {self.flow.data.layer} has enough", self.s)
        return advance(self, *asked)

    monkeypatch.setattr(EventLoop, "advance", failing)
    # Several steps in one go would go on beyond where a layer has enough.
    monkeypatch.setattr(LayerFlow, "step_many", lambda *_: None)
    samples, events, failure = outcome(problem, monkeypatch, 1)
    _, events_there, failure_there = outcome(problem, monkeypatch, 3)
    assert failure is not None
    assert failure == failure_there
    assert samples["s"].size < problem.s_save.size
    np.testing.assert_array_equal(events, events_there)
