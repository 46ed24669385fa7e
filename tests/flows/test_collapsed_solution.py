"""The collapsed flow's solution agrees with closed forms where there are some, and with tight integrators."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_flow_problems import collapsed, orthogonal, record
from scipy.integrate import solve_ivp

from truncflow_cli.flows.collapsed import slopes, solve_collapsed

SEEDS = st.integers(0, 2**32 - 1)


def integrated(B, W, Y, s, method="DOP853", rtol=1e-13):
    """Return B (T, Q, C) and W (T, Q, Q) from a general integrator of the plain field."""
    cut = B.size

    def field(_, state):
        dB, dW = slopes(state[:cut].reshape(B.shape), state[cut:].reshape(W.shape), Y)
        return np.concatenate([dB.ravel(), dW.ravel()])

    states = [np.concatenate([B.ravel(), W.ravel()])]
    # Stop at every time: the interpolation between an integrator's steps is less accurate than the steps.
    for a, b in itertools.pairwise(s):
        found = solve_ivp(field, (a, b), states[-1], method=method, rtol=rtol, atol=1e-15)
        assert found.success
        states.append(found.y[:, -1])
    path = np.array(states)
    return path[:, :cut].reshape(-1, *B.shape), path[:, cut:].reshape(-1, *W.shape)


def balanced_start(rng, dim, n_clusters, share):
    """Return B, W with I(0) = ``share`` · 1."""
    if share >= 0.0:
        W = rng.normal(size=(dim, dim))
        root = np.linalg.cholesky(share * np.eye(dim) + W.T @ W)
        return root @ np.linalg.qr(rng.normal(size=(n_clusters, dim)))[0].T, W
    B = rng.normal(size=(dim, n_clusters))
    root = np.linalg.cholesky(-share * np.eye(dim) + B @ B.T)
    return B, orthogonal(rng, dim) @ root.T


def riccati(Z, Y, share, s):
    """Return Z = [B Wᵀ] a time s later, up to a rotation from the left, in closed form if I = ``share`` · 1.

    Z' = Z F − ½ ZZᵀZ with F = ½ share J − Ŷ is solved by Z = U X, X = Z(0) e^{sF}, (UᵀU)⁻¹ = 1 + ∫ XXᵀ.
    """
    n = Y.shape[1]
    F = np.diag(np.r_[np.full(n, 0.5 * share), np.full(len(Y), -0.5 * share)])
    F[:n, n:] -= Y.T
    F[n:, :n] -= Y
    f, V = np.linalg.eigh(F)
    modes = Z @ V
    inverse = np.eye(len(Y)) + (modes * (np.expm1(2.0 * s * f) / (2.0 * f))) @ modes.T
    return np.linalg.solve(np.linalg.cholesky(inverse), modes * np.exp(s * f)) @ V.T


@pytest.mark.parametrize("share", [0.0, 0.7, -0.7, 40.0, -40.0])
@pytest.mark.parametrize(("dim", "n_clusters"), [(3, 3), (4, 6), (1, 1)])
def test_riccati_closed_form_for_balanced_starts(share, dim, n_clusters):
    rng = np.random.default_rng(dim)
    B, W = balanced_start(rng, dim, n_clusters, share)
    Y = rng.normal(size=(dim, n_clusters))
    # The closed form loses digits like e^{s |f|}, so it is applied over short times, one after the other.
    s = np.linspace(0.0, 5.0, 51)
    run = record(solve_collapsed(collapsed(B, W, Y, s, rtol=1e-12)))
    exact = np.hstack([B, W.T])
    for B_s, W_s in zip(run["B"][1:], run["W"][1:], strict=True):
        exact, Z = riccati(exact, Y, share, s[1]), np.hstack([B_s, W_s.T])
        assert np.abs(Z.T @ Z - exact.T @ exact).max() <= 1e-12 * np.abs(exact.T @ exact).max()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.floats(-4.0, 0.7), st.floats(-2.0, 1.0), SEEDS)
def test_agrees_with_dop853_from_random_starts(dim, n_clusters, log_scale, log_labels, seed):
    rng = np.random.default_rng(seed)
    B = 10**log_scale * rng.normal(size=(dim, n_clusters))
    W = 10**log_scale * rng.normal(size=(dim, dim))
    Y = 10**log_labels * rng.normal(size=(dim, n_clusters))
    s = np.linspace(0.0, 2.0, 7)
    run = record(solve_collapsed(collapsed(B, W, Y, s, rtol=1e-12)))
    for name, expected in zip("BW", integrated(B, W, Y, s), strict=True):
        # Near the saddle errors grow like e^{s ‖Y‖}, those of the reference too.
        allowed = 1e-11 * np.exp(min(s[-1] * np.linalg.norm(Y, 2), 8.0))
        assert np.abs(run[name] - expected).max() <= allowed * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("case", ["large", "spread", "aligned"])
def test_agrees_with_radau_on_stiff_problems_in_few_steps(case):
    rng = np.random.default_rng(1)
    Y = rng.normal(size=(3, 3))
    u, v = orthogonal(rng, 3), orthogonal(rng, 3)
    B, W = 1e3 * rng.normal(size=(2, 3, 3))
    if case == "spread":
        W = u @ np.diag([1e3, 30.0, 0.5]) @ v
        B = np.linalg.solve(W, rng.normal(size=(3, 3)) - Y)
    elif case == "aligned":
        W, B = u @ np.diag([1e3, 1e-2, 1e-5]) @ v, v.T @ np.diag([1e-5, 1e-2, 1e3]) @ u
    s = np.array([0.0, 1e-3, 0.1, 10.0])
    run = record(solve_collapsed(collapsed(B, W, Y, s, rtol=1e-12)))
    for name, expected in zip("BW", integrated(B, W, Y, s, method="Radau", rtol=1e-12), strict=True):
        assert np.abs(run[name] - expected).max() <= 1e-12 * np.abs(expected).max()
    assert run.chunks[-1].counters["steps"] < 60


def test_small_losses_keep_their_relative_accuracy():
    # Q = C = 1 and B = W: u = B² obeys u' = −2 u (u + y), the logistic equation.
    y, u0 = -1.3, 0.2
    s = np.linspace(0.0, 120.0, 41)
    run = record(
        solve_collapsed(collapsed(np.full((1, 1), u0**0.5), np.full((1, 1), u0**0.5), np.full((1, 1), y), s))
    )
    decay = (-y - u0) / u0 * np.exp(2.0 * y * s)
    np.testing.assert_allclose(run["loss"], 0.5 * (y * decay / (1.0 + decay)) ** 2, rtol=1e-8)
    assert 0.0 < run["loss"][-1] < 1e-200


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 4), st.integers(1, 4), st.floats(1e-6, 1e6), SEEDS)
def test_rotations_and_scalings_of_the_start_carry_over(dim, n_clusters, scale, seed):
    rng = np.random.default_rng(seed)
    B, Y, W = (
        rng.normal(size=(dim, n_clusters)),
        rng.normal(size=(dim, n_clusters)),
        rng.normal(size=(dim, dim)),
    )
    hidden, output, labels = orthogonal(rng, dim), orthogonal(rng, dim), orthogonal(rng, n_clusters)
    s = np.linspace(0.0, 3.0, 5)
    plain = record(solve_collapsed(collapsed(B, W, Y, s)))
    moved = collapsed(
        scale * hidden @ B @ labels,
        scale * output @ W @ hidden.T,
        scale**2 * output @ Y @ labels,
        s / scale**2,
    )
    run = record(solve_collapsed(moved))
    np.testing.assert_allclose(run["B"], scale * hidden @ plain["B"] @ labels, rtol=0, atol=1e-8 * scale)
    np.testing.assert_allclose(run["W"], scale * output @ plain["W"] @ hidden.T, rtol=0, atol=1e-8 * scale)


def test_saved_trajectory_moves_along_the_field():
    rng = np.random.default_rng(8)
    B, W, Y = rng.normal(size=(3, 4)), rng.normal(size=(3, 3)), rng.normal(size=(3, 4))
    middle, d = np.linspace(0.1, 5.0, 30), 2e-5
    s = np.concatenate([[0.0], np.sort(np.concatenate([middle - d, middle, middle + d]))])
    run = record(solve_collapsed(collapsed(B, W, Y, s)))
    for k in range(2, len(s) - 1, 3):
        for name, slope in zip("BW", slopes(run["B"][k], run["W"][k], Y), strict=True):
            change = (run[name][k + 1] - run[name][k - 1]) / (2.0 * d)
            assert np.abs(change - slope).max() < 1e-6


def test_save_density_and_tolerance_change_nothing_that_matters():
    rng = np.random.default_rng(9)
    B, W, Y = rng.normal(size=(4, 3)), rng.normal(size=(4, 4)), rng.normal(size=(4, 3))
    coarse, fine = np.linspace(0.0, 20.0, 5), np.linspace(0.0, 20.0, 4001)
    tight = record(solve_collapsed(collapsed(B, W, Y, coarse, rtol=1e-12)))
    dense = record(solve_collapsed(collapsed(B, W, Y, fine, rtol=1e-12)))
    loose = record(solve_collapsed(collapsed(B, W, Y, coarse, rtol=1e-10)))
    for name in ("B", "W", "loss", "loss_cluster", "energy_balance"):
        np.testing.assert_allclose(dense[name][::1000], tight[name], rtol=0, atol=1e-13)
        np.testing.assert_allclose(loose[name], tight[name], rtol=0, atol=1e-10)
