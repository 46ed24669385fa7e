"""The general flow's usual steps are taken in one compiled loop; that must not change a bit of what comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from network_problems import network_problem
from random_problems import outcome
from stopped_runs import stopped_again_and_again, undisturbed

from truncflow_cli.events import EVENT_DTYPE, Kind
from truncflow_cli.flows.general import GeneralFlow
from truncflow_cli.kernels import compiled_network
from truncflow_cli.kernels.compiled_network import CompiledNetwork

PROBLEMS = {
    "cells": lambda: network_problem(4, points=240),
    "cells, three layers": lambda: network_problem(2, 2, 3, 2, 200),
    "point by point": lambda: network_problem(4, 4, 3, 2, 30),
    "pins": lambda: network_problem(6, 3, 2, 3, 300, apart=2.0),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_single_steps_give_the_same_bits(name, monkeypatch):
    problem = PROBLEMS[name]()
    samples, events, counters = outcome(problem)
    monkeypatch.setattr(GeneralFlow, "step_many", lambda *_: None)
    single_samples, single_events, single_counters = outcome(problem)
    assert np.array_equal(events, single_events)
    for array in samples:
        assert np.array_equal(samples[array], single_samples[array]), array
    for counter in ("steps", "orders", "roots", "slides"):
        assert counters[counter] == single_counters[counter], counter


def test_the_usual_step_does_take_the_fast_path(monkeypatch):
    expansions = []
    expand = GeneralFlow.expand
    monkeypatch.setattr(
        GeneralFlow, "expand", lambda flow, reach: expansions.append(reach) or expand(flow, reach)
    )
    _, events, _ = outcome(PROBLEMS["cells"]())
    assert events.size > 100
    assert len(expansions) < 0.1 * events.size


@pytest.mark.parametrize("name", PROBLEMS)
def test_stopped_at_any_steps(name):
    problem = PROBLEMS[name]()
    whole = undisturbed(problem)
    again, stops = stopped_again_and_again(problem, np.random.default_rng(0), 0.1)
    assert [key for key in whole if whole[key] != again[key]] == []
    assert stops > 1


def test_pins_are_among_the_problems():
    events = np.frombuffer(undisturbed(PROBLEMS["pins"]())["events"], dtype=EVENT_DTYPE)
    assert {Kind.PIN, Kind.UNPIN} <= {Kind(kind) for kind in events["kind"]}


@pytest.mark.parametrize("name", PROBLEMS)
def test_saved_times_and_the_order_of_the_points_do_not_change_the_run(name):
    problem = PROBLEMS[name]()
    samples, events, _ = outcome(problem)
    shuffle = np.random.default_rng(0).permutation(problem.x.shape[0])
    denser = np.union1d(problem.s_save, np.linspace(0.0, problem.settings.s_end, 107))
    shared = np.isin(denser, problem.s_save)
    other, other_events, _ = outcome(
        replace(problem, s_save=denser, x=problem.x[shuffle], cluster=problem.cluster[shuffle])
    )
    for array in samples:
        assert np.array_equal(samples[array], other[array][shared]), array
    assert np.array_equal(events["s"], other_events["s"])


def test_sums_are_made_anew_now_and_then_and_that_changes_little(monkeypatch):
    problem = PROBLEMS["cells"]()
    samples, events, _ = outcome(problem)
    gathered = []
    gather = CompiledNetwork.gather
    monkeypatch.setattr(
        CompiledNetwork,
        "gather",
        lambda kernel, **how: gathered.append(how) or gather(kernel, **how),
    )
    monkeypatch.setattr(GeneralFlow, "step_many", lambda *_: None)
    monkeypatch.setattr(compiled_network, "MOST_UPDATES", 20)
    refreshed, refreshed_events, _ = outcome(problem)
    assert len(gathered) > 3
    assert np.array_equal(events["kind"], refreshed_events["kind"])
    for array in samples:
        assert np.abs(samples[array] - refreshed[array]).max() < 1e-10, array
