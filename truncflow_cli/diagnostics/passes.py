"""Plain passes of a cluster through layers, forward and back, at many states at once.

Nothing here is shared with the solvers: the loss is the mean over the points of the composed truncation maps
(1.8), and its gradient is accumulated backwards through them, so that a certificate does not take over a
solver's mistake. Points come first: arrays are (n, M, Q), points by states by coordinates, so that what is summed
or compared over the points are whole rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import numpy as np

from truncflow_cli.problem import Array, IntArray

#: Numbers in one working array: states and points are taken in blocks of about this size, which stay in the cache.
BLOCK = 36_000


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
        """Set the pinned coordinates of a layer to zero in z (n, M, Q)."""
        if self.state.size:
            here = self.layer == layer
            z[self.point[here], self.state[here], self.coordinate[here]] = 0.0


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


def largest(values: Array) -> Array:
    """Return the largest |value| in each of the M states of values (M, ...), (M,)."""
    columns = np.ascontiguousarray(np.abs(values).reshape(values.shape[0], -1).T)
    return np.asarray(columns.max(axis=0))


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


class _Work:
    """Arrays of a block of points and states, taken once and used for all blocks: ``work[i]`` is (n', M', Q)."""

    def __init__(self, x: Array, n_states: int, arrays: int) -> None:
        n, dim = x.shape
        most = max(1, BLOCK // dim)
        # Rows of many states are quick to go along, and many points in a state to multiply.
        self._points = max(1, min(n, most, max(most // max(1, n_states), isqrt(most), dim)))
        self._states = max(1, min(n_states, most // self._points))
        self._x, self._n_states = x, n_states
        self._memory = np.empty((arrays, self._points * self._states * dim))
        self._shape = (0, 0, dim)

    def blocks(self) -> Iterator[tuple[slice, slice, Array]]:
        """Yield states, points, and those of the points, (n', Q): some points in all states first."""
        for start in range(0, self._x.shape[0], self._points):
            points = slice(start, min(start + self._points, self._x.shape[0]))
            for first in range(0, self._n_states, self._states):
                states = slice(first, min(first + self._states, self._n_states))
                self._shape = (points.stop - start, states.stop - first, self._shape[2])
                yield states, points, self._x[points]

    def __getitem__(self, index: int) -> Array:
        n, m, dim = self._shape
        return self._memory[index, : n * m * dim].reshape(self._shape)


def _transposed(A: Array) -> Array:
    return A.swapaxes(-1, -2)


def _times(t: Array, A: Array, out: Array) -> Array:
    """Return Aᵀt of points t (n, M, Q) under matrices A (M, Q, Q)."""
    np.matmul(t.swapaxes(0, 1), A, out=out.swapaxes(0, 1))
    return out


def _coordinates(t: Array, R: Array, beta: Array, out: Array) -> Array:
    """Return z = R(t + β) (n, M, Q) of points t (n, Q) or (n, M, Q) under a layer R (M, Q, Q), β (M, Q)."""
    if t.ndim == 2:
        np.matmul(t, R.reshape(-1, t.shape[1]).T, out=out.reshape(t.shape[0], -1))
    else:
        _times(t, np.ascontiguousarray(_transposed(R)), out)
    out += np.einsum("mij,mj->mi", R, beta)
    return out


def _image(z: Array, R: Array, beta: Array, work: Array, out: Array) -> Array:
    """Return Rᵀσ(z) − β, (n, M, Q)."""
    _times(np.maximum(z, 0.0, out=work), R, out)
    out -= np.ascontiguousarray(beta)
    return out


def _sum(values: Array) -> Array:
    """Return the sum over the points of values (n, M, Q), (M, Q)."""
    n, *shape = values.shape
    return (np.ones(n) @ values.reshape(n, -1)).reshape(shape)


def _of_state(ufunc: np.ufunc, values: Array) -> Array:
    """Return the sum, least or largest (``ufunc``) over points and coordinates of values (n, M, Q), (M,)."""
    found: Array = ufunc.reduce(np.ascontiguousarray(ufunc.reduce(values, axis=0).T), axis=0)
    return found


def _products(a: Array, b: Array) -> Array:
    """Return the sum over the points of a bᵀ, (M, Q, Q), for a and b (n, M, Q)."""
    return a.transpose(1, 2, 0) @ b.swapaxes(0, 1)


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
        watched: whether it is asked for loss, mean, within, highest and nearest; without, the first three are zero.
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
    # Whole rows of numbers that stand next to one another: all else is slow to go along.
    R_of, beta_of = (np.ascontiguousarray(part.swapaxes(0, 1)) for part in (R, beta))
    labels = np.tile(y_tilde, (n_states, 1))
    work = _Work(x, n_states, n_layers + 5)
    for states, points, inputs in work.blocks():
        held, layers = pinned.within(states, points), (R_of[:, states], beta_of[:, states])
        t, g, scratch = inputs, work[n_layers], work[n_layers + 1]
        for layer, (rotation, bias) in enumerate(zip(*layers, strict=True)):
            z = _coordinates(t, rotation, bias, work[layer])
            # The output is that of the saved state as it is; on which side a pin counts, the log says.
            t = _image(z, rotation, bias, scratch, g)
            held.hold(z, layer)
            _lower(passed.lowest[states, layer], _of_state(np.minimum, z))
            if watched:
                _raise(passed.highest[states, layer], _of_state(np.maximum, z))
                _lower(passed.nearest[states, layer], np.abs(z, out=scratch).min(axis=0))
        if own is not None:
            z = _coordinates(inputs, layers[0][own], layers[1][own], work[n_layers + 2])
            alone = _image(z, layers[0][own], layers[1][own], z, scratch)
            alone -= t
            _raise(passed.apart[states], _of_state(np.maximum, np.abs(alone, out=alone)))
        if watched:
            if not points.start:
                first[states] = t[0]
            off = np.subtract(t, first[states], out=scratch)
            passed.mean[states] += _sum(off)
            passed.within[states] += _of_state(np.add, np.square(off, out=off))
        t -= labels[states]
        if watched:
            passed.loss[states] += 0.5 * _of_state(np.add, np.square(t, out=scratch))
        _go_back(passed, states, layers[0], work, t)
    n = max(1, x.shape[0])
    for total in (passed.loss, passed.mean, passed.within, passed.truncated, passed.gradient_beta):
        total /= n
    passed.within[:] -= np.einsum("tq,tq->t", passed.mean, passed.mean)
    _raise(passed.within, np.zeros(n_states))
    passed.mean[:] += first
    passed.gradient_R[:] = (passed.gradient_R - _transposed(passed.gradient_R)) * (0.5 / n)
    return passed


def _go_back(passed: ClusterPass, states: slice, R: Array, work: _Work, g: Array) -> None:
    """Go back through the layers R (L, M, Q, Q) with g = t − ỹ, and add up the gradient: minus (5.4) and (5.6).

    Of ½|t − ỹ|² with w = R g and H = diag(h(z)), ∂_β is Rᵀ(H − 1)w, and ∂_R Rᵀ is σ(z) wᵀ + H w zᵀ, of which the
    antisymmetric part counts. The layer before sees the gradient Rᵀ H w. The z of each layer are in ``work``.
    """
    n_layers = R.shape[0]
    for layer in reversed(range(n_layers)):
        z, rotation = work[layer], R[layer]
        untruncated = passed.lowest[states, layer].min() > 0.0
        if untruncated and not layer:
            return
        w = _times(g, np.ascontiguousarray(_transposed(rotation)), work[n_layers + 2])
        if untruncated:  # H = 1 makes ∂_β zero, and ∂_R Rᵀ symmetric
            _times(w, rotation, g)
            continue
        h = np.greater(z, 0.0, out=work[n_layers + 3], casting="unsafe")
        hw = np.multiply(h, w, out=work[n_layers + 4])
        passed.truncated[states, layer] += z.shape[0] - _sum(h)
        w_lost = _sum(hw) - _sum(w)
        passed.gradient_beta[states, layer] += np.einsum("mij,mi->mj", rotation, w_lost)
        turn = passed.gradient_R[states, layer]
        turn += _products(np.multiply(h, z, out=h), w)
        turn += _products(hw, z)
        if layer:
            _times(hw, rotation, g)


def separated_velocity(
    x: Array, y_tilde: Array, R: Array, beta: Array, pinned: Pinned = NOTHING_PINNED, *, printed: bool
) -> tuple[Array, Array]:
    """Return (∂_s β, Ω) of Theorem 3.2 by (3.22) and (3.25), as the mean of [H_i, M_i] over the points.

    M = ½(z uᵀ + u zᵀ) − ½ z zᵀ, and without the last term as the paper prints it (``printed``); so 2HM is
    Hz uᵀ + Hu zᵀ − Hz zᵀ. One layer R (M, Q, Q), β (M, Q); results (M, Q) and (M, Q, Q).
    """
    u = np.einsum("mij,mj->mi", R, beta + y_tilde)
    untruncated, HM = np.zeros(u.shape), np.zeros(R.shape)
    work = _Work(x, u.shape[0], 2)
    for states, points, inputs in work.blocks():
        z = _coordinates(inputs, R[states], beta[states], work[0])
        pinned.within(states, points).hold(z, 0)
        if z.min() > 0.0:  # [1, M] = 0
            untruncated[states] += z.shape[0]
            continue
        h = np.greater(z, 0.0, out=work[1], casting="unsafe")
        untruncated[states] += _sum(h)
        hz_T = _products(h, z)
        HM[states] += hz_T.diagonal(axis1=1, axis2=2)[:, :, None] * u[states, None, :]
        HM[states] += u[states, :, None] * hz_T
        if not printed:
            HM[states] -= _products(np.multiply(h, z, out=h), z)
    n = max(1, x.shape[0])
    moved = -np.einsum("mij,mi->mj", R, (1.0 - untruncated / n) * u)
    return moved, (HM - _transposed(HM)) * (0.5 / n)


def sector_margins(x: Array, R: Array, beta: Array, *, own: int | None = None) -> Array:
    """Return the least coordinate z_{i,r} of any point x (n, Q) under each layer, (M, L): positive if all lie in S_ℓ⁺.

    With ``own`` it is that of the images τ^(own)(x) under the layers after the own one, and infinite for the others.
    """
    margins = np.full(beta.shape[:2], np.inf)
    asked = range(0 if own is None else own + 1, beta.shape[1])
    work = _Work(x, beta.shape[0] if asked else 0, 3)
    for states, _, t in work.blocks():
        if own is not None:
            z = _coordinates(t, R[states, own], beta[states, own], work[0])
            t = _image(z, R[states, own], beta[states, own], z, work[1])
        for layer in asked:
            z = _coordinates(t, R[states, layer], beta[states, layer], work[2])
            _lower(margins[states, layer], _of_state(np.minimum, z))
    return margins


def farthest_image(x: Array, R: Array, beta: Array, target: Array) -> Array:
    """Return the largest |τ^(L)∘…∘τ^(1)(x) − target| of any point x (n, Q), (M,), 0 if there are none.

    R (L, Q, Q) does not move; β (M, L, Q), target (M, Q).
    """
    farthest = np.zeros(beta.shape[0])
    work = _Work(x, beta.shape[0], 2)
    for states, _, t in work.blocks():
        for layer, rotation in enumerate(R):
            moves = np.broadcast_to(rotation, (work[0].shape[1], *rotation.shape))
            z = _coordinates(t, moves, beta[states, layer], work[0])
            t = _image(z, moves, beta[states, layer], z, work[1])
        _raise(farthest[states], np.linalg.norm(t - target[states], axis=2).max(axis=0))
    return farthest


def orthogonality_defects(R: Array) -> Array:
    """Return ‖RᵀR − 1‖ (Frobenius) of each R (M, L, Q, Q), (M, L)."""
    defects = np.empty(R.shape[:2])
    for states, _ in blocks(R.shape[0], 1, int(np.prod(R.shape[1:]))):
        part = np.asarray(R[states], dtype=np.float64)
        off = _transposed(part) @ part - np.eye(R.shape[2])
        defects[states] = np.sqrt(np.einsum("tlij,tlij->tl", off, off))
    return defects
