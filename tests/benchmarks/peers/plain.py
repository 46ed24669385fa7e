"""The field of Theorem 5.1 in plain numpy, straight from the points: no moments, no events, no history.

With one layer and one cluster it is the field of Theorem 3.2. Everything is in the layers' co-moving frames, so that a
layer costs three products of (N, Q) with (Q, Q) or (Q, N) matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.peers.solution import Array
from truncflow_cli.problem import Problem


@dataclass(frozen=True)
class Network:
    """Points, targets and weights: x (N, Q), target (N, Q) the ỹ of each point, weight (N, 1) 1/N_j."""

    x: Array
    target: Array
    weight: Array
    n_layers: int

    @property
    def dim(self) -> int:
        """Q."""
        return int(self.x.shape[1])


def network(problem: Problem) -> Network:
    """Return the network that a problem describes.

    Raises:
        ValueError: it is `separated` with several clusters, which are as many networks.
    """
    if problem.flow == "separated" and problem.n_clusters > 1:
        raise ValueError("each cluster of `separated` is a network of its own")
    sizes = np.bincount(problem.cluster, minlength=problem.n_clusters)
    return Network(
        problem.x,
        problem.y_tilde[problem.cluster],
        1.0 / sizes[problem.cluster, None],
        problem.n_layers,
    )


def pack(beta: Array, R: Array) -> Array:
    """Return the state as one vector: beta (L, Q), then R (L, Q, Q)."""
    return np.concatenate([beta.ravel(), R.ravel()])


def unpack(net: Network, state: Array) -> tuple[Array, Array]:
    """Return beta (L, Q) and R (L, Q, Q)."""
    size = net.n_layers * net.dim
    return state[:size].reshape(net.n_layers, net.dim), state[size:].reshape(net.n_layers, net.dim, net.dim)


def coordinates(net: Network, state: Array, pattern: Array | None = None) -> Array:
    """Return z (L, N, Q) of all points in all layers.

    Args:
        net: the network.
        state: beta and R as one vector.
        pattern: (L, N, Q) the h(z) to use; that of the state itself if None.
    """
    beta, R = unpack(net, state)
    b = np.einsum("lij,lj->li", R, beta)
    z = np.empty((net.n_layers, len(net.x), net.dim))
    z[0] = net.x @ R[0].T + b[0]
    for layer in range(1, net.n_layers):
        last = z[layer - 1]
        kept = np.maximum(last, 0.0) if pattern is None else pattern[layer - 1] * last
        z[layer] = (kept - b[layer - 1]) @ (R[layer - 1] @ R[layer].T) + b[layer]
    return z


def velocity(net: Network, state: Array, pattern: Array | None = None) -> Array:
    """Return ∂_s of the state, (5.4) corrected and (5.6); the arguments are those of ``coordinates``."""
    beta, R = unpack(net, state)
    z = coordinates(net, state, pattern)
    h = (z > 0.0).astype(np.float64) if pattern is None else pattern
    w = h[-1] * z[-1] - (beta[-1] + net.target) @ R[-1].T
    d_beta, d_R = np.empty_like(beta), np.empty_like(R)
    for layer in range(net.n_layers - 1, -1, -1):
        weighted = net.weight * w
        kept = h[layer] * weighted
        P = (h[layer] * z[layer]).T @ weighted + kept.T @ z[layer]
        d_R[layer] = -0.5 * (P - P.T) @ R[layer]
        d_beta[layer] = (weighted - kept).sum(axis=0) @ R[layer]
        if layer:
            w = (h[layer] * w) @ (R[layer] @ R[layer - 1].T)
    return pack(d_beta, d_R)
