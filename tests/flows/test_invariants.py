"""What no run may break: R stays orthogonal, the loss falls as it should, and the samples fit the events."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from reference.autodiff import starting_pattern
from reference.cases import MAKERS, few, makers, seeds
from reference.compare import run_solver
from reference.loss import cluster_losses_general, cluster_losses_separated

from truncflow_cli.events import Kind
from truncflow_cli.problem import Problem


@makers
@given(seed=seeds)
@few
def test_rotations_stay_orthogonal_to_1e_12(maker, seed):
    R = run_solver(MAKERS[maker](seed)).samples["R"]
    assert np.abs(R @ R.swapaxes(-1, -2) - np.eye(R.shape[-1])).max() < 1e-12


@makers
@given(seed=seeds)
@few
def test_loss_falls_and_balances_with_what_is_dissipated(maker, seed):
    solved = run_solver(MAKERS[maker](seed))
    loss, balance = solved.samples["loss"], solved.samples["energy_balance"]
    assert (np.diff(loss) <= 1e-12 * loss[0]).all()
    assert np.abs(balance).max() < 2e-9 * (1.0 + loss[0])


@makers
@given(seed=seeds)
@few
def test_losses_are_those_of_a_plain_forward_pass(maker, seed):
    problem = MAKERS[maker](seed)
    samples = run_solver(problem).samples
    losses = cluster_losses_general if problem.flow == "general" else cluster_losses_separated
    for k in range(0, len(problem.s_save), 6):
        wanted = losses(problem.x, problem.cluster, problem.y_tilde, samples["beta"][k], samples["R"][k])
        assert np.abs(samples["loss_cluster"][k] - wanted).max() < 1e-11
        assert abs(samples["loss"][k] - wanted.sum()) < 1e-11


@makers
@given(seed=seeds)
@few
def test_truncated_fraction_is_what_the_events_leave(maker, seed):
    problem = MAKERS[maker](seed)
    solved = run_solver(problem)
    sizes = np.bincount(problem.cluster)
    own = sizes if problem.flow == "separated" else np.full(problem.n_layers, len(problem.x))
    fraction = solved.samples["truncated_fraction"][0] * own[:, None]
    at = 0
    for k, s in enumerate(problem.s_save):
        while at < len(solved.events) and solved.events["s"][at] <= s:
            event = solved.events[at]
            place = event["layer"], event["coordinate"]
            released = event["kind"] == Kind.RELEASE or (event["kind"] == Kind.UNPIN and event["side"] == 1)
            if event["s"] > 0:
                if released:
                    fraction[place] -= 1
                elif event["kind"] == Kind.TRUNCATE:
                    fraction[place] += 1
                elif event["kind"] == Kind.PIN:
                    fraction[place] += came_from_above(solved.events[:at], problem, event)
            at += 1
        if k:
            assert np.abs(solved.samples["truncated_fraction"][k] * own[:, None] - fraction).max() < 1e-9


def came_from_above(before: np.ndarray, problem: Problem, pin: np.ndarray) -> bool:
    """Return whether a point that is pinned was untruncated until then, by the events before."""
    same = [
        event
        for event in before
        if (event["layer"], event["point"], event["coordinate"])
        == (pin["layer"], pin["point"], pin["coordinate"])
        and event["kind"] in (Kind.TRUNCATE, Kind.RELEASE, Kind.UNPIN)
    ]
    if same:
        return same[-1]["kind"] == Kind.RELEASE or (same[-1]["kind"] == Kind.UNPIN and same[-1]["side"] == 1)
    return bool(starting_pattern(problem)[pin["layer"], pin["point"], pin["coordinate"]])


@makers
@given(seed=seeds)
@few
def test_events_are_in_order_and_of_points_that_exist(maker, seed):
    problem = MAKERS[maker](seed)
    events = run_solver(problem).events
    assert (np.diff(events["s"]) >= 0).all()
    assert ((events["s"] >= 0) & (events["s"] <= problem.settings.s_end)).all()
    crossings = events[events["kind"] <= Kind.UNPIN]
    assert (crossings["cluster"] == problem.cluster[crossings["point"]]).all()
    assert (crossings["side"][crossings["kind"] != Kind.UNPIN] == -1).all()
    assert np.isin(crossings["side"][crossings["kind"] == Kind.UNPIN], (0, 1)).all()
