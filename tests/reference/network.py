"""The loss of a stack of truncation layers with a given activation pattern, and its gradient by reverse mode.

The gradient is accumulated backwards through the forward pass z = (t + beta) R^T, a = h z, t' = a R - beta,
with R as a plain matrix; only at the end is it projected on the tangent space of O(Q). One layer that sees
one cluster is the `separated` flow; all layers and all points are the `general` one.

Tangent vectors are flat: d_s beta (L Q numbers), then Omega (L Q Q numbers), whose dot product is the metric
|d beta|^2 + Tr(Omega^T Omega). States are flat as well: beta, then R.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: A surface z_{l,i,r} = 0: layer, point, coordinate.
Surface = tuple[int, int, int]


@dataclass(frozen=True)
class Network:
    """Points x (N, Q), their labels (N, Q) and weights (N,) in the loss, and the number of layers.

    ``turns`` is 0 where the rotations are held fixed, else 1.
    """

    x: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    n_layers: int
    turns: float = 1.0

    @property
    def dim(self) -> int:
        return self.x.shape[1]


def pack(beta: np.ndarray, R: np.ndarray) -> np.ndarray:
    return np.concatenate([beta.ravel(), R.ravel()])


def unpack(net: Network, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return beta (..., L, Q) and R (..., L, Q, Q) of states (..., L Q + L Q Q)."""
    n_layers, dim = net.n_layers, net.dim
    beta = state[..., : n_layers * dim].reshape(*state.shape[:-1], n_layers, dim)
    R = state[..., n_layers * dim : n_layers * dim * (1 + dim)].reshape(*state.shape[:-1], n_layers, dim, dim)
    return beta, R


def pre_activations(net: Network, states: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return z for states (M, ...) under the pattern h (L, N, Q), or one each (M, L, N, Q), as (M, L, N, Q)."""
    beta, R = unpack(net, states)
    h = np.broadcast_to(h, (len(states), *h.shape[-3:]))
    z = np.empty(h.shape)
    t = np.broadcast_to(net.x, (len(states), *net.x.shape))
    for layer in range(net.n_layers):
        z[:, layer] = (t + beta[:, None, layer]) @ R[:, layer].swapaxes(1, 2)
        t = (h[:, layer] * z[:, layer]) @ R[:, layer] - beta[:, None, layer]
    return z


def _tangent(net: Network, beta_bar: np.ndarray, R_bar: np.ndarray, R: np.ndarray) -> np.ndarray:
    A = R_bar @ R.swapaxes(1, 2)
    return np.concatenate([beta_bar.ravel(), net.turns * (0.5 * (A - A.swapaxes(1, 2))).ravel()])


def loss_and_gradient(net: Network, state: np.ndarray, h: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the loss and its gradient (tangent vector) under the pattern h (L, N, Q), weights allowed."""
    beta, R = unpack(net, state)
    t, forward = net.x, []
    for layer in range(net.n_layers):
        v = t + beta[layer]
        a = h[layer] * (v @ R[layer].T)
        t = a @ R[layer] - beta[layer]
        forward.append((v, a))
    residual = t - net.label
    t_bar = net.weight[:, None] * residual
    loss = 0.5 * float((t_bar * residual).sum())
    beta_bar, R_bar = np.zeros_like(beta), np.zeros_like(R)
    for layer in reversed(range(net.n_layers)):
        v, a = forward[layer]
        z_bar = h[layer] * (t_bar @ R[layer].T)
        R_bar[layer] = a.T @ t_bar + z_bar.T @ v
        v_bar = z_bar @ R[layer]
        beta_bar[layer] = v_bar.sum(axis=0) - t_bar.sum(axis=0)
        t_bar = v_bar
    return loss, _tangent(net, beta_bar, R_bar, R)


def surface_gradient(net: Network, state: np.ndarray, h: np.ndarray, surface: Surface) -> np.ndarray:
    """Return the gradient (tangent vector) of z_{l,i,r} under the pattern h of the layers before l."""
    layer, point, coordinate = surface
    beta, R = unpack(net, state)
    t, forward = net.x[point], []
    for m in range(layer + 1):
        v = t + beta[m]
        a = h[m, point] * (R[m] @ v)
        t = R[m].T @ a - beta[m]
        forward.append((v, a))
    beta_bar, R_bar = np.zeros_like(beta), np.zeros_like(R)
    v_bar = R[layer, coordinate]
    R_bar[layer, coordinate] = forward[layer][0]
    beta_bar[layer] = v_bar
    for m in reversed(range(layer)):
        v, a = forward[m]
        t_bar = v_bar
        z_bar = h[m, point] * (R[m] @ t_bar)
        R_bar[m] = np.outer(a, t_bar) + np.outer(z_bar, v)
        v_bar = z_bar @ R[m]
        beta_bar[m] = v_bar - t_bar
    return _tangent(net, beta_bar, R_bar, R)


def velocity_of_state(net: Network, state: np.ndarray, tangent: np.ndarray) -> np.ndarray:
    """Return d_s (beta, R) flat, with d_s R_l = Omega_l R_l, for a tangent vector."""
    _, R = unpack(net, state)
    n_beta = net.n_layers * net.dim
    Omega = tangent[n_beta:].reshape(R.shape)
    return np.concatenate([tangent[:n_beta], (Omega @ R).ravel()])


def retract(net: Network, state: np.ndarray) -> np.ndarray:
    """Return the state with every R_l replaced by its polar factor."""
    beta, R = unpack(net, state)
    left, _, right = np.linalg.svd(R)
    return pack(beta, left @ right)


def coincidence(net: Network, on: np.ndarray) -> np.ndarray:
    """Return for the input of every layer the first point that coincides with each point, (L, N).

    Points coincide at all times near the present one if they are equal inputs, or are equally transformed
    afterwards, or have both been truncated in all coordinates of one layer: then they sit at -beta of it.
    ``on`` (L, N, Q) is False exactly where a coordinate is truncated and not pinned.
    """
    n_points = len(net.x)
    first: dict[tuple, int] = {}
    keys: list[tuple] = [("input", *row) for row in net.x.tolist()]
    classes = np.empty((net.n_layers, n_points), dtype=int)
    for layer in range(net.n_layers):
        first = {}
        for i, key in enumerate(keys):
            classes[layer, i] = first.setdefault(key, i)
        keys = [
            ("same", int(classes[layer, i])) if on[layer, i].any() else ("apex", layer)
            for i in range(n_points)
        ]
    return classes
