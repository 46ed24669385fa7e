"""Nothing depends on how one looks: order, names, origin, axes, saving, stopping, or which flow says it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from reference import problems
from reference.cases import MAKERS, few, makers, seeds
from reference.compare import Solved, run_solver
from reference.problems import random_orthogonal

from truncflow_cli.events import Kind


def crossings_agree(a: Solved, b: Solved, tolerance: float) -> None:
    """Assert that two runs have the same events at the same times, whatever the order within an instant."""
    what_a = sorted(event[1:] for event in a.crossings)
    what_b = sorted(event[1:] for event in b.crossings)
    assert what_a == what_b
    times = [sorted((event[1:], event[0]) for event in run.crossings) for run in (a, b)]
    for (_, s), (_, t) in zip(*times, strict=True):
        assert abs(s - t) < tolerance


@makers
@given(seed=seeds)
@few
def test_density_of_saving_changes_nothing(maker, seed):
    problem = MAKERS[maker](seed)
    s_end = problem.settings.s_end
    sparse = run_solver(replace(problem, s_save=np.array([0.0, s_end])))
    dense = run_solver(replace(problem, s_save=np.linspace(0.0, s_end, 777)))
    assert (sparse.events == dense.events).all()
    for name, array in sparse.samples.items():
        assert (array[-1] == dense.samples[name][-1]).all(), name


@makers
@given(seed=seeds)
@few
def test_order_of_the_points_changes_nothing(maker, seed):
    problem = MAKERS[maker](seed)
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(problem.x)), problem.cluster))
    a, b = run_solver(problem), run_solver(replace(problem, x=problem.x[order]))
    for name in ("beta", "R", "loss_cluster"):
        assert np.abs(a.samples[name] - b.samples[name]).max() < 1e-10, name
    renamed = b.events.copy()
    known = renamed["point"] >= 0
    renamed["point"][known] = order[renamed["point"][known]]
    crossings_agree(a, replace(b, events=renamed), 1e-9)


@makers
@given(seed=seeds)
@few
def test_a_shifted_origin_shifts_the_biases_and_nothing_else(maker, seed):
    problem = MAKERS[maker](seed)
    c = np.random.default_rng(seed).normal(size=problem.dim)
    moved = replace(problem, x=problem.x + c, beta0=problem.beta0 - c, y_tilde=problem.y_tilde + c)
    a, b = run_solver(problem), run_solver(moved)
    assert np.abs(a.samples["beta"] - c - b.samples["beta"]).max() < 1e-9
    assert np.abs(a.samples["R"] - b.samples["R"]).max() < 1e-9
    crossings_agree(a, b, 1e-8)


@makers
@given(seed=seeds)
@few
def test_a_turned_input_space_turns_the_biases_and_nothing_else(maker, seed):
    problem = MAKERS[maker](seed)
    U = random_orthogonal(np.random.default_rng(seed), problem.dim)
    turned = replace(
        problem,
        x=problem.x @ U.T,
        beta0=problem.beta0 @ U.T,
        y_tilde=problem.y_tilde @ U.T,
        R0=problem.R0 @ U.T,
    )
    a, b = run_solver(problem), run_solver(turned)
    assert np.abs(a.samples["beta"] @ U.T - b.samples["beta"]).max() < 1e-9
    assert np.abs(a.samples["R"] @ U.T - b.samples["R"]).max() < 1e-9
    crossings_agree(a, b, 1e-8)


@makers
@given(seed=seeds)
@few
def test_coordinates_of_a_layer_may_be_named_in_any_order(maker, seed):
    problem = MAKERS[maker](seed)
    rng = np.random.default_rng(seed)
    names = np.array([rng.permutation(problem.dim) for _ in range(problem.n_layers)])
    permuted = np.array([R[order] for R, order in zip(problem.R0, names, strict=True)])
    a, b = run_solver(problem), run_solver(replace(problem, R0=permuted))
    assert np.abs(a.samples["beta"] - b.samples["beta"]).max() < 1e-9
    renamed = b.events.copy()
    known = renamed["coordinate"] >= 0
    renamed["coordinate"][known] = names[renamed["layer"][known], renamed["coordinate"][known]]
    crossings_agree(a, replace(b, events=renamed), 1e-8)


@pytest.mark.parametrize("seed", [0, 3])
def test_general_flow_is_the_separated_one_while_clusters_are_separated(seed):
    separated = run_solver(problems.two_clusters_in_the_plane(seed))
    lost = separated.events["s"][separated.events["kind"] == Kind.SEPARATION_LOST]
    until = lost[0] if lost.size else problems.S_END
    general = run_solver(problems.two_clusters_in_the_plane(seed, "general"))
    before = separated.samples["s"] < until
    for name in ("beta", "R", "loss_cluster"):
        assert np.abs(separated.samples[name] - general.samples[name])[before].max() < 1e-9, name
    ours, theirs = ([event for event in run.crossings if event[0] < until] for run in (separated, general))
    assert len(ours) >= 4
    assert [event[1:] for event in ours] == [event[1:] for event in theirs]
    assert all(abs(a[0] - b[0]) < 1e-8 for a, b in zip(ours, theirs, strict=True))


def test_a_run_may_be_cut_in_two():
    problem = problems.separated_normal(0)
    whole = run_solver(replace(problem, s_save=np.array([0.0, 1.0, 2.0])))
    first, middle = whole.samples["beta"][1], whole.samples["R"][1]
    rest = replace(problem, beta0=first, R0=middle, s_save=np.array([0.0, 1.0]))
    later = run_solver(replace(rest, settings=problem.settings.replace(s_end=1.0)))
    assert np.abs(later.samples["beta"][-1] - whole.samples["beta"][2]).max() < 1e-9
    assert np.abs(later.samples["R"][-1] - whole.samples["R"][2]).max() < 1e-9
