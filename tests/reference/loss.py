"""The losses (2.26) and (3.1) as plain forward passes, for real and for complex arguments.

A ReLU is the only place where the argument's kind matters: it looks at the real part alone, so that a
perturbation along the imaginary axis (the complex step) sees the smooth piece that the real state lies in.
"""

from __future__ import annotations

import numpy as np


def relu_pattern(z: np.ndarray) -> np.ndarray:
    """Return h(z), 1 where Re z > 0 and 0 where Re z <= 0 (h(0) = 0), as floats of z's shape."""
    return (z.real > 0).astype(float)


def pre_activation(t: np.ndarray, beta: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Return z = R(t + beta) of points t (N, Q), beta (Q,), R (Q, Q), as (N, Q)."""
    return (t + beta) @ R.T


def truncate(t: np.ndarray, beta: np.ndarray, R: np.ndarray, h: np.ndarray | None = None) -> np.ndarray:
    """Return tau(t) = R^T sigma(R(t + beta)) - beta (1.8), of shape (N, Q).

    With ``h`` (N, Q) given, sigma(z) is h z: a fixed activation pattern, whose entries may lie between 0
    and 1 on pinned surfaces. The transpose is never a conjugate one.
    """
    z = pre_activation(t, beta, R)
    return ((relu_pattern(z) if h is None else h) * z) @ R - beta


def all_pre_activations(
    x: np.ndarray, beta: np.ndarray, R: np.ndarray, h: np.ndarray | None = None
) -> np.ndarray:
    """Return z of every layer of tau^(L) o ... o tau^(1), (L, N, Q), for beta (L, Q), R (L, Q, Q)."""
    t, z = x, []
    for layer in range(len(beta)):
        z.append(pre_activation(t, beta[layer], R[layer]))
        t = truncate(t, beta[layer], R[layer], None if h is None else h[layer])
    return np.array(z)


def network_output(x: np.ndarray, beta: np.ndarray, R: np.ndarray, h: np.ndarray | None = None) -> np.ndarray:
    """Return tau^(L) o ... o tau^(1) of the points, (N, Q); ``h`` is (L, N, Q)."""
    t = x
    for layer in range(len(beta)):
        t = truncate(t, beta[layer], R[layer], None if h is None else h[layer])
    return t


def _cluster_means(output: np.ndarray, cluster: np.ndarray, y_tilde: np.ndarray) -> np.ndarray:
    residual = output - y_tilde[cluster]
    half_squares = (residual * residual).sum(axis=1) / 2  # analytic: no absolute value
    return np.array([half_squares[cluster == j].mean() for j in range(len(y_tilde))])


def cluster_losses_general(
    x: np.ndarray,
    cluster: np.ndarray,
    y_tilde: np.ndarray,
    beta: np.ndarray,
    R: np.ndarray,
    h: np.ndarray | None = None,
) -> np.ndarray:
    """Return (1/N_j) sum_i |tau^(L) o ... o tau^(1)(x_ji) - y~_j|^2 / 2 for every cluster j, (C,); (2.26)."""
    return _cluster_means(network_output(x, beta, R, h), cluster, y_tilde)


def cluster_losses_separated(
    x: np.ndarray,
    cluster: np.ndarray,
    y_tilde: np.ndarray,
    beta: np.ndarray,
    R: np.ndarray,
    h: np.ndarray | None = None,
) -> np.ndarray:
    """Return the same where cluster j goes through layer j only, (C,); ``h`` is (N, Q)."""
    losses = []
    for j in range(len(y_tilde)):
        own = cluster == j
        output = truncate(x[own], beta[j], R[j], None if h is None else h[own])
        losses.append(_cluster_means(output, np.zeros(own.sum(), dtype=int), y_tilde[j : j + 1])[0])
    return np.array(losses)
