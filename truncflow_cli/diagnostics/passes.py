"""Plain passes of a cluster through layers, forward and back, at many states at once.

Nothing here is shared with the solvers: the loss is the mean over the points of the composed truncation maps
(1.8), and its gradient is accumulated backwards through them, so that a certificate does not take over a
solver's mistake. Points are columns: arrays are (M, Q, n), states by coordinates by points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array, IntArray

#: Numbers in one working array: states and points are taken in blocks of about this size, which stay in the cache.
BLOCK = 12_000


@dataclass(frozen=True)
class Pinned:
    """Coordinates held at zero: surfaces ``z[state, layer, point, coordinate] = 0``, as index arrays (P,).

    ``layer`` counts within the layers passed, ``point`` within the cluster.
    """

    state: IntArray
    layer: IntArray
    point: IntArray
    coordinate: IntArray

    def within(self, states: slice, points: slice) -> Pinned:
        """Return those of some states and points, counted from the first of these."""
        if not self.state.size:
            return self
        here = (self.state >= states.start) & (self.state < states.stop)
        here &= (self.point >= points.start) & (self.point < points.stop)
        state, point = self.state[here] - states.start, self.point[here] - points.start
        return Pinned(state, self.layer[here], point, self.coordinate[here])

    def hold(self, z: Array, layer: int) -> None:
        """Set the pinned coordinates of a layer to zero in z (M, Q, n)."""
        if self.state.size:
            here = self.layer == layer
            z[self.state[here], self.coordinate[here], self.point[here]] = 0.0


NOTHING_PINNED = Pinned(*np.empty((4, 0), dtype=np.int64))


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


def blocks(n_states: int, n_points: int, each: int) -> Iterator[tuple[slice, slice]]:
    """Cut states × points into blocks of about ``BLOCK`` numbers, for ``each`` of a point in a state.

    All points of some states come before the next states.
    """
    points = max(1, min(n_points, BLOCK // max(each, 1)))
    states = max(1, BLOCK // (points * max(each, 1)))
    for first in range(0, n_states, states):
        for start in range(0, n_points, points):
            yield slice(first, min(first + states, n_states)), slice(start, min(start + points, n_points))


def largest_norm(x: Array) -> float:
    """Return max |x_i| of points x (n, Q), 0 if there are none."""
    norms = [np.linalg.norm(x[points], axis=1).max() for _, points in blocks(1, *x.shape)]
    return float(np.max(norms, initial=0.0))


def _blocks_of_columns(x: Array, n_states: int) -> Iterator[tuple[slice, slice, Array]]:
    """Yield states, points, and those of the points x (n, Q) as columns (1, Q, n'): some points in all states first."""
    size = max(1, min(x.shape[0], BLOCK // x.shape[1]))
    several = max(1, BLOCK // (size * x.shape[1]))
    for points in (slice(start, start + size) for start in range(0, x.shape[0], size)):
        columns = np.ascontiguousarray(x[points].T)[None]
        for states in (slice(start, start + several) for start in range(0, n_states, several)):
            yield states, points, columns


def _transposed(A: Array) -> Array:
    return A.swapaxes(-1, -2)


def _coordinates(t: Array, R: Array, beta: Array) -> Array:
    """Return z = R(t + β) (M, Q, n) of points t (M or 1, Q, n) under a layer R (M, Q, Q), β (M, Q)."""
    return np.asarray(R @ (t + beta[..., None]))


def _image(z: Array, R: Array, beta: Array) -> Array:
    """Return Rᵀσ(z) − β, (M, Q, n)."""
    t = _transposed(R) @ np.maximum(z, 0.0)
    t -= beta[..., None]
    return t


def _lower(least: Array, found: Array) -> None:
    np.minimum(least, found, out=least)


def _raise(largest: Array, found: Array) -> None:
    np.maximum(largest, found, out=largest)


def cluster_pass(
    x: Array,
    y_tilde: Array,
    R: Array,
    beta: Array,
    pinned: Pinned = NOTHING_PINNED,
    *,
    own: int | None = None,
    watched: bool = True,
) -> ClusterPass:
    """Send points through the layers and back.

    Args:
        x, y_tilde: (n, Q) points, (Q,) ỹ.
        R, beta: (M, L, Q, Q), (M, L, Q) the layers, in turn.
        pinned: coordinates that count as zero.
        own: the cluster's own layer, if what it alone makes of the points is to be compared with the output.
        watched: whether it is asked for highest, truncated and nearest.
    """
    n_states, n_layers, dim = beta.shape
    passed = ClusterPass(
        loss=np.zeros(n_states),
        mean=np.zeros((n_states, dim)),
        within=np.zeros(n_states),
        lowest=np.full((n_states, n_layers), np.inf),
        highest=np.full((n_states, n_layers), -np.inf),
        truncated=np.zeros(beta.shape),
        nearest=np.full(beta.shape, np.inf),
        gradient_beta=np.zeros(beta.shape),
        gradient_R=np.zeros((*beta.shape, dim)),
        apart=np.zeros(n_states),
    )
    # Spread is summed up around the first point's image: what is one point comes out as one.
    first = np.zeros((n_states, dim))
    for states, points, columns in _blocks_of_columns(x, n_states):
        held, layers = pinned.within(states, points), (R[states].swapaxes(0, 1), beta[states].swapaxes(0, 1))
        t, z_of = columns, []
        for layer, (rotation, bias) in enumerate(zip(*layers, strict=True)):
            z = _coordinates(t, rotation, bias)
            # The output is that of the saved state as it is; on which side a pin counts, the log says.
            t = _image(z, rotation, bias)
            held.hold(z, layer)
            z_of.append(z)
            _lower(passed.lowest[states, layer], z.min(axis=(1, 2)))
            if watched:
                _watch(passed, states, layer, z)
        if own is not None:
            rotation, bias = layers[0][own], layers[1][own]
            alone = _image(_coordinates(columns, rotation, bias), rotation, bias)
            _raise(passed.apart[states], np.abs(t - alone).max(axis=(1, 2)))
        if not points.start:
            first[states] = t[:, :, 0]
        off = t - first[states, :, None]
        passed.mean[states] += off.sum(axis=2)
        passed.within[states] += np.einsum("tqi,tqi->t", off, off)
        t -= y_tilde[:, None]
        passed.loss[states] += 0.5 * np.einsum("tqi,tqi->t", t, t)
        _go_back(passed, states, layers[0], z_of, t)
    n = max(1, x.shape[0])
    for total in (passed.loss, passed.mean, passed.within, passed.truncated, passed.gradient_beta):
        total /= n
    passed.within[:] -= np.einsum("tq,tq->t", passed.mean, passed.mean)
    _raise(passed.within, np.zeros(n_states))
    passed.mean[:] += first
    passed.gradient_R[:] = (passed.gradient_R - _transposed(passed.gradient_R)) * (0.5 / n)
    return passed


def _watch(passed: ClusterPass, states: slice, layer: int, z: Array) -> None:
    """Note what a layer does to points of coordinates z (M, Q, n)."""
    _raise(passed.highest[states, layer], z.max(axis=(1, 2)))
    _lower(passed.nearest[states, layer], np.abs(z).min(axis=2))
    passed.truncated[states, layer] += np.count_nonzero(z <= 0.0, axis=2)


def _go_back(passed: ClusterPass, states: slice, R: Array, z_of: list[Array], g: Array) -> None:
    """Go back through the layers R (L, M, Q, Q) with g = t − ỹ, and add up the gradient: minus (5.4) and (5.6).

    Of ½|t − ỹ|² with w = R g and H = diag(h(z)), ∂_β is Rᵀ(H − 1)w, and ∂_R Rᵀ is σ(z) wᵀ + H w zᵀ, of which the
    antisymmetric part counts. The layer before sees the gradient Rᵀ H w.
    """
    for layer in reversed(range(len(z_of))):
        z, rotation = z_of[layer], R[layer]
        untruncated = passed.lowest[states, layer].min() > 0.0
        if untruncated and not layer:
            return
        w = rotation @ g
        if untruncated:  # H = 1 makes ∂_β zero, and ∂_R Rᵀ symmetric
            g = _transposed(rotation) @ w
            continue
        h = (z > 0.0).astype(np.float64)
        hw = w * h
        w_lost = (hw - w).sum(axis=2)
        passed.gradient_beta[states, layer] += (_transposed(rotation) @ w_lost[..., None])[..., 0]
        if h.any():
            turn = passed.gradient_R[states, layer]
            turn += (z * h) @ _transposed(w)
            turn += hw @ _transposed(z)
        if layer:
            g = _transposed(rotation) @ hw


def separated_velocity(
    x: Array, y_tilde: Array, R: Array, beta: Array, pinned: Pinned = NOTHING_PINNED, *, printed: bool
) -> tuple[Array, Array]:
    """Return (∂_s β, Ω) of Theorem 3.2 by (3.22) and (3.25), as the mean of [H_i, M_i] over the points.

    M = ½(z uᵀ + u zᵀ) − ½ z zᵀ, and without the last term as the paper prints it (``printed``); so 2HM is
    Hz uᵀ + H(u − z) zᵀ. One layer R (M, Q, Q), β (M, Q); results (M, Q) and (M, Q, Q).
    """
    u = (R @ (beta + y_tilde)[..., None])[..., 0]
    untruncated, HM = np.zeros(u.shape), np.zeros(R.shape)
    for states, points, columns in _blocks_of_columns(x, u.shape[0]):
        z = _coordinates(columns, R[states], beta[states])
        pinned.within(states, points).hold(z, 0)
        if z.min() > 0.0:  # [1, M] = 0
            untruncated[states] += z.shape[2]
            continue
        h = (z > 0.0).astype(np.float64)
        untruncated[states] += h.sum(axis=2)
        hz = h * z
        HM[states] += hz.sum(axis=2)[:, :, None] * u[states, None, :]
        h *= u[states, :, None]
        HM[states] += (h if printed else h - hz) @ _transposed(z)
    n = max(1, x.shape[0])
    moved = -(_transposed(R) @ ((1.0 - untruncated / n) * u)[..., None])[..., 0]
    return moved, (HM - _transposed(HM)) * (0.5 / n)


def sector_margins(x: Array, R: Array, beta: Array, *, own: int | None = None) -> Array:
    """Return the least coordinate z_{i,r} of any point x (n, Q) under each layer, (M, L): positive if all lie in S_ℓ⁺.

    With ``own`` it is that of the images τ^(own)(x) under the layers after the own one, and infinite for the others.
    """
    margins = np.full(beta.shape[:2], np.inf)
    for states, _, t in _blocks_of_columns(x, beta.shape[0]):
        if own is not None and own + 1 < beta.shape[1]:
            t = _image(_coordinates(t, R[states, own], beta[states, own]), R[states, own], beta[states, own])
        for layer in range(0 if own is None else own + 1, beta.shape[1]):
            least = _coordinates(t, R[states, layer], beta[states, layer]).min(axis=(1, 2))
            _lower(margins[states, layer], least)
    return margins


def farthest_image(x: Array, R: Array, beta: Array, target: Array) -> Array:
    """Return the largest |τ^(L)∘…∘τ^(1)(x) − target| of any point x (n, Q), (M,), 0 if there are none.

    R (L, Q, Q) does not move; β (M, L, Q), target (M, Q).
    """
    farthest = np.zeros(beta.shape[0])
    for states, _, t in _blocks_of_columns(x, beta.shape[0]):
        for layer, rotation in enumerate(R):
            t = _image(_coordinates(t, rotation, beta[states, layer]), rotation, beta[states, layer])
        distance = np.linalg.norm(t - target[states, :, None], axis=1).max(axis=1)
        _raise(farthest[states], distance)
    return farthest


def orthogonality_defects(R: Array) -> Array:
    """Return ‖RᵀR − 1‖ (Frobenius) of each R (M, L, Q, Q), (M, L)."""
    defects = np.empty(R.shape[:2])
    for states, _ in blocks(R.shape[0], 1, int(np.prod(R.shape[1:]))):
        part = np.asarray(R[states], dtype=np.float64)
        off = _transposed(part) @ part - np.eye(R.shape[2])
        defects[states] = np.sqrt(np.einsum("tlij,tlij->tl", off, off))
    return defects
