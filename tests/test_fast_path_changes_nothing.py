"""Usual steps are taken in one compiled loop; that must not change a single bit of what comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from truncflow_cli.flows.separated import LayerFlow
from truncflow_cli.integrate import solve
from truncflow_cli.model.events import Kind
from truncflow_cli.model.problem import Problem, Settings


def rotation(rng, dim):
    q, r = np.linalg.qr(rng.normal(size=(dim, dim)))
    return q * np.sign(np.diag(r))


def random_problem(seed, *, dim, points, clusters=1, equations="exact", s_end=4.0, saves=31):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(clusters, dim))
    return Problem(
        "separated",
        equations,
        rng.normal(size=(points * clusters, dim)),
        np.repeat(np.arange(clusters), points),
        y,
        y,
        np.array([rotation(rng, dim) for _ in range(clusters)]),
        rng.normal(size=(clusters, dim)),
        np.eye(dim),
        np.linspace(0.0, s_end, saves),
        Settings(s_end=s_end),
    )


def lattice(seed):
    """Return points on a grid, so that many coordinates cross at one instant, and some coincide."""
    problem = random_problem(seed, dim=2, points=24)
    rng = np.random.default_rng(seed)
    return replace(problem, x=rng.integers(-3, 4, size=(24, 2)).astype(float), R0=np.eye(2)[None])


PROBLEMS = {
    "small": lambda: random_problem(0, dim=3, points=12),
    "pins": lambda: random_problem(4, dim=3, points=12, s_end=6.0),
    "more pins": lambda: random_problem(8, dim=3, points=12, s_end=6.0),
    "one dimension": lambda: random_problem(3, dim=1, points=20),
    "many points": lambda: random_problem(1, dim=6, points=400, s_end=2.0),
    "clusters that watch one another": lambda: random_problem(2, dim=2, points=40, clusters=3),
    "printed equations": lambda: random_problem(5, dim=3, points=30, equations="printed"),
    "lattice": lambda: lattice(6),
}


def outcome(problem):
    chunks = list(solve(problem))
    samples = [chunk.samples for chunk in chunks if chunk.samples]
    joined = {name: np.concatenate([part[name] for part in samples]) for name in samples[0]}
    return joined, np.concatenate([chunk.events for chunk in chunks]), chunks[-1].counters


@pytest.mark.parametrize("name", PROBLEMS)
def test_single_steps_give_the_same_bits(name, monkeypatch):
    problem = PROBLEMS[name]()
    samples, events, counters = outcome(problem)
    monkeypatch.setattr(LayerFlow, "run_ahead", lambda *_: None)
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
