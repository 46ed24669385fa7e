"""Degenerate data are solved rightly in every flow and mode, as the loss, its balance and an independent run say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference import loss as plain
from reference.compare import Solved, difference, run_solver
from reference.runs import Reference, reference_run

from truncflow_cli.config import build, load_text
from truncflow_cli.events import Kind
from truncflow_cli.problem import Problem

MODES = {
    "separated": "flow: separated\nintegrator: {s_end: 3}",
    "batched": "flow: separated\nintegrator: {s_end: 3, events: batched}",
    "switch": "flow: separated\nintegrator: {s_end: 3, on_separation_lost: switch}",
    "frozen": "flow: separated\nintegrator: {s_end: 3, freeze_rotation: true}",
    "general": "flow: general\nintegrator: {s_end: 3}",
}

_rng = np.random.default_rng(7)
_PLANE = np.column_stack([np.zeros(200), _rng.normal(size=200)]).tolist()
_HYPERPLANE = np.column_stack([_rng.normal(size=(200, 2)), np.zeros(200)]).tolist()
_LATTICE = [[i, j] for i in range(-6, 7) for j in range(-6, 7)]
_SCATTERED = _rng.normal(size=(9, 2)).tolist()
_LINE = _rng.normal(size=(20, 1)).tolist()

#: Points of each cluster, labels, rotation, biases; N, Q or C is 1, points coincide, or lie on surfaces.
CASES = {
    "one point": ([[[1.0, 0.3]]], [[0.5, -0.2]], "random", "{normal: 0.8}"),
    "one dimension": ([_LINE[:9], _LINE[9:]], [[0.5], [-0.7]], "identity", "[[-0.2], [0.3]]"),
    "one of everything": ([[[1.0]]], [[0.5]], "identity", "[[-1.5]]"),
    "all points equal": ([[[1, 2]] * 4, [[1, 2]] * 2], [[0.5, 0.2], [1, -3]], "random", "{normal: 0.8}"),
    "a label is a point": ([[*_SCATTERED, [1.0, 0.5]]], [[1.0, 0.5]], "random", "zero"),
    "a label is all points": ([[[1, 2]] * 3], [[1, 2]], "random", "[[-1.5, -2]]"),
    "no gradient at the start": ([[[1, 2], [2, 1]]], [[5, -3]], "identity", "zero"),
    "the label is where all is mapped to": ([[[1, 2], [2, 1]]], [[3, 3]], "identity", "[[-3, -3]]"),
    "a point at the apex": ([[[0, 0]]], [[-1, 2]], "identity", "zero"),
    "points at the apex and elsewhere": (
        [[[0, 0, 0], [1, -2, 1], [3, -1, -1]]],
        [[-1, 2, 1]],
        "identity",
        "zero",
    ),
    "hundreds of points at the apex": ([[[0, 0]] * 300 + [[1, 1], [2, -1]]], [[-1, 2]], "identity", "zero"),
    "all on one surface": ([_PLANE], [[-1, 3]], "identity", "[[0, -1]]"),
    "all on a hyperplane": ([_HYPERPLANE], [[1, 2, -1]], "identity", "zero"),
    "a lattice": ([_LATTICE], [[3, 4]], "identity", "zero"),
    "distances 2^-k": (
        [[[-1 + 2.0**-k, 0.1 * k] for k in range(1, 40)]],
        [[1, 0.3]],
        "identity",
        "[[1, 30]]",
    ),
}

#: Small enough for the reference.
SMALL = (
    "one point",
    "one dimension",
    "a label is a point",
    "points at the apex and elsewhere",
)


def problem_of(case: str, mode: str) -> Problem:
    clusters, labels, rotation, bias = CASES[case]
    text = (
        f"{MODES[mode]}\nclusters: [{', '.join(f'{{points: {points}}}' for points in clusters)}]\n"
        f"labels: {labels}\ninitial: {{rotation: {rotation}, bias: {bias}}}\nsave: {{count: 7}}\n"
    )
    return build(load_text(text, Path(), case)).problem


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("mode", MODES)
def test_it_runs_to_the_end_with_the_right_loss_which_falls_and_balances(case: str, mode: str) -> None:
    problem = problem_of(case, mode)
    run = run_solver(problem)
    assert run.samples["s"].tolist() == problem.s_save.tolist()
    loss, size = run.samples["loss"], 1.0 + run.samples["loss"][0]
    if mode != "switch":  # at which the loss may be another one
        assert (np.diff(loss) <= 1e-9 * size).all()
    assert np.abs(run.samples["energy_balance"]).max() < 1e-8 * size
    composed = mode == "general" or (mode == "switch" and (run.events["kind"] == Kind.SEPARATION_LOST).any())
    evaluate = plain.cluster_losses_general if composed else plain.cluster_losses_separated
    for k in (0, -1) if mode != "switch" else (-1,):
        beta, R = run.samples["beta"][k], run.samples["R"][k]
        parts = evaluate(problem.x, problem.cluster, problem.y_tilde, beta, R)
        np.testing.assert_allclose(run.samples["loss_cluster"][k], parts, rtol=1e-9, atol=1e-12 * size)


@pytest.fixture(scope="module")
def references() -> dict[tuple[str, str], Reference]:
    return {}


@pytest.mark.parametrize("mode", ["separated", "batched", "frozen", "general"])
@pytest.mark.parametrize("name", SMALL)
def test_it_goes_where_an_independent_integrator_goes(
    name: str, mode: str, references: dict[tuple[str, str], Reference]
) -> None:
    problem = problem_of(name, mode)
    known = (name, "separated" if mode == "batched" else mode)
    if known not in references:
        references[known] = reference_run(problem)
    assert difference(run_solver(problem), references[known], problem.settings.s_end).state < 1e-7


@pytest.mark.parametrize("mode", ["separated", "batched", "general"])
@pytest.mark.parametrize("off", [(1e-7, -2e-7), (-1e-7, -2e-7), (-3e-7, -1e-7)])
def test_from_the_apex_the_run_goes_as_from_beside_it(mode: str, off: tuple[float, float]) -> None:
    """First order leaves the point on a surface, and second order pushes it back: it is held there from the start.

    The other surface repels, so that h(0) = 0 decides, and what is beside it on that side goes the same way.
    """
    problem = problem_of("a point at the apex", mode)
    beside = replace(problem, beta0=problem.beta0 + np.array(off))
    runs = [run_solver(each).samples for each in (problem, beside)]
    for name in ("beta", "R", "loss"):
        assert np.abs(runs[0][name] - runs[1][name]).max() < 2e-6, name


@pytest.mark.parametrize("mode", MODES)
def test_coinciding_points_do_the_same_at_the_same_time(mode: str) -> None:
    run = run_solver(problem_of("hundreds of points at the apex", mode))
    crossings: dict[tuple[float, int, int], set[int]] = {}
    for event in run.events[(run.events["point"] >= 0) & (run.events["point"] < 300)]:
        what = float(event["s"]), int(event["kind"]), int(event["coordinate"])
        crossings.setdefault(what, set()).add(int(event["point"]))
    assert crossings
    assert all(len(points) == 300 for points in crossings.values())
    pins = run.events["kind"] == Kind.PIN
    assert np.count_nonzero(pins) == (0 if mode == "frozen" else 300)


@pytest.mark.parametrize("mode", MODES)
def test_a_run_of_no_length_has_its_start_and_nothing_else(mode: str) -> None:
    problem = problem_of("a label is a point", mode)
    text = MODES[mode].replace("s_end: 3", "s_end: 0")
    clusters = [problem.x.tolist()]
    text += f"\nclusters: [{{points: {clusters[0]}}}]\nlabels: {problem.y.tolist()}\n"
    run = run_solver(build(load_text(text + "initial: {rotation: random}\n", Path(), "none")).problem)
    assert run.samples["s"].tolist() == [0.0]
    assert (run.events["s"] == 0.0).all()
    np.testing.assert_allclose(run.samples["R"][0], problem.R0, atol=1e-14)


def closed_form_in_one_dimension(x: np.ndarray, y: float, bias: float, s_end: float) -> list[float]:
    """Return when the points below y are truncated, by (4.49): in one dimension there is nothing to rotate."""
    times, s = [], 0.0
    x = np.sort(x)
    n = int(np.count_nonzero(x <= -bias))
    b = -bias
    for k in range(n, int(np.count_nonzero(x < y))):
        s += len(x) / k * np.log((y - b) / (y - x[k]))
        b = x[k]
        times.append(s)
    return [time for time in times if time < s_end]


@pytest.mark.parametrize("mode", ["separated", "batched", "frozen", "general"])
def test_events_that_accumulate_at_the_label_come_at_the_times_of_the_closed_form(mode: str) -> None:
    x = np.array([0.9 - 2.0**-k for k in range(36)] + 100 * [-1.0] + [0.95, 2.0])
    text = MODES[mode].replace("s_end: 3", "s_end: 33")
    text += f"\nclusters: [{{points: {x[:, None].tolist()}}}]\nlabels: [[0.9]]\ninitial: {{bias: [[0.09]]}}\n"
    run = run_solver(build(load_text(text + "save: {count: 3}\n", Path(), "zeno")).problem)
    expected = closed_form_in_one_dimension(x, 0.9, 0.09, 33.0)
    times = [s for s, kind, *_ in run.crossings if kind == "truncate"]
    assert len(expected) > 30
    # Near the label the points are 2^-k apart, and b is as near to them as rounding allows.
    near = np.array([2.0**-k for k in range(1, len(expected) + 1)])
    assert len(times) == len(expected)
    assert (np.abs(np.array(times) - expected) < 1e-9 + 1e-12 / near).all()


def test_thousands_cross_at_once_in_the_closed_form(tmp_path: Path) -> None:
    """On planes parallel to a face, with R fixed, all points of a plane cross together, at the times of (4.49)."""
    height = np.repeat(np.linspace(-1.0, 1.0, 5), 1000)
    points = np.column_stack([height, np.linspace(-50.0, 50.0, height.size)])
    np.save(tmp_path / "planes.npy", points)
    text = MODES["frozen"].replace("s_end: 3", "s_end: 9") + "\nclusters: [{file: planes.npy}]\n"
    text += "labels: [[2.0, 0.0]]\ninitial: {bias: [[0.75, 200.0]]}\n"
    run: Solved = run_solver(build(load_text(text, tmp_path, "planes")).problem)
    times, counts = np.unique([s for s, kind, *_ in run.crossings if kind == "truncate"], return_counts=True)
    assert counts.tolist() == [1000] * 4
    expected = closed_form_in_one_dimension(height, 2.0, 0.75, 9.0)
    np.testing.assert_allclose(times, sorted(set(np.round(expected, 12))), atol=1e-11)
