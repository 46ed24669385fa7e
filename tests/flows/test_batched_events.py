"""``events: batched`` steps over many crossings, finds every one of them, and goes the same way as ``exact``."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.reference.problems import separated_normal
from truncflow_cli.flows.separated_run import VERY_MANY, events_mode
from truncflow_cli.problem import Problem
from truncflow_cli.solver import solve

RTOL = 1e-4


def with_events(problem: Problem, events: str, rtol: float) -> Problem:
    settings = problem.settings.replace(events=events, rtol=rtol, s_end=1.0)
    return replace(problem, settings=settings, s_save=np.linspace(0.0, 1.0, 7))


def record(chunks):
    chunks = list(chunks)
    samples = [chunk.samples for chunk in chunks if chunk.samples]
    return SimpleNamespace(
        samples={name: np.concatenate([part[name] for part in samples]) for name in samples[0]},
        events=np.concatenate([chunk.events for chunk in chunks]),
        counters=chunks[-1].counters,
    )


def many_points() -> Problem:
    return separated_normal(3, 6000, 4)


def two_clusters() -> Problem:
    return separated_normal(5, 2500, 3, 2)


def coinciding_points() -> Problem:
    problem = separated_normal(7, 3000, 3)
    return replace(
        problem, x=np.concatenate([problem.x, problem.x[:500]]), cluster=np.zeros(3500, dtype=np.int64)
    )


def printed() -> Problem:
    return replace(many_points(), equations="printed")


@pytest.fixture(scope="module", params=[many_points, two_clusters, coinciding_points, printed])
def both(request):
    problem = request.param()
    batched = record(solve(with_events(problem, "batched", RTOL)))
    exact = record(solve(with_events(problem, "exact", 1e-10)))
    return batched, exact


def test_there_are_many_crossings_in_a_step(both) -> None:
    batched, exact = (run.counters for run in both)
    assert 10 * batched["steps"] < batched["roots"]
    assert exact["steps"] > 0.9 * exact["roots"]


def test_the_same_coordinates_cross_at_the_same_times(both) -> None:
    batched, exact = (
        run.events[np.lexsort([run.events[n] for n in ("s", "coordinate", "point")])] for run in both
    )
    assert batched.size == exact.size
    for name in ("kind", "layer", "point", "coordinate", "cluster", "side"):
        np.testing.assert_array_equal(batched[name], exact[name], err_msg=name)
    apart = np.abs(batched["s"] - exact["s"])
    assert np.median(apart) < RTOL
    assert apart.max() < 1e3 * RTOL  # of a coordinate that is slow when it crosses
    assert (np.diff(both[0].events["s"]) >= 0.0).all()


def test_the_state_is_within_the_tolerance(both) -> None:
    batched, exact = both
    for name in ("beta", "R", "loss"):
        np.testing.assert_allclose(
            batched.samples[name], exact.samples[name], rtol=0.0, atol=3 * RTOL, err_msg=name
        )
    balance = (
        batched.samples["energy_balance"] - exact.samples["energy_balance"]
    )  # of `printed` it is not zero
    assert np.abs(balance).max() < 3 * RTOL
    fraction = batched.samples["truncated_fraction"] - exact.samples["truncated_fraction"]
    assert np.abs(fraction).max() < 1e-3  # a crossing may fall on the other side of a saved time


@pytest.mark.parametrize("make", [many_points, two_clusters, coinciding_points])
def test_what_steps_are_off_by_does_not_add_up_in_the_balance(make) -> None:
    run = record(solve(with_events(make(), "batched", RTOL)))
    assert np.abs(run.samples["energy_balance"][-1]) < 0.01 * RTOL


def test_a_tighter_tolerance_is_closer() -> None:
    problem = separated_normal(3, 20_000, 3)
    exact = record(solve(with_events(problem, "exact", 1e-11)))
    apart = []
    for rtol in (1e-4, 1e-5, 1e-6):
        run = record(solve(with_events(problem, "batched", rtol)))
        apart.append(np.abs(run.samples["beta"] - exact.samples["beta"]).max())
        assert apart[-1] < rtol
    assert apart[0] > 10 * apart[2]


def test_where_it_does_not_pay_crossings_are_taken_one_by_one() -> None:
    problem = separated_normal(4, 12, 3)
    batched = record(solve(with_events(problem, "batched", 1e-10)))
    exact = record(solve(with_events(problem, "exact", 1e-10)))
    np.testing.assert_array_equal(batched.events["point"], exact.events["point"])
    np.testing.assert_allclose(batched.samples["beta"], exact.samples["beta"], atol=1e-9)


def test_auto_chooses_it_for_very_many_points_only() -> None:
    few = with_events(separated_normal(4, 12, 3), "auto", RTOL)
    many = replace(few, x=np.zeros((VERY_MANY // 2, 2)))
    assert events_mode(few) == "exact"
    assert events_mode(many) == "batched"
    assert events_mode(replace(many, settings=many.settings.replace(freeze_rotation=True))) == "exact"
    assert events_mode(replace(many, settings=many.settings.replace(events="exact"))) == "exact"
