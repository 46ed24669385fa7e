"""The passes that certificates rest on, in plain numpy: what those taken in blocks are compared with."""

from __future__ import annotations

import numpy as np

from truncflow_cli.diagnostics.passes import Pinned


def output(x: np.ndarray, R: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Return τ^(L)∘…∘τ^(1)(x), (M, n, Q), for x (n, Q), R (M, L, Q, Q), beta (M, L, Q)."""
    t = np.broadcast_to(x, (R.shape[0], *x.shape))
    for layer in range(R.shape[1]):
        t, _ = _layer(t, R[:, layer], beta[:, layer])
    return t


def _layer(t: np.ndarray, R: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of t (M, n, Q) under a layer, and their coordinates z."""
    z = (t + beta[:, None]) @ R.swapaxes(1, 2)
    return np.maximum(z, 0.0) @ R - beta[:, None], z


def _held(z: np.ndarray, pinned: Pinned, layer: int) -> np.ndarray:
    """Return z (M, n, Q) of a layer with what is pinned there at zero."""
    z = z.copy()
    here = pinned.layer == layer
    z[pinned.state[here], pinned.point[here], pinned.coordinate[here]] = 0.0
    return z


def skew(A: np.ndarray) -> np.ndarray:
    return 0.5 * (A - A.swapaxes(-1, -2))


def cluster_pass(
    x: np.ndarray,
    y_tilde: np.ndarray,
    R: np.ndarray,
    beta: np.ndarray,
    pinned: Pinned,
    own: int | None = None,
    watched: bool = True,
) -> dict[str, np.ndarray]:
    """Return the fields of ``ClusterPass``."""
    (n, dim), (n_states, n_layers) = x.shape, beta.shape[:2]
    t, z_of = np.broadcast_to(x, (n_states, n, dim)), []
    for layer in range(n_layers):
        # The output is that of the saved state as it is; on which side a pin counts, the log says.
        t, z = _layer(t, R[:, layer], beta[:, layer])
        z_of.append(_held(z, pinned, layer))
    z_all = np.stack(z_of, axis=1)
    found = {
        "loss": 0.5 * ((t - y_tilde) ** 2).sum(axis=2).mean(axis=1) * watched,
        "mean": t.mean(axis=1) * watched,
        "within": ((t - t.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1) * watched,
        "lowest": z_all.min(axis=(2, 3)),
        "highest": z_all.max(axis=(2, 3)) if watched else np.full((n_states, n_layers), -np.inf),
        "truncated": (z_all <= 0.0).mean(axis=2),
        "nearest": np.abs(z_all).min(axis=2) if watched else np.full(beta.shape, np.inf),
        "gradient_beta": np.zeros(beta.shape),
        "gradient_R": np.zeros(R.shape),
        "apart": np.zeros(n_states),
    }
    if own is not None:
        found["apart"] = np.abs(t - output(x, R[:, [own]], beta[:, [own]])).max(axis=(1, 2))
    g = t - y_tilde
    for layer in reversed(range(n_layers)):
        z = z_of[layer]
        w = g @ R[:, layer].swapaxes(1, 2)
        hw = np.where(z > 0.0, w, 0.0)
        found["gradient_beta"][:, layer] = ((hw - w) @ R[:, layer]).mean(axis=1)
        along = np.maximum(z, 0.0).swapaxes(1, 2) @ w + hw.swapaxes(1, 2) @ z
        found["gradient_R"][:, layer] = skew(along) / n
        g = hw @ R[:, layer]
    return found


def separated_velocity(
    x: np.ndarray, y_tilde: np.ndarray, R: np.ndarray, beta: np.ndarray, pinned: Pinned, printed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return (∂_s β, Ω) by (3.22), and by (3.25) from the means of h_i z_j and of h_i z_i z_j."""
    z = _held(_layer(x[None], R, beta)[1], pinned, 0)
    h = (z > 0.0).astype(np.float64)
    u = np.einsum("tij,tj->ti", R, beta + y_tilde)
    first = h.swapaxes(1, 2) @ z / x.shape[0]
    second = (h * z).swapaxes(1, 2) @ z / x.shape[0] * (not printed)
    diagonal = np.einsum("tii->ti", first)
    HM = 0.5 * (diagonal[:, :, None] * u[:, None, :] + u[:, :, None] * first - second)
    moved = -np.einsum("tji,tj->ti", R, (1.0 - h.mean(axis=1)) * u)
    return moved, HM - HM.swapaxes(1, 2)


def sector_margins(x: np.ndarray, R: np.ndarray, beta: np.ndarray, own: int | None) -> np.ndarray:
    """Return the least coordinate under each layer, or of the images under the own one; infinite: not asked for."""
    t = x[None] if own is None else output(x, R[:, [own]], beta[:, [own]])
    margins = np.full(beta.shape[:2], np.inf)
    for layer in range(0 if own is None else own + 1, beta.shape[1]):
        margins[:, layer] = _layer(t, R[:, layer], beta[:, layer])[1].min(axis=(1, 2))
    return margins


def jump(
    state: tuple[np.ndarray, np.ndarray],
    t: np.ndarray,
    y_tilde: np.ndarray,
    stack: list[int],
    held: set[tuple[int, int]],
    layer: int,
    coordinate: int,
) -> np.ndarray:
    """Return how the gradient of ½|τ(t) − ỹ|² changes where a pinned coordinate counts as untruncated, (L·Q + L·Q²,).

    The point t goes through the layers of ``stack``, of R (L, Q, Q), beta (L, Q); ``held`` are its pins, (layer,
    coordinate). On each side of the surface the gradient is a product of matrices.
    """
    R, beta = state
    along_beta, along_R = np.zeros(beta.shape), np.zeros(R.shape)
    z_of = {}
    for at in stack:
        z = R[at] @ (t + beta[at])
        z[[r for a, r in held if a == at]] = 0.0
        z_of[at] = z
        t = R[at].T @ np.maximum(z, 0.0) - beta[at]
    for side, sign in ((1.0, 1.0), (0.0, -1.0)):
        g = t - y_tilde
        for at in reversed(stack):
            h = (z_of[at] > 0.0).astype(np.float64)
            if at == layer:
                h[coordinate] = side
            w = R[at] @ g
            along_beta[at] += sign * R[at].T @ (h * w - w)
            along_R[at] += sign * skew(np.outer(h * z_of[at], w) + np.outer(h * w, z_of[at]))
            g = R[at].T @ (h * w)
    return np.concatenate([along_beta.ravel(), along_R.ravel()])
