"""The clustered flow's closed form solves (9.7), for points of any rank and at any time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_flow_problems import clustered, orthogonal, record
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from truncflow_cli.flows.clustered import modes, slope, solve_clustered, weights

STEP = 1e-30
WEIGHTS = st.sampled_from(["1/N", "1/N_j"])
SEEDS = st.integers(0, 2**32 - 1)


def problem(seed, s_save, dim=3, sizes=(4, 1, 7, 2), rank=None, point_weights="1/N"):
    """Return clusters of the given sizes, in a random subspace of dimension ``rank``."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    basis = orthogonal(rng, dim)[:, : dim if rank is None else rank]
    x = (
        (rng.normal(size=(len(sizes), dim))[cluster] + 0.3 * rng.normal(size=(cluster.size, dim)))
        @ basis
        @ basis.T
    )
    y, W = rng.normal(size=(len(sizes), dim)), rng.normal(size=(dim, dim))
    return clustered(x, cluster, y, W, np.asarray(s_save, dtype=float), point_weights)


def point_losses(case, W):
    """Return each point's share of the loss, by sending it forward; W may be complex."""
    sizes = np.bincount(case.cluster)
    share = 1.0 / (len(case.x) if case.point_weights == "1/N" else sizes[case.cluster])
    residual = case.x @ W.T - case.y[case.cluster]
    return 0.5 * share * np.sum(residual**2, axis=1)


def exponential(case, s):
    """Return W(s) from one exponential of a block matrix, which needs no inverse."""
    w, dim = weights(case)[case.cluster, None], case.dim
    generator = np.zeros((2 * dim, 2 * dim))
    generator[:dim, :dim] = -(w * case.x).T @ case.x
    generator[dim:, :dim] = (w * case.y[case.cluster]).T @ case.x
    return (np.hstack([case.W0, np.eye(dim)]) @ expm(s * generator))[:, :dim]


@settings(max_examples=20, deadline=None)
@given(WEIGHTS, st.integers(1, 5), SEEDS)
def test_field_is_minus_the_complex_step_gradient(point_weights, dim, seed):
    case = problem(seed, [0.0, 1.0], dim=dim, point_weights=point_weights)
    gradient = np.empty((dim, dim))
    for index in np.ndindex(dim, dim):
        W = case.W0.astype(complex)
        W[index] += 1j * STEP
        gradient[index] = point_losses(case, W).sum().imag / STEP
    assert np.abs(slope(case, case.W0) + gradient).max() <= 1e-12 * max(1.0, np.abs(gradient).max())


@settings(max_examples=20, deadline=None)
@given(WEIGHTS, st.integers(1, 4), st.integers(1, 4), SEEDS)
def test_agrees_with_the_matrix_exponential_at_every_rank(point_weights, dim, rank, seed):
    s = [0.0, 1e-6, 0.3, 5.0, 40.0]
    case = problem(seed, s, dim=dim, rank=min(rank, dim), point_weights=point_weights)
    for time, W in zip(s, record(solve_clustered(case))["W"], strict=True):
        expected = exponential(case, time)
        assert np.abs(W - expected).max() <= 1e-11 * np.abs(expected).max()


def test_agrees_with_direct_integration():
    s = np.linspace(0.0, 10.0, 11)
    case = problem(0, s)
    found = solve_ivp(
        lambda _, W: slope(case, W.reshape(3, 3)).ravel(),
        (0.0, 10.0),
        case.W0.ravel(),
        "DOP853",
        s,
        rtol=1e-13,
        atol=1e-15,
    )
    np.testing.assert_allclose(
        record(solve_clustered(case))["W"].reshape(11, 9), found.y.T, rtol=0, atol=1e-12
    )


@settings(max_examples=20, deadline=None)
@given(WEIGHTS, st.integers(1, 4), SEEDS)
def test_losses_are_those_of_a_forward_pass_and_balance_the_dissipation(point_weights, rank, seed):
    case = problem(seed, np.linspace(0.0, 30.0, 41), dim=4, rank=rank, point_weights=point_weights)
    run = record(solve_clustered(case))
    for W, loss, by_cluster in zip(run["W"], run["loss"], run["loss_cluster"], strict=True):
        losses = point_losses(case, W)
        np.testing.assert_allclose(by_cluster, np.bincount(case.cluster, losses), rtol=1e-12, atol=1e-14)
        assert loss == by_cluster.sum()
    assert np.abs(run["energy_balance"]).max() <= 1e-13 * run["loss"][0]
    assert np.diff(run["loss"]).max() <= 1e-14 * run["loss"][0]


@pytest.mark.parametrize("rank", [3, 2, 1])
def test_limit_is_the_least_squares_minimiser_and_the_kernel_stays(rank):
    case = problem(6, [0.0, 1e6, 1e9, 1e300], rank=rank)
    run = record(solve_clustered(case))
    projector = np.linalg.pinv(case.x) @ case.x
    expected = case.y[case.cluster].T @ np.linalg.pinv(case.x).T + case.W0 @ (np.eye(3) - projector)
    np.testing.assert_allclose(modes(case).W_at(np.array([np.inf]))[0], expected, rtol=0, atol=1e-12)
    for W in run["W"][1:]:
        np.testing.assert_allclose(W, expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(W - W @ projector, case.W0 - case.W0 @ projector, rtol=0, atol=1e-13)


def test_tiny_eigenvalues_are_followed_from_linear_growth_to_the_limit():
    # Points on the axes: the columns of W decouple, with λ = ½ and ½ · 10⁻²⁰.
    x, y = np.array([[1.0, 0.0], [0.0, 1e-10]]), np.array([[1.0, 0.5], [3.0, -2.0]])
    s = np.array([0.0, 1.0, 1e3, 1e12, 1e20, 1e30])
    W = record(solve_clustered(clustered(x, np.array([0, 1]), y, np.eye(2), s)))["W"]
    residual = y[1] - [0.0, 1e-10]
    slow = 0.5e-20
    for k in (1, 2, 3):
        # (1 − e^{−λ s})/λ to second order; the next term is below 10⁻¹⁶.
        grown = residual * 1e-10 * 0.5 * (s[k] - slow * s[k] ** 2 / 2.0)
        np.testing.assert_allclose(
            W[k][:, 1] - [0.0, 1.0], grown, rtol=0, atol=1e-12 * np.abs(grown).max() + 1e-16
        )
    np.testing.assert_allclose(W[4][:, 1] - [0.0, 1.0], residual * 1e10 * -np.expm1(-0.5), rtol=1e-13)
    np.testing.assert_allclose(W[5][:, 1], y[1] * 1e10, rtol=1e-13)
    np.testing.assert_allclose(W[5][:, 0], y[0], rtol=1e-13)


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-8, 1e8), SEEDS)
def test_order_of_points_and_scale_carry_over(scale, seed):
    s = np.linspace(0.0, 5.0, 6)
    case = problem(seed, s)
    plain = record(solve_clustered(case))
    order = np.random.default_rng(seed).permutation(len(case.x))
    moved = clustered(scale * case.x[order], case.cluster[order], case.y, case.W0 / scale, s / scale**2)
    run = record(solve_clustered(moved))
    np.testing.assert_allclose(scale * run["W"], plain["W"], rtol=0, atol=1e-11)
    np.testing.assert_allclose(run["loss_cluster"], plain["loss_cluster"], rtol=1e-11)
