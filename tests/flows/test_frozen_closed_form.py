"""With R fixed the closed form of section 4.3 gives what integration gives, and what (4.49) says by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import problems
from reference.compare import difference, run_solver
from reference.runs import reference_run

from truncflow_cli.events import Kind
from truncflow_cli.problem import Problem


def frozen(problem: Problem) -> Problem:
    return replace(problem, settings=problem.settings.replace(freeze_rotation=True))


def on_a_line(x: list[float], b: float, y: float, s_end: float = 10.0) -> Problem:
    """One coordinate, R = 1: points x, -beta = b, label y."""
    points = np.array(x)[:, None]
    problem = problems.make(
        "separated", points, np.zeros(len(x), int), np.array([[y]]), np.array([[-b]]), np.eye(1)[None], s_end
    )
    return frozen(problem)


MAKERS = {
    "normal": lambda seed: problems.separated_normal(seed),
    "two clusters": lambda seed: problems.separated_normal(seed, 14, 2, 2),
    "coincident": lambda seed: problems.coincident(problems.separated_normal(seed, 8), seed),
    "on surfaces": lambda seed: problems.on_surfaces(problems.separated_normal(seed, 8), seed),
    "ties": lambda seed: rounded(problems.on_surfaces(problems.separated_normal(seed, 10, 2), seed)),
}


def rounded(problem: Problem) -> Problem:
    """Return the problem with points on a coarse grid, so that many have a coordinate in common."""
    return replace(problem, x=np.round(2 * problem.x) / 2)


@pytest.mark.parametrize("maker", MAKERS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_closed_form_agrees_with_integration_of_the_gradient(maker, seed):
    problem = frozen(MAKERS[maker](seed))
    found = difference(run_solver(problem), reference_run(problem), problem.settings.s_end)
    assert found.unmatched == ()
    assert found.times < 1e-10
    assert found.state < 1e-10
    assert found.loss < 1e-10


def test_closed_form_is_exact_in_energy_and_keeps_the_rotation():
    problem = frozen(problems.separated_normal(3, 40, 3, 2))
    samples = run_solver(problem).samples
    assert (samples["R"] == problem.R0).all()
    assert np.abs(samples["energy_balance"]).max() < 1e-13


def test_truncations_happen_at_the_times_of_4_49():
    x, b, y = [0.0, 1.0, 1.5, 1.5, 2.0, 4.0], 0.5, 3.0
    solved = run_solver(on_a_line(x, b, y))
    first = 6 / 1 * np.log((y - b) / (y - 1.0))
    second = first + 6 / 2 * np.log((y - 1.0) / (y - 1.5))
    third = second + 6 / 4 * np.log((y - 1.5) / (y - 2.0))
    wanted = [(first, 1), (second, 2), (second, 3), (third, 4)]  # 4.0 lies beyond the label: never reached
    crossings = solved.crossings
    assert [(event[1], event[3]) for event in crossings] == [("truncate", point) for _, point in wanted]
    assert np.abs(np.array([event[0] for event in crossings]) - [s for s, _ in wanted]).max() < 1e-14 * third
    after = y - (y - 2.0) * np.exp(-5 / 6 * (10.0 - third))
    assert abs(-solved.samples["beta"][-1, 0, 0] - after) < 1e-14


def test_releases_happen_where_the_bias_falls():
    x, b, y = [-1.0, 0.5, 0.8, 2.0], 1.0, -0.5
    solved = run_solver(on_a_line(x, b, y))
    first = 4 / 3 * np.log((b - y) / (0.8 - y))
    second = first + 4 / 2 * np.log((0.8 - y) / (0.5 - y))
    assert [(event[1], event[3]) for event in solved.crossings] == [("release", 2), ("release", 1)]
    times = np.array([event[0] for event in solved.crossings])
    assert np.abs(times - [first, second]).max() < 1e-14
    # one point stays below the label: b goes to y at the rate 1/4
    assert abs(-solved.samples["beta"][-1, 0, 0] - (y + (0.5 - y) * np.exp(-(10.0 - second) / 4))) < 1e-14


def test_rest_in_finite_time_once_the_last_point_is_released():
    x, b, y = [0.0, 0.5, 2.0], 1.0, -1.0
    solved = run_solver(on_a_line(x, b, y))
    first = 3 / 2 * np.log((b - y) / (0.5 - y))
    last = first + 3 / 1 * np.log((0.5 - y) / (0.0 - y))
    assert [(event[1], event[3]) for event in solved.crossings] == [("release", 1), ("release", 0)]
    assert abs(solved.crossings[-1][0] - last) < 1e-14
    rest = solved.events[solved.events["kind"] == Kind.REST]
    assert len(rest) == 1
    assert abs(rest["s"][0] - last) < 1e-14
    late = solved.samples["s"] > last
    assert late.sum() > 10
    assert np.abs(solved.samples["beta"][late]).max() < 1e-15  # -beta stops at the last point, 0


@pytest.mark.parametrize("y", [-1.0, 0.5, 3.0])
def test_nothing_moves_where_nothing_is_truncated(y):
    solved = run_solver(on_a_line([0.0, 0.5, 2.0], -0.25, y))
    assert solved.crossings == []
    assert np.abs(solved.samples["beta"] - 0.25).max() < 1e-15
    assert solved.events["kind"].tolist() == [Kind.REST]
    assert solved.events["s"][0] == 0.0


def test_integrator_and_closed_form_agree_where_nothing_turns():
    """In one dimension there is no rotation, so that the integrator must give the closed form."""
    line = on_a_line([0.0, 1.0, 1.5, 1.5, 2.0, 4.0], 0.5, 3.0)
    free = replace(line, settings=line.settings.replace(freeze_rotation=False, rtol=1e-12, atol=1e-15))
    a, b = run_solver(line), run_solver(free)
    assert np.abs(a.samples["beta"] - b.samples["beta"]).max() < 1e-11
    assert [event[1:] for event in a.crossings] == [event[1:] for event in b.crossings]
    assert all(abs(x[0] - y[0]) < 1e-11 for x, y in zip(a.crossings, b.crossings, strict=True))
