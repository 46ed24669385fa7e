"""The plain passes that certificates rest on, against differences of the loss."""

from __future__ import annotations

import numpy as np
import pytest
from certified_runs import not_separated
from reference.gradient import descent_field
from reference.loss import cluster_losses_general, cluster_losses_separated
from reference.passes import output

from truncflow_cli.diagnostics.analysis import analysis_of
from truncflow_cli.diagnostics.descent import Jumps, descent, least_norm
from truncflow_cli.diagnostics.passes import cluster_pass, sector_margins, separated_velocity


@pytest.fixture
def problem():
    rng = np.random.default_rng(11)
    x, y_tilde = rng.normal(size=(20, 3)), rng.normal(size=(2, 3))
    cluster = np.repeat([0, 1], 10)
    beta = rng.normal(size=(2, 3))
    R = np.array([np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2)])
    return x, cluster, y_tilde, beta, R


def test_composed_gradient_is_that_of_the_loss(problem):
    x, cluster, y_tilde, beta, R = problem
    passed = [cluster_pass(x[cluster == k], y_tilde[k], R[None], beta[None]) for k in (0, 1)]
    losses = cluster_losses_general(x, cluster, y_tilde, beta, R)
    np.testing.assert_allclose([p.loss[0] for p in passed], losses, rtol=1e-14)
    expected = descent_field(lambda b, r: cluster_losses_general(x, cluster, y_tilde, b, r).sum(), beta, R)
    np.testing.assert_allclose(-sum(p.gradient_beta[0] for p in passed), expected[0], atol=1e-13)
    np.testing.assert_allclose(-sum(p.gradient_R[0] for p in passed), expected[1], atol=1e-13)


def test_separated_velocity_is_minus_the_gradient_of_the_loss(problem):
    x, cluster, y_tilde, beta, R = problem
    expected = descent_field(lambda b, r: cluster_losses_separated(x, cluster, y_tilde, b, r).sum(), beta, R)
    for k in (0, 1):
        own = x[cluster == k], y_tilde[k], R[None, k], beta[None, k]
        moved, turned = separated_velocity(*own, printed=False)
        np.testing.assert_allclose(moved[0], expected[0][k], atol=1e-13)
        np.testing.assert_allclose(turned[0], expected[1][k], atol=1e-13)
        _, printed = separated_velocity(*own, printed=True)
        assert np.abs(printed[0] - expected[1][k]).max() > 1e-3


def test_statistics_of_the_output_are_those_of_the_points(problem):
    x, _, y_tilde, beta, R = problem
    passed = cluster_pass(x, y_tilde[0], R[None], beta[None])
    t = output(x, R[None], beta[None])[0]
    np.testing.assert_allclose(passed.mean[0], t.mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(passed.within[0], ((t - t.mean(axis=0)) ** 2).sum(axis=1).mean(), rtol=1e-12)
    z = (x + beta[0]) @ R[0].T
    assert passed.lowest[0, 0] == pytest.approx(z.min())
    assert passed.highest[0, 0] == pytest.approx(z.max())
    np.testing.assert_allclose(passed.truncated[0, 0], (z <= 0).mean(axis=0))
    assert sector_margins(x, R[None], beta[None])[0, 0] == pytest.approx(z.min())


@pytest.mark.parametrize("flow", ["separated", "general"])
def test_least_norm_element_keeps_the_pinned_surfaces(flow):
    """Moving along minus the least-norm element, a pinned coordinate stays zero: by differences of z."""
    run = next(r for r in (not_separated(flow, seed) for seed in range(8)) if analysis_of(r).pins.size)
    ev = analysis_of(run)
    found = descent(ev)
    assert found.pinned > 0
    jumps, checked = Jumps(ev), 0
    for m in np.unique(ev.pins[:, 0]):
        rows = ev.pins[ev.pins[:, 0] == m, 1:]
        if ev.flow.acts_on == "own":
            along = [np.stack([ev.own[k].gradient_beta[m, 0] for k in range(3)])]
            along.append(np.stack([ev.own[k].gradient_R[m, 0] for k in range(3)]))
        else:
            along = [sum(p.gradient_beta[m] for p in ev.composed), sum(p.gradient_R[m] for p in ev.composed)]
        around = jumps.at(int(m))
        if around is None:
            continue
        element = [part[0] for part in least_norm(around[None], *(part[None] for part in along))]
        size = np.sqrt((element[0] ** 2).sum() + (element[1] ** 2).sum())
        for layer, point, coordinate in rows:
            stack = [layer] if ev.flow.acts_on == "own" else range(layer + 1)
            h = 1e-6
            speed = np.zeros(2)
            for side, sign in enumerate((-1.0, 1.0)):
                t = ev.x[point]
                for at in stack:
                    R = ev.R[m, at] - sign * h * element[1][at] @ ev.R[m, at]
                    beta = ev.beta[m, at] - sign * h * element[0][at]
                    z = R @ (t + beta)
                    t = R.T @ np.maximum(z, 0.0) - beta
                speed[side] = z[coordinate]
            assert abs(speed[1] - speed[0]) / (2 * h) < 1e-6 * max(size, 1.0)
            checked += 1
    assert checked
