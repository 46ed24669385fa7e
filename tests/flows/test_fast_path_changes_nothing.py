"""Usual steps are taken in one compiled loop; that must not change a single bit of what comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_problems import PROBLEMS, outcome

from truncflow_cli.events import Kind
from truncflow_cli.flows.separated import LayerFlow


@pytest.mark.parametrize("name", PROBLEMS)
def test_single_steps_give_the_same_bits(name, monkeypatch):
    problem = PROBLEMS[name]()
    samples, events, counters = outcome(problem)
    monkeypatch.setattr(LayerFlow, "step_many", lambda *_: None)
    single_samples, single_events, single_counters = outcome(problem)
    assert np.array_equal(events, single_events)
    for array in samples:
        assert np.array_equal(samples[array], single_samples[array]), array
    for counter in ("steps", "orders", "roots", "slides"):
        assert counters[counter] == single_counters[counter], counter


def test_the_usual_step_does_take_the_fast_path(monkeypatch):
    problem = PROBLEMS["many points"]()
    expansions = []
    expand = LayerFlow.expand
    monkeypatch.setattr(
        LayerFlow, "expand", lambda flow, reach: expansions.append(reach) or expand(flow, reach)
    )
    _, events, _ = outcome(problem)
    assert events.size > 300
    assert len(expansions) < 0.1 * events.size


def test_pins_are_among_the_problems():
    kinds = {Kind(kind) for name in ("pins", "more pins") for kind in outcome(PROBLEMS[name]())[1]["kind"]}
    assert {Kind.PIN, Kind.UNPIN} <= kinds


@pytest.mark.parametrize("name", ["pins", "clusters that watch one another", "many points"])
def test_saved_times_do_not_change_the_run(name):
    problem = PROBLEMS[name]()
    samples, events, _ = outcome(problem)
    denser = np.union1d(problem.s_save, np.linspace(0.0, problem.settings.s_end, 407))
    dense_samples, dense_events, _ = outcome(replace(problem, s_save=denser))
    assert np.array_equal(events, dense_events)
    shared = np.isin(denser, problem.s_save)
    for array in samples:
        assert np.array_equal(samples[array], dense_samples[array][shared]), array


@pytest.mark.parametrize("name", ["pins", "many points", "lattice"])
def test_the_order_of_the_points_does_not_matter(name):
    problem = PROBLEMS[name]()
    shuffle = np.random.default_rng(0).permutation(problem.x.shape[0])
    samples, events, _ = outcome(problem)
    other_samples, other_events, _ = outcome(replace(problem, x=problem.x[shuffle]))
    for array in samples:
        assert np.array_equal(samples[array], other_samples[array]), array
    named = other_events.copy()
    named["point"] = np.where(named["point"] >= 0, shuffle[named["point"]], -1)
    order = ["s", "kind", "coordinate", "point"]
    points = [
        kind for kind in Kind if kind not in (Kind.COLLAPSE, Kind.UNCOLLAPSE)
    ]  # name one of several coinciding
    ours, theirs = (log[np.isin(log["kind"], points)] for log in (events, named))
    assert np.array_equal(np.sort(ours, order=order), np.sort(theirs, order=order))
