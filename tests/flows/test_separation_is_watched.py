"""Separation lost and regained, collapse and its end are logged exactly when and where they happen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference import problems
from reference.compare import run_solver
from reference.runs import reference_run
from reference.watch import collapse, separation

from truncflow_cli.events import Kind
from truncflow_cli.problem import Problem

NAMES = {
    Kind.SEPARATION_LOST: "separation_lost",
    Kind.SEPARATION_REGAINED: "separation_regained",
    Kind.COLLAPSE: "collapse",
    Kind.UNCOLLAPSE: "uncollapse",
}


def watched(problem: Problem) -> list[tuple]:
    """Return what the solver logs of it; at s = 0 without point and coordinate, which are a matter of choice."""
    found = []
    for event in run_solver(problem).events:
        if Kind(event["kind"]) in NAMES:
            at_start = event["s"] == 0
            point, coordinate = (-1, -1) if at_start else (int(event["point"]), int(event["coordinate"]))
            name = NAMES[Kind(event["kind"])]
            found.append(
                (float(event["s"]), name, int(event["layer"]), point, coordinate, int(event["cluster"]))
            )
    return found


def compact(seed: int, beyond: float) -> Problem:
    """Two compact clusters in the plane; labels ``beyond`` them along the axes of their layers' orthants.

    With a positive distance the layer passes the whole cluster; with a negative one, started wholly truncated, it
    draws back.
    """
    rng = np.random.default_rng(seed)
    problem = problems.separated_normal(seed, 8, 2, 2)
    x = 0.2 * problem.x + np.array([[1.0, 0.0], [-1.0, 0.5]])[problem.cluster]
    center = np.array([x[problem.cluster == j].mean(axis=0) for j in (0, 1)])
    axis = problem.R0.sum(axis=1) / np.sqrt(2.0)
    start = center + (0.1 * rng.normal() - 0.1 if beyond > 0 else 0.9) * axis
    return replace(problem, x=x, beta0=-start, y_tilde=center + beyond * axis)


CASES = {
    **{f"plane {seed}": problems.two_clusters_in_the_plane(seed) for seed in (1, 3, 5)},
    **{f"normal {seed}": problems.separated_normal(seed, 8, 2, 2) for seed in (1, 4, 7)},
    **{f"three clusters {seed}": problems.separated_normal(seed, 9, 3, 3) for seed in (2,)},
    **{f"passed {seed}": compact(seed, 2.0) for seed in (0, 1, 2)},
    **{f"drawn back {seed}": compact(seed, -0.3) for seed in (0, 1, 2)},
}


@pytest.mark.parametrize("name", CASES)
def test_watched_events_are_those_of_the_reference(name):
    problem = CASES[name]
    reference = reference_run(problem)
    wanted = sorted(separation(problem, reference.runs) + collapse(problem, reference.events))
    got = sorted(watched(problem))
    assert [event[1:] for event in got] == [event[1:] for event in wanted]
    assert all(abs(a[0] - b[0]) < 1e-8 for a, b in zip(got, wanted, strict=True))


def test_all_kinds_are_among_the_cases():
    kinds = {event[1] for problem in CASES.values() for event in watched(problem) if event[0] > 0}
    assert kinds == set(NAMES.values())


def test_a_run_may_stop_where_separation_is_lost():
    problem = problems.two_clusters_in_the_plane(1)
    lost = next(event[0] for event in watched(problem) if event[1] == "separation_lost")
    stopping = replace(problem, settings=problem.settings.replace(on_separation_lost="stop"))
    solved = run_solver(stopping)
    whole = run_solver(replace(problem, s_save=np.array([0.0, lost, problem.settings.s_end])))
    assert 0 < lost < problem.settings.s_end
    assert solved.samples["s"][-1] == lost
    assert solved.events["s"].max() == lost
    for name in ("beta", "R", "loss"):
        assert np.abs(solved.samples[name][-1] - whole.samples[name][1]).max() < 1e-12
