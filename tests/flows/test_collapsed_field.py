"""The collapsed flow's field is minus the gradient of its loss, which is a plain forward pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_flow_problems import collapsed, record

from truncflow_cli.flows.collapsed import slopes, solve_collapsed

STEP = 1e-30


def forward_loss(B, W, y):
    """The loss of points at −β^(ℓ), sent through W; analytic, so that it takes complex matrices."""
    total = 0.0
    for bias, label in zip(B.T, y, strict=True):
        residual = W @ -bias - label
        total = total + 0.5 * residual @ residual
    return total


def complex_step_gradient(f, M):
    gradient = np.empty(M.shape)
    for index in np.ndindex(M.shape):
        shifted = M.astype(complex)
        shifted[index] += 1j * STEP
        gradient[index] = f(shifted).imag / STEP
    return gradient


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
def test_field_is_minus_the_complex_step_gradient(dim, n_clusters, scale, seed):
    rng = np.random.default_rng(seed)
    B, Y = scale * rng.normal(size=(dim, n_clusters)), rng.normal(size=(dim, n_clusters))
    W = scale * rng.normal(size=(dim, dim))
    dB, dW = slopes(B, W, Y)
    for found, gradient in (
        (dB, complex_step_gradient(lambda M: forward_loss(M, W, Y.T), B)),
        (dW, complex_step_gradient(lambda M: forward_loss(B, M, Y.T), W)),
    ):
        assert np.abs(found + gradient).max() <= 1e-12 * max(1.0, np.abs(gradient).max())


def test_loss_is_that_of_data_which_the_network_collapses():
    rng = np.random.default_rng(3)
    beta = np.array([[-3.0, 0.2, 0.1], [0.3, -3.0, -0.2], [-0.1, 0.4, -3.0]])
    y, W = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    total = 0.0
    for cluster in range(3):
        # R = 1: S⁻ of layer ℓ is below −β^(ℓ); the layers before and after are far enough back to do nothing.
        x = -beta[cluster] - rng.uniform(0.01, 0.1, size=(7, 3))
        for layer in range(3):
            far = beta[layer] if layer == cluster else beta[layer] + 100.0
            x = np.maximum(x + far, 0.0) - far
        total += 0.5 * np.mean(np.sum((x @ W.T - y[cluster]) ** 2, axis=1))
    run = record(solve_collapsed(collapsed(beta.T, W, y.T, np.zeros(1))))
    assert run["loss"][0] == pytest.approx(total, rel=1e-14)
