"""The constants of Prop. 4.2 hold over their whole neighbourhood, and what they promise comes true."""

from __future__ import annotations

import numpy as np
import pytest
from certified_runs import certificates, concentrated_points
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_runs import solve
from scipy.linalg import expm

from truncflow_cli.diagnostics.concentration import Concentration, concentration
from truncflow_cli.diagnostics.passes import separated_velocity


def orthogonal(rng: np.random.Generator, dim: int) -> np.ndarray:
    Q, R = np.linalg.qr(rng.normal(size=(dim, dim)))
    return Q * np.sign(np.diag(R))


def deep_cluster(rng: np.random.Generator, dim: int, mixed: int) -> tuple[np.ndarray, ...]:
    """A cluster in S⁻ of its layer but for a few points; x, ỹ, R, β, and how deep the others are."""
    R, y_tilde = orthogonal(rng, dim), rng.normal(size=dim)
    z = -rng.uniform(2.0, 3.0, size=(1500, dim))
    z[:mixed, 0] = rng.uniform(-0.9, -0.5, size=mixed)  # with b̃ = 0
    start = rng.uniform(-1.0, 1.0, size=dim)
    start[0] = 1.0
    return z @ R + y_tilde, y_tilde, R, start @ R - y_tilde


def states_in(
    found: Concentration, rng: np.random.Generator, start: np.ndarray, R: np.ndarray, gamma: float = 1.0
):
    """Yield states (b̃, R) at the edge of the neighbourhood: the worst are most likely there."""
    dim = start.size
    for _ in range(20):
        A = rng.normal(size=(dim, dim))
        A -= A.T
        A *= found.eta2 / max(np.linalg.norm(A, 2), 1e-300)
        b = np.where(rng.random(dim) < 0.5, start, 0.0)
        b = b + rng.choice([-1.0, 1.0], dim) * found.eta2 * found.distance / np.sqrt(dim)
        length = np.linalg.norm(b)
        if length > gamma * found.distance:
            b *= gamma * found.distance / length
        yield b, expm(A) @ R


@given(seed=st.integers(0, 10**6), dim=st.integers(2, 4), mixed=st.integers(1, 3))
@settings(max_examples=12, deadline=None)
def test_constants_hold_all_over_the_neighbourhood(seed, dim, mixed):
    rng = np.random.default_rng(seed)
    x, y_tilde, R, beta = deep_cluster(rng, dim, mixed)
    found = concentration(x, y_tilde, R, beta)
    assert found.met, found.reason
    assert 0.0 < found.eta0 < 1.0
    start = R @ (beta + y_tilde)
    for b, turned in states_in(found, rng, start, R):
        z = (x - y_tilde) @ turned.T + b
        assert (z > 0.0).mean(axis=0).max() <= found.eta0
        in_mixed = (z > 0.0).any(axis=1) & (z <= 0.0).any(axis=1)
        lengths = np.linalg.norm(z, axis=1) * in_mixed
        assert lengths.mean() <= found.m1
        assert (lengths**2).mean() <= found.m2
        bias = b @ turned - y_tilde
        _, Omega = separated_velocity(x, y_tilde, turned[None], bias[None], printed=False)
        assert np.linalg.norm(Omega[0], 2) <= 0.5 * found.m1 * np.linalg.norm(b) + 0.25 * found.m2
    for b, turned in states_in(found, rng, 0.0 * start, R, gamma=min(found.gamma, 1.0)):
        assert ((x - y_tilde) @ turned.T + b).max() <= 1e-12


@given(seed=st.integers(0, 10**6), dim=st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_rotation_is_bounded_by_moments_of_the_mixed_sectors(seed, dim):
    """‖Ω‖ ≤ ½ m₁ |u| + ¼ m₂ at any state, from the commutator's blocks."""
    rng = np.random.default_rng(seed)
    x, y_tilde, beta, R = (
        rng.normal(size=(7, dim)),
        rng.normal(size=dim),
        rng.normal(size=dim),
        orthogonal(rng, dim),
    )
    z = (x + beta) @ R.T
    in_mixed = (z > 0.0).any(axis=1) & (z <= 0.0).any(axis=1)
    lengths = np.linalg.norm(z, axis=1) * in_mixed
    _, Omega = separated_velocity(x, y_tilde, R[None], beta[None], printed=False)
    bound = 0.5 * lengths.mean() * np.linalg.norm(beta + y_tilde) + 0.25 * (lengths**2).mean()
    assert np.linalg.norm(Omega[0], 2) <= bound * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_promised_time_is_kept(seed):
    rng = np.random.default_rng(seed)
    x, y_tilde, R, beta = deep_cluster(rng, 3, 2)
    run = solve(
        f"flow: separated\nclusters: [{{points: {x.tolist()}}}]\nlabels: [{y_tilde.tolist()}]\n"
        f"initial: {{rotation: [{R.tolist()}], bias: [{beta.tolist()}]}}\n"
        "integrator: {s_end: 4}\nsave: {count: 201}\n"
    )
    found = certificates(run)
    for name in ("full_truncation", "bias_decay", "collapse_law", "equilibrium", "neural_collapse"):
        assert found[name].verdict == "holds", found[name].hypothesis
    assert 0.0 < found["full_truncation"].value < found["full_truncation"].bound


def test_frozen_rotation_needs_no_room_to_turn():
    x = concentrated_points()[-30:]
    arguments = x, np.zeros(2), np.eye(2), np.array([2.3, 2.4])
    assert not concentration(*arguments).met  # thirty points: the one mixed weighs too much
    frozen = concentration(*arguments, turns=False)
    assert frozen.met
    assert frozen.eta2 == 0.0
    assert frozen.eta0 == pytest.approx(1 / 30)
    assert frozen.s1 == pytest.approx(np.log(1 / frozen.gamma) / (1 - 1 / 30))
    assert frozen.gamma == pytest.approx(2.0 / np.hypot(2.3, 2.4))


def test_reason_names_the_point_that_the_label_leaves_untruncated():
    x = np.vstack([concentrated_points(), [[0.5, -4.0]]])
    found = concentration(x, np.zeros(2), np.eye(2), np.array([2.3, 2.4]))
    assert not found.met
    assert "point 401 is untruncated in coordinate 0, by 0.5" in found.reason
    named = concentration(x, np.zeros(2), np.eye(2), np.array([2.3, 2.4]), index=np.arange(402) + 1000)
    assert "point 1401 is" in named.reason


def test_cluster_wholly_truncated_everywhere_needs_no_time():
    x = concentrated_points()[:-1]
    found = concentration(x, np.zeros(2), np.eye(2), np.array([0.1, 0.1]))
    assert found.met
    assert found.s1 == 0.0
    assert found.eta0 == 0.0
