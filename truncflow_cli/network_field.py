"""The network of Theorem 5.1 at one state, and a layer of Theorem 3.2: forward pass, field, gradients of surfaces.

Everything is in the layers' co-moving frames: b_ℓ = R_ℓ β^(ℓ), z_ℓ = R_ℓ t_{ℓ−1} + b_ℓ and w_ℓ = R_ℓ g_ℓ. Tangent
vectors are written in orthonormal coordinates for the metric Tr(ΩᵀΩ'): for each layer R_ℓ δβ^(ℓ) (Q,), then √2 Ω_ij
for i < j.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from truncflow_cli.problem import Array, BoolArray, IntArray


@dataclass(frozen=True)
class Pass:
    """A forward pass: z (N, L, Q) and the network's output t_L (N, Q)."""

    z: Array
    output: Array


def forward_pass(x: Array, R: Array, b: Array, activation: Callable[[int, Array], Array | BoolArray]) -> Pass:
    """Send x (N, Q) through the layers; ``activation(ℓ, z_ℓ)`` returns h (N, Q) (1.8)."""
    t = x
    z = np.empty((x.shape[0], *b.shape))
    for layer in range(b.shape[0]):
        z[:, layer] = t @ R[layer].T + b[layer]
        h = activation(layer, z[:, layer])
        t = (h * z[:, layer] - b[layer]) @ R[layer]
    return Pass(z, t)


def velocity(
    state: Pass, h: Array, R: Array, b: Array, target: Array, weight: Array, *, printed: bool = False
) -> tuple[Array, Array, Array]:
    """Return w (N, L, Q), c_ℓ = R_ℓ ∂_s β^(ℓ) (L, Q) and Ω_ℓ (L, Q, Q) of (5.4) corrected and (5.6).

    h (N, L, Q) activations (fractions allowed), target (N, Q) the ỹ of each point, weight (N,) 1/N_j. ``printed``, of
    one layer, leaves out the term −½ z zᵀ of Ω as the paper's (3.25) does: w is −b − Rỹ in place of Hz − b − Rỹ.
    """
    layers, dim = b.shape
    w = np.empty_like(state.z)
    c, Om = np.empty((layers, dim)), np.empty((layers, dim, dim))
    g = (-b[0] @ R[0] if printed else state.output) - target
    for layer in range(layers - 1, -1, -1):
        z, hl = state.z[:, layer], h[:, layer]
        w[:, layer] = g @ R[layer].T
        c[layer] = weight @ ((1.0 - hl) * w[:, layer])
        wh = weight[:, None] * hl
        P = (wh * z).T @ w[:, layer] + (wh * w[:, layer]).T @ z
        Om[layer] = -0.5 * (P - P.T)
        g = (hl * w[:, layer]) @ R[layer]
    return w, c, Om


def field_of_moments(
    R: Array, b: Array, y_tilde: Array, p: Array, G: Array, K: Array, *, printed: bool = False
) -> tuple[Array, Array]:
    """Return (J⊥u, Ω) of Theorem 3.2, so that ∂_s β = −Rᵀ(J⊥u) (3.22) and ∂_s R = Ω R (3.24).

    R (Q, Q), b = Rβ (Q,), y_tilde (Q,), and the constrained moments (Cor. 3.5, corrected) p_r = mean h_r (Q,),
    G_r = mean h_r x (Q, Q), K_r = mean h_r x xᵀ (Q, Q, Q); the result has shapes (Q,) and (Q, Q).
    ``printed`` leaves out the term −½ z zᵀ of Ω, as the paper's (3.25) does.
    """
    u = b + R @ y_tilde
    S = G @ R.T + np.outer(p, b)  # S_rj = mean h_r z_j
    P = np.diag(S)[:, None] * u[None, :] + S * u[:, None]
    if not printed:
        # T_rj = mean h_r z_r z_j
        g = np.einsum("ra,ra->r", G, R)
        T = (R[:, None] @ K)[:, 0] @ R.T
        T += g[:, None] * b[None, :] + b[:, None] * S
        P -= T
    return (1.0 - p) * u, 0.5 * (P - P.T)


@cache
def _upper(dim: int) -> tuple[IntArray, ...]:
    """Return the indices (2, Q(Q−1)/2) above the diagonal."""
    return np.triu_indices(dim, 1)


def tangent(c: Array, Om: Array) -> Array:
    """Return the tangent vector (d,) of c (L, Q) and Ω (L, Q, Q)."""
    upper = _upper(c.shape[1])
    return np.concatenate([c, np.sqrt(2.0) * Om[:, upper[0], upper[1]]], axis=1).ravel()


def split_tangent(vector: Array, layers: int, dim: int) -> tuple[Array, Array]:
    """Return c (L, Q) and Ω (L, Q, Q) of a tangent vector (d,)."""
    upper = _upper(dim)
    parts = vector.reshape(layers, dim + upper[0].size)
    Om = np.zeros((layers, dim, dim))
    Om[..., upper[0], upper[1]] = parts[..., dim:] / np.sqrt(2.0)
    return parts[..., :dim], Om - np.swapaxes(Om, -1, -2)


def adjoint(
    surfaces: Sequence[tuple[int, int, int]] | IntArray, z: Array, h: Array, R: Array
) -> tuple[Array, Array]:
    """Return q_m = R_m ∂z/∂t_m (k, L, Q) below the surface's layer, and ∇z (k, d), for surfaces (i, ℓ, r).

    A layer m < ℓ acts through t_m: δt_m = R_mᵀ ([H, Ω_m] z_m − H⊥ R_m δβ^(m)); layer ℓ itself through Ω z_ℓ + R δβ.
    """
    layers, dim = z.shape[1:]
    count = len(surfaces)
    point, layer, row = np.asarray(surfaces, dtype=np.int64).reshape(count, 3).T
    every = np.arange(count)
    q = np.zeros((count, layers, dim))
    shift = np.zeros((count, layers, dim))
    turn = np.zeros((count, layers, dim, dim))  # δz = Σ_m shift_m · R_m δβ^(m) + Tr(turn_mᵀ Ω_m)
    shift[every, layer, row] = 1.0
    turn[every, layer, row] = z[point, layer]
    back = R[layer, row]
    for m in range(layers - 2, -1, -1):
        later = np.flatnonzero(layer > m)
        qm = back[later] @ R[m].T
        hm, zm = h[point[later], m], z[point[later], m]
        hq, hz = hm * qm, hm * zm
        q[later, m] = qm
        shift[later, m] = -(1.0 - hm) * qm
        turn[later, m] = hq[:, :, None] * zm[:, None, :] - qm[:, :, None] * hz[:, None, :]
        back[later] = hq @ R[m]
    upper = _upper(dim)
    skew = (turn - np.swapaxes(turn, -1, -2))[..., upper[0], upper[1]] / np.sqrt(2.0)
    return q, np.concatenate([shift, skew], axis=-1).reshape(count, -1)
