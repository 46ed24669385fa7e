"""The fields' formulas against the complex step of the losses they descend, at random states and weights."""

from __future__ import annotations

import numpy as np
import pytest
from reference.problems import normal

from truncflow_cli.flows.points import layer_points
from truncflow_cli.flows.separated import LayerFlow
from truncflow_cli.network_field import adjoint, field_of_moments, forward_pass, tangent, velocity

STEP = 1e-30


def rotation(rng: np.random.Generator, dim: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(dim, dim)))
    return q * np.sign(np.diag(r))


def network_loss(x, target, weight, R, beta, h):
    """½ Σ weight |τ^(L)∘…∘τ^(1)(x) − target|² with the activations h (N, L, Q) held fixed (2.26)."""
    t = x.astype(complex)
    for layer in range(beta.shape[0]):
        z = (t + beta[layer]) @ R[layer].T
        t = (h[:, layer] * z) @ R[layer] - beta[layer]
    return 0.5 * np.sum(weight * np.sum((t - target) ** 2, axis=1))


def pre_activation(x, R, beta, h, key):
    i, layer, r = key
    t = x[i].astype(complex)
    for m in range(layer):
        t = (h[i, m] * (R[m] @ (t + beta[m]))) @ R[m] - beta[m]
    return (R[layer] @ (t + beta[layer]))[r]


def gradient(function, R, beta):
    """Complex-step gradient of function(R, beta), in coordinates R_ℓ ∂β^(ℓ) and then √2 of the turn's i < j."""
    layers, dim = beta.shape
    parts = []
    for layer in range(layers):
        for k in range(dim):
            moved = beta.astype(complex)
            moved[layer] += 1j * STEP * R[layer][k]
            parts.append(function(R.astype(complex), moved).imag / STEP)
        for i in range(dim):
            for j in range(i + 1, dim):
                turn = np.eye(dim, dtype=complex)
                turn[i, j] += 1j * STEP / np.sqrt(2.0)
                turn[j, i] -= 1j * STEP / np.sqrt(2.0)
                turned = R.astype(complex)
                turned[layer] = turn @ R[layer]
                parts.append(function(turned, beta.astype(complex)).imag / STEP)
    return np.array(parts)


def moments(x, weight, untruncated):
    """The constrained moments mean h_r, mean h_r x and mean h_r x xᵀ, as they are defined."""
    h = untruncated * weight[:, None] / weight.sum()
    return h.sum(axis=0), h.T @ x, np.einsum("ir,ia,ib->rab", h, x, x, optimize=True)


def random_network(seed: int):
    rng = np.random.default_rng(seed)
    dim, layers, size = 2 + seed % 4, 1 + seed % 3, 9
    x, target = rng.normal(size=(size, dim)), rng.normal(size=(size, dim))
    weight = rng.uniform(0.1, 1.0, size=size)
    R = np.array([rotation(rng, dim) for _ in range(layers)])
    beta = rng.normal(size=(layers, dim))
    b = np.einsum("lab,lb->la", R, beta)
    z = forward_pass(x, R, b, lambda _, z: z > 0.0).z
    return x, target, weight, R, beta, b, (z > 0.0).astype(float)


@pytest.mark.parametrize("seed", range(12))
def test_general_field_is_minus_the_gradient(seed: int) -> None:
    x, target, weight, R, beta, b, h = random_network(seed)
    state = forward_pass(x, R, b, lambda layer, _: h[:, layer])
    _, c, Om = velocity(state, h, R, b, target, weight)
    wanted = -gradient(lambda R, beta: network_loss(x, target, weight, R, beta, h), R, beta)
    assert np.abs(tangent(c, Om) - wanted).max() < 1e-12 * (1.0 + np.abs(wanted).max())


@pytest.mark.parametrize("seed", range(12))
def test_gradient_of_a_surface(seed: int) -> None:
    x, _, _, R, beta, b, h = random_network(seed)
    state = forward_pass(x, R, b, lambda layer, _: h[:, layer])
    layers, dim = beta.shape
    keys = [(i, layer, r) for i in range(3) for layer in range(layers) for r in range(dim)]
    _, normals = adjoint(keys, state.z, h, R)
    for key, found in zip(keys, normals, strict=True):
        wanted = gradient(lambda R, beta, key=key: pre_activation(x, R, beta, h, key), R, beta)
        assert np.abs(found - wanted).max() < 1e-12 * (1.0 + np.abs(wanted).max())


@pytest.mark.parametrize("seed", range(12))
def test_moment_field_is_minus_the_gradient_and_the_printed_one_is_not(seed: int) -> None:
    x, target, _, R, beta, b, h = random_network(3 * seed)
    R, b, y_tilde, h = R[0], b[0], target[0], h[:, 0]
    share = np.full(len(x), 1.0 / len(x))
    p, G, K = moments(x, np.ones(len(x)), h)

    def loss(turned, moved):
        return network_loss(x, y_tilde, share, turned, moved, h[:, None])

    wanted = -gradient(loss, R[None], beta[:1])
    Ju, Om = field_of_moments(R, b, y_tilde, p, G, K)
    found = tangent(-Ju[None], Om[None])
    assert np.abs(found - wanted).max() < 1e-12 * (1.0 + np.abs(wanted).max())
    Ju, Om = field_of_moments(R, b, y_tilde, p, G, K, printed=True)
    printed = tangent(-Ju[None], Om[None])
    mixed = ((h > 0.0).any(axis=1) & (h == 0.0).any(axis=1)).any()
    assert (np.abs(printed - wanted).max() > 1e-6) == mixed


def test_moments_stay_those_of_the_pattern_through_thousands_of_updates() -> None:
    rng = np.random.default_rng(5)
    size, dim = 300, 4
    problem = normal("separated", 5, size, dim, 1, 1)
    flow = LayerFlow(
        layer_points(problem, 0), problem.R0[0], problem.beta0[0], rtol=1e-9, atol=1e-12, printed=False
    )
    own = flow.pattern[:size, 0]
    for _ in range(20_000):
        i, r = int(rng.integers(size)), int(rng.integers(dim))
        flow.kernel.count(np.array([i]), np.array([r]), -1.0 if own[i, r] else 1.0)
        own[i, r] = 1 - own[i, r]
    p, G, K = moments(flow.data.x, flow.data.multiplicity, own)
    p_there, G_there, K_there = flow.kernel.moments()
    assert np.abs(p_there - p).max() < 1e-14
    assert np.abs(G_there - G).max() < 1e-13
    assert np.abs(K_there - K).max() < 1e-12
