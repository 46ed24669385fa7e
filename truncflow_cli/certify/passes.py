"""Plain passes of a cluster through layers, forward and back, at many states at once.

Nothing here is shared with the solvers: the loss is the mean over the points of the composed truncation maps
(1.8), and its gradient is accumulated backwards through them, so that a certificate does not take over a
solver's mistake. Inside, points stand along the last axis, (states, Q, points): that is how they lie in memory, and
sums over points are many and those over coordinates short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from truncflow_cli.model.problem import Array, IntArray

#: Numbers in one working array: states and points are taken in blocks of about this size, which stay in the cache,
#: and are multiplied on one core (where cores are busy, BLAS on several is many times slower for so few columns).
BLOCK = 40_000


@dataclass(frozen=True)
class Pinned:
    """Coordinates held at zero: surfaces ``z[state, layer, point, coordinate] = 0``, as index arrays (P,).

    ``layer`` counts within the stack of layers passed, ``point`` within the cluster.
    """

    state: IntArray
    layer: IntArray
    point: IntArray
    coordinate: IntArray

    def place(self, z: Array, layer: int, states: slice, points: slice) -> None:
        """Set the pinned entries of a block z (states, Q, points) of a layer to zero."""
        if not self.state.size:
            return
        here = self.layer == layer
        here &= (self.state >= states.start) & (self.state < states.stop)
        here &= (self.point >= points.start) & (self.point < points.stop)
        z[self.state[here] - states.start, self.coordinate[here], self.point[here] - points.start] = 0.0


@dataclass(frozen=True)
class ClusterPass:
    """A cluster of n points sent through layers, at M states; t is the output, r = t − ỹ.

    Attributes:
        loss: (M,) ½ mean |r|².
        mean: (M, Q) mean of t.
        within: (M,) mean |t − mean t|².
        lowest: (M, L) least coordinate z of any point as it arrives at the layer.
        highest: (M, L) largest coordinate.
        truncated: (M, L, Q) mean of 1 − h(z).
        nearest: (M, L, Q) least |z| of any point, by coordinate.
        gradient_beta: (M, L, Q) ∂_{β^(ℓ)} of the loss.
        gradient_R: (M, L, Q, Q) π₋((∂_{R_ℓ} loss) R_ℓᵀ), the gradient along o(Q).
        apart: (M,) largest |t_r − τ^(own)(x)_r| of any point, where the pass was told which layer is its own; else 0.
    """

    loss: Array
    mean: Array
    within: Array
    lowest: Array
    highest: Array
    truncated: Array
    nearest: Array
    gradient_beta: Array
    gradient_R: Array
    apart: Array


def blocks(n_states: int, n_points: int, dim: int) -> Iterator[tuple[slice, slice]]:
    """Cut states × points into blocks of at most about ``BLOCK`` numbers."""
    points = max(1, min(n_points, BLOCK // max(dim, 1)))
    states = max(1, BLOCK // (points * max(dim, 1)))
    for first in range(0, n_states, states):
        for start in range(0, n_points, points):
            yield slice(first, min(first + states, n_states)), slice(start, min(start + points, n_points))


def largest_norm(x: Array) -> float:
    """Return max |x_i| of points x (n, Q), 0 if there are none."""
    norms = [np.linalg.norm(x[points], axis=1).max() for _, points in blocks(1, *x.shape)]
    return float(np.max(norms, initial=0.0))


def cluster_pass(
    x: Array,
    y_tilde: Array,
    R: Array,
    beta: Array,
    pinned: Pinned,
    *,
    own: int | None = None,
    watched: bool = True,
) -> ClusterPass:
    """Send points through the layers and back: x (n, Q), y_tilde (Q,), R (M, L, Q, Q), beta (M, L, Q).

    Args:
        x, y_tilde, R, beta: see above.
        pinned: coordinates that are held at zero.
        own: the cluster's own layer, if what it alone makes of the points is to be compared with the output.
        watched: whether it is asked for what the layers do to the points: lowest, highest, truncated, nearest.
    """
    n, dim = x.shape
    n_states, n_layers = beta.shape[:2]
    loss, apart = np.zeros(n_states), np.zeros(n_states)
    shift = output(x[:1], R, beta)[:, 0] if n else np.zeros((n_states, dim))
    first, second = np.zeros((n_states, dim)), np.zeros(n_states)
    lowest, highest = np.full((n_states, n_layers), np.inf), np.full((n_states, n_layers), -np.inf)
    truncated = np.zeros((n_states, n_layers, dim))
    nearest = np.full((n_states, n_layers, dim), np.inf)
    along_beta = np.zeros((n_states, n_layers, dim))
    along_R = np.zeros((n_states, n_layers, dim, dim))
    for states, points in blocks(n_states, n, dim):
        R_, beta_ = R[states], beta[states, :, :, None]
        turned, back = R_.swapaxes(1, 0), R_.swapaxes(1, 0).swapaxes(2, 3)
        z_of: list[Array] = []
        h_of: list[Array] = []
        t = alone = _columns(x[points])
        for layer in range(n_layers):
            room = t + beta_[:, layer]
            z = turned[layer] @ room
            # The output is that of the saved state as it is; on which side a pin counts, the log says.
            t = back[layer] @ np.maximum(z, 0.0, out=room)
            t -= beta_[:, layer]
            if layer == own == 0:
                alone = t
            pinned.place(z, layer, states, points)
            h = (z > 0.0).astype(np.float64)
            if watched:
                least = z.min(axis=2)
                lowest[states, layer] = np.minimum(lowest[states, layer], least.min(axis=1))
                highest[states, layer] = np.maximum(highest[states, layer], z.max(axis=(1, 2)))
                truncated[states, layer] += z.shape[2] - h.sum(axis=2)
                nearest[states, layer] = np.minimum(nearest[states, layer], np.abs(z, out=room).min(axis=2))
            z_of.append(z)
            h_of.append(h)
        if own is not None:
            if own:
                alone = _through(alone, R_[:, own : own + 1], beta[states, own : own + 1])
            off = t - alone
            apart[states] = np.maximum(apart[states], np.abs(off, out=off).max(axis=(1, 2)))
        g = t - y_tilde[:, None]
        loss[states] += 0.5 * np.einsum("tqi,tqi->t", g, g)
        t -= shift[states, :, None]
        first[states] += t.sum(axis=2)
        second[states] += np.einsum("tqi,tqi->t", t, t)
        for layer in reversed(range(n_layers)):
            z, h = z_of[layer], h_of[layer]
            whole = bool(h.all())
            if whole and not layer:
                continue
            w = turned[layer] @ g
            if whole:  # a layer that truncates nothing: H = 1 makes ∂_β zero, and ∂_R symmetric
                g = back[layer] @ w
                continue
            hw = h * w
            h *= z
            along_R[states, layer] += h @ w.swapaxes(1, 2) + hw @ z.swapaxes(1, 2)
            if layer:
                g = back[layer] @ hw
            hw -= w
            along_beta[states, layer] += np.einsum("tq,tqa->ta", hw.sum(axis=2), R_[:, layer])
    count = max(n, 1)
    first /= count
    return ClusterPass(
        loss=loss / count,
        mean=shift + first,
        within=np.maximum(second / count - np.einsum("tq,tq->t", first, first), 0.0),
        lowest=lowest,
        highest=highest,
        truncated=truncated / count,
        nearest=nearest,
        gradient_beta=along_beta / count,
        gradient_R=skew(along_R / count),
        apart=apart,
    )


def skew(A: Array) -> Array:
    """Return π₋(A) = ½(A − Aᵀ) (3.23) of A (..., Q, Q)."""
    result: Array = 0.5 * (A - A.swapaxes(-1, -2))
    return result


def output(x: Array, R: Array, beta: Array) -> Array:
    """Return τ^(L)∘…∘τ^(1)(x), (M, n, Q), for x (n, Q), R (M, L, Q, Q), beta (M, L, Q)."""
    return _through(_columns(x), R, beta).swapaxes(1, 2)


def _columns(x: Array) -> Array:
    """Return points x (n, Q) as columns, (Q, n), in this order in memory too: what is made of them inherits it."""
    return np.ascontiguousarray(x.T)


def _through(t: Array, R: Array, beta: Array) -> Array:
    """Return the same for points t (Q, n) or (M, Q, n) as columns: (M, Q, n)."""
    for layer in range(R.shape[1]):
        bias = beta[:, layer, :, None]
        z = R[:, layer] @ (t + bias)
        t = R[:, layer].swapaxes(1, 2) @ np.maximum(z, 0.0, out=z)
        t -= bias
    return t if t.ndim == 3 else np.broadcast_to(t, (R.shape[0], *t.shape))


def separated_velocity(
    x: Array, y_tilde: Array, R: Array, beta: Array, pinned: Pinned, *, printed: bool
) -> tuple[Array, Array]:
    """Return (∂_s β, Ω) of Theorem 3.2 by (3.22) and (3.25), as the mean of [H_i, M_i] over the points.

    M = ½(z uᵀ + u zᵀ) − ½ z zᵀ, and without the last term as the paper prints it (``printed``).
    x (n, Q), y_tilde (Q,), R (M, Q, Q), beta (M, Q); results (M, Q) and (M, Q, Q).
    """
    n, dim = x.shape
    n_states = beta.shape[0]
    J_perp, first, second = np.zeros((n_states, dim)), np.zeros_like(R), np.zeros_like(R)
    for states, points in blocks(n_states, n, dim):
        z = R[states] @ (_columns(x[points]) + beta[states, :, None])
        pinned.place(z, 0, states, points)
        h = (z > 0.0).astype(np.float64)
        J_perp[states] += (z.shape[2] - h.sum(axis=2)) / n
        first[states] += h @ z.swapaxes(1, 2) / n  # mean h_i z_j
        if not printed:
            h *= z
            second[states] += h @ z.swapaxes(1, 2) / n  # mean h_i z_i z_j
    u = np.einsum("tij,tj->ti", R, beta + y_tilde)
    diagonal = np.einsum("tii->ti", first)
    HM = 0.5 * (diagonal[:, :, None] * u[:, None, :] + u[:, :, None] * first - second)
    return -np.einsum("tji,tj->ti", R, J_perp * u), HM - HM.swapaxes(1, 2)


def sector_margin(x: Array, R: Array, beta: Array, before: tuple[Array, Array] | None = None) -> Array:
    """Return the least coordinate z_{i,r} of any point under one layer, (M,): positive if all lie in S_ℓ⁺.

    x (n, Q), R (M, Q, Q), beta (M, Q); ``before`` is a layer (R, beta) that the points pass first. Infinite
    if there are no points.
    """
    result = np.full(R.shape[0], np.inf)
    if not x.shape[0]:
        return result
    for states, points in blocks(R.shape[0], *x.shape):
        t: Array = _columns(x[points])
        if before is not None:
            t = _through(t, before[0][states, None], before[1][states, None])
        z = R[states] @ (t + beta[states, :, None])
        result[states] = np.minimum(result[states], z.min(axis=(1, 2)))
    return result
