"""What section 8 proves holds along collapsed runs: the invariant, the rate, the energy balance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_flow_problems import collapsed, invariant, orthogonal, record

from truncflow_cli.flows.collapsed import solve_collapsed


def definite_start(rng, dim, n_clusters, sign):
    """Return B, W with I(0) ≥ ½ or −I(0) ≥ ½, not a multiple of the identity."""
    large = orthogonal(rng, dim) @ np.diag(rng.uniform(1.5, 3.0, dim)) @ orthogonal(rng, dim)
    small = rng.normal(size=(dim, n_clusters if sign < 0 else dim))
    small *= 0.5 / np.linalg.norm(small, 2)
    return (large, small) if sign > 0 else (small, large)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("rtol", [1e-4, 1e-9, 1e-12])
def test_invariant_is_conserved_to_rounding_until_s_1000(scale, rtol):
    rng = np.random.default_rng(5)
    B, W, Y = scale * rng.normal(size=(3, 4)), scale * rng.normal(size=(3, 3)), rng.normal(size=(3, 4))
    run = record(solve_collapsed(collapsed(B, W, Y, np.linspace(0.0, 1000.0, 101), rtol=rtol)))
    size = np.abs(run["B"]).max() ** 2 + np.abs(run["W"]).max() ** 2
    drift = np.abs(invariant(run["B"], run["W"]) - invariant(B, W)).max(axis=(1, 2))
    # Steps end on it; between their ends the interpolation's error counts, too.
    assert drift[-1] <= 1e-14 * size
    assert drift.max() <= (1e-14 + rtol) * size


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.floats(-8.0, 3.0),
    st.floats(-3.0, 3.0),
    st.integers(0, 2**32 - 1),
)
def test_energy_balance_closes_and_the_loss_falls(dim, n_clusters, log_scale, log_labels, seed):
    rng = np.random.default_rng(seed)
    B, Y = (
        10**log_scale * rng.normal(size=(dim, n_clusters)),
        10**log_labels * rng.normal(size=(dim, n_clusters)),
    )
    W = 10**log_scale * rng.normal(size=(dim, dim))
    s = np.linspace(0.0, 5.0 / (10**log_labels + 10 ** (2 * log_scale)), 33)
    run = record(solve_collapsed(collapsed(B, W, Y, s, rtol=1e-10)))
    assert np.abs(run["energy_balance"]).max() <= 1e-10 * run["loss"][0]
    assert np.diff(run["loss"]).max() <= 1e-12 * run["loss"][0]
    np.testing.assert_array_equal(run["loss_cluster"].sum(axis=1), run["loss"])
    for B_s, W_s, found in zip(run["B"], run["W"], run["loss"], strict=True):
        assert abs(0.5 * np.sum((W_s @ B_s + Y) ** 2) - found) <= 1e-10 * run["loss"][0]


@pytest.mark.parametrize(("sign", "n_clusters"), [(1, 3), (-1, 3), (-1, 2), (-1, 5)])
def test_theorem_8_4_rate_and_limit(sign, n_clusters):
    rng = np.random.default_rng(n_clusters)
    B, W = definite_start(rng, 3, n_clusters, sign)
    Y = rng.normal(size=(3, n_clusters))
    spectrum = sign * np.linalg.eigvalsh(invariant(B, W))
    assert (spectrum > 0.5).all()
    s = np.linspace(0.0, 40.0, 401)
    run = record(solve_collapsed(collapsed(B, W, Y, s)))
    assert (run["loss"] <= np.exp(-2.0 * spectrum.min() * s) * run["loss"][0] * (1.0 + 1e-9)).all()
    assert run["loss"][-1] > 0.0
    assert np.abs(run["W"][-1] @ run["B"][-1] + Y).max() <= 1e-14 * np.linalg.norm(W) * np.linalg.norm(B)


def test_rank_deficient_starts_stay_in_their_subspace():
    rng = np.random.default_rng(2)
    B = np.outer([1.0, 0.0, 0.0], [0.1, 0.2, 0.3])
    W = np.outer(rng.normal(size=3), [1.0, 0.0, 0.0])
    Y = rng.normal(size=(3, 3))
    run = record(solve_collapsed(collapsed(B, W, Y, np.linspace(0.0, 30.0, 31))))
    assert not run["B"][:, 1:].any()
    assert not run["W"][:, :, 1:].any()
    # The rank-one minimum: W B is the best rank-one approximation of −Y.
    singular = np.linalg.svd(Y)[1]
    assert run["loss"][-1] == pytest.approx(0.5 * np.sum(singular[1:] ** 2), rel=1e-6)


def test_long_and_algebraically_slow_runs_cost_few_steps():
    W = np.random.default_rng(4).normal(size=(3, 3))
    # I(0) = 0 and Y = 0: B and W decay like 1/√s.
    run = record(solve_collapsed(collapsed(W.T.copy(), W, np.zeros((3, 3)), np.array([0.0, 1e3, 1e6]))))
    assert run.chunks[-1].counters["steps"] < 80
    assert np.linalg.norm(run["B"][2]) * np.sqrt(1e6) == pytest.approx(
        np.linalg.norm(run["B"][1]) * np.sqrt(1e3), rel=0.01
    )
