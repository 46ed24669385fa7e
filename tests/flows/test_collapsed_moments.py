"""The exponential moments of the collapsed flow's steps are right to rounding, from no stiffness to any."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest

from truncflow_cli.flows.exponential import RECURRENCE_FROM, integrals, rule

NODES = 16


def exact(z, theta):
    """Return ∫₀^θ e^{−z (θ − t)} P_k(t) dt for k < NODES, by the recurrence in 120 digits."""
    with localcontext() as context:
        context.prec = 120
        z, x = Decimal(z), 2 * Decimal(theta) - 1
        P = [Decimal(1), x]
        for k in range(1, NODES):
            P.append(((2 * k + 1) * x * P[k] - k * P[k - 1]) / (k + 1))
        decay = (-z * Decimal(theta)).exp()
        G = [(1 - decay) / z, (P[1] + decay - 2 * (1 - decay) / z) / z]
        for k in range(1, NODES - 1):
            G.append(G[k - 1] + (P[k + 1] - P[k - 1] - 2 * (2 * k + 1) * G[k]) / z)
        return np.array([float(value) for value in G])


@pytest.mark.parametrize("z", [1e-3, 0.7, 20.0, RECURRENCE_FROM, RECURRENCE_FROM * 1.01, 2e3, 1e7])
@pytest.mark.parametrize("theta", [1e-3, 0.3, 1.0])
def test_moments_agree_with_120_digits(z, theta):
    found = rule(NODES).moments(np.array([z]), np.array([theta]))[0, :, 0]
    error = np.abs(found - exact(z, theta)).max()
    # Relative to ∫ e^{−z (θ − t)} dt; the recurrence is that good from the first node on.
    assert error <= (1e-14 if z <= RECURRENCE_FROM or theta > 0.1 else 1e-12) * -np.expm1(-z * theta) / z


def test_moments_without_decay_are_integrals_of_the_polynomials():
    theta = np.array([0.0, 0.2, 1.0])
    found = rule(NODES).moments(np.zeros(1), theta)[:, :, 0]
    np.testing.assert_allclose(found, integrals(NODES, theta), rtol=0, atol=1e-15)


def test_kernels_solve_linear_equations_exactly():
    # x' = −z x + n(t) has the solution q + e^{−z t} (x(0) − q(0)) for n = q' + z q, here a cubic.
    z, gauss = np.array([[0.3, 40.0], [150.0, 1e4]]), rule(NODES)
    t = gauss.nodes[:, None, None]
    q = np.polynomial.Polynomial([1.0, -2.0, 0.5, 3.0])
    x = np.einsum("ijab,jab->iab", gauss.kernels(z), q.deriv()(t) + z * q(t)) + np.exp(-z * t) * q(0.0)
    np.testing.assert_allclose(x, np.broadcast_to(q(t), x.shape), rtol=0, atol=2e-14)
