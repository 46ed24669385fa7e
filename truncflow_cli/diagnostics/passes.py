"""Plain passes of a cluster through layers, forward and back, at many states at once.

Nothing here is shared with the solvers: the loss is the mean over the points of the composed truncation maps
(1.8), and its gradient is accumulated backwards through them, so that a certificate does not take over a
solver's mistake. The sums over the points are taken by compiled code of this folder, ``clusterpass.h`` and
``ownlayer.h``; nothing of the size of states times points is ever in memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.kernels.bundle import Bundle
from truncflow_cli.kernels.library import library
from truncflow_cli.problem import Array, IntArray

#: Numbers in one working array: where numpy works, states and points are taken in blocks of about this size, which
#: stay in the cache, and are multiplied on one core (where cores are busy, BLAS on several is many times slower for
#: so few columns).
BLOCK = 40_000
#: Multiplications in one call of compiled code, some hundredths of a second: between calls Python sees Ctrl-C.
CALL = 200_000_000
#: Points that go through layers side by side, ``abreast.h``.
ABREAST = 16
#: Numbers in a line of the cache.
LINE = 8
#: Multiplications of matrices and vectors that a point takes in a layer, forward and back.
PRODUCTS = 6


@dataclass(frozen=True)
class Pinned:
    """Coordinates held at zero: surfaces ``z[state, layer, point, coordinate] = 0``, as index arrays (P,).

    ``layer`` counts within the stack of layers passed, ``point`` within the cluster.
    """

    state: IntArray
    layer: IntArray
    point: IntArray
    coordinate: IntArray


@dataclass(frozen=True)
class Scene(Bundle):
    """A cluster, the layers that it goes through in the states it is looked at in, and what is pinned there.

    Attributes:
        x: (n, Q) points.
        y_tilde: (Q,) ỹ.
        R, beta: (M, A, Q, Q), (M, A, Q); one R may stand for all states.
        layer, layers: the first of the A layers that are looked at, and how many there are from there on, L.
        pin: (P, 4) pinned coordinates: state, point, layer, coordinate, in this order.
        pins_before: (M+1,) how many of them are those of earlier states.
        columns, turns: room for what is made of some points in a state, (K, Q, ABREAST) and (L, Q, Q).
    """

    x: Array
    y_tilde: Array
    R: Array
    beta: Array
    layer: int
    layers: int
    pin: IntArray
    pins_before: IntArray
    columns: Array
    turns: Array

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, L and Q."""
        return self.beta.shape[0], self.layers, self.beta.shape[2]


@dataclass(frozen=True)
class ClusterPass(Bundle):
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
        first: (M, Q) t of the first point, from which mean and spread are summed up.
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
    first: Array


def blocks(n_states: int, n_points: int, each: int, most: int | None = None) -> Iterator[tuple[slice, slice]]:
    """Cut states × points into blocks; for ``each`` of a point in a state, at most about ``most``, or ``BLOCK``."""
    most = BLOCK if most is None else most
    points = max(1, min(n_points, most // max(each, 1)))
    states = max(1, most // (points * max(each, 1)))
    for first in range(0, n_states, states):
        for start in range(0, n_points, points):
            yield slice(first, min(first + states, n_states)), slice(start, min(start + points, n_points))


def largest_norm(x: Array) -> float:
    """Return max |x_i| of points x (n, Q), 0 if there are none."""
    norms = [np.linalg.norm(x[points], axis=1).max() for _, points in blocks(1, *x.shape)]
    return float(np.max(norms, initial=0.0))


def scene_of(
    x: Array, y_tilde: Array, R: Array, beta: Array, pinned: Pinned | None = None, *, layer: int | None = None
) -> Scene:
    """Return the scene of points x (n, Q) with ỹ (Q,) in states R (M, L, Q, Q), beta (M, L, Q).

    Args:
        x, y_tilde, R, beta: see above.
        pinned: coordinates that are held at zero.
        layer: the only layer that is looked at.
    """
    x, y_tilde, R, beta = (np.ascontiguousarray(array, dtype=np.float64) for array in (x, y_tilde, R, beta))
    layers, dim = beta.shape[1] if layer is None else 1, beta.shape[2]
    pin, before = _in_order(pinned, beta.shape[0] + 1)
    columns = _on_lines(max(3 * layers + 5, 6), dim)
    first = 0 if layer is None else layer
    return Scene(x, y_tilde, R, beta, first, layers, pin, before, columns, np.empty((layers, dim, dim)))


def cluster_pass(scene: Scene, *, own: int | None = None, watched: bool = True) -> ClusterPass:
    """Send points through the layers and back.

    Args:
        scene: the points, and the layers.
        own: the cluster's own layer, if what it alone makes of the points is to be compared with the output.
        watched: whether it is asked for what the layers do to the points: lowest, highest, truncated, nearest.
    """
    n_states, n_layers, dim = scene.shape
    passed = ClusterPass(
        loss=np.zeros(n_states),
        mean=np.zeros((n_states, dim)),
        within=np.zeros(n_states),
        lowest=np.full((n_states, n_layers), np.inf),
        highest=np.full((n_states, n_layers), -np.inf),
        truncated=np.zeros((n_states, n_layers, dim)),
        nearest=np.full((n_states, n_layers, dim), np.inf),
        gradient_beta=np.zeros((n_states, n_layers, dim)),
        gradient_R=np.zeros((n_states, n_layers, dim, dim)),
        apart=np.zeros(n_states),
        first=np.zeros((n_states, dim)),
    )
    for part in _parts(scene):
        library().truncflow_cluster_pass(scene.struct, *part, passed.struct, *_wholes(_index(own), watched))
    return passed


def separated_velocity(scene: Scene, *, printed: bool) -> tuple[Array, Array]:
    """Return (∂_s β, Ω) of Theorem 3.2 by (3.22) and (3.25), as the mean of [H_i, M_i] over the points.

    M = ½(z uᵀ + u zᵀ) − ½ z zᵀ, and without the last term as the paper prints it (``printed``).
    The scene is one of a single layer; results (M, Q) and (M, Q, Q).
    """
    n_states, _, dim = scene.shape
    moved, turned = np.zeros((n_states, dim)), np.zeros((n_states, dim, dim))
    for part in _parts(scene):
        library().truncflow_velocity(
            scene.struct, *part, _address(moved), _address(turned), *_wholes(printed)
        )
    return moved, turned


def sector_margins(scene: Scene, own: int | None = None, *, images: bool = False) -> Array:
    """Return the least coordinate z_{i,r} of any point under each layer, (M, L): positive if all lie in S_ℓ⁺.

    It is infinite for the layer ``own``, and if there are no points. With ``images`` it is that of the images
    τ^(own)(x), and infinite for the layers before the own one too.
    """
    margins = np.full(scene.shape[:2], np.inf)
    for part in _parts(scene):
        library().truncflow_margins(scene.struct, *part, _address(margins), *_wholes(_index(own), images))
    return margins


def farthest_image(scene: Scene, target: Array) -> Array:
    """Return the largest |τ^(L)∘…∘τ^(1)(x) − target| of any point, (M,), 0 if there are none; target (M, Q)."""
    farthest, target = np.zeros(scene.shape[0]), np.ascontiguousarray(target)
    for part in _parts(scene):
        library().truncflow_farthest(scene.struct, *part, _address(target), _address(farthest))
    return farthest


def orthogonality_defects(R: Array) -> Array:
    """Return ‖RᵀR − 1‖ (Frobenius) of each R (M, L, Q, Q), (M, L)."""
    R = np.ascontiguousarray(R, dtype=np.float64)
    defects, each = np.zeros(R.shape[:2]), R.shape[1] * R.shape[2] ** 3
    for states, _ in blocks(R.shape[0], 1, each, CALL):
        part, found = R[states], defects[states]
        library().truncflow_defects(_address(part), *_wholes(found.size, R.shape[2]), _address(found))
    return defects


def _in_order(pinned: Pinned | None, states: int) -> tuple[IntArray, IntArray]:
    """Return the pins in the order in which the points pass, and how many are those of states before each (M+1,)."""
    if pinned is None or not pinned.state.size:
        return np.empty((0, 4), np.int64), np.zeros(states, np.int64)
    order = np.lexsort((pinned.point, pinned.state))
    columns = (pinned.state, pinned.point, pinned.layer, pinned.coordinate)
    pin = np.stack([column[order] for column in columns], axis=1).astype(np.int64, copy=False)
    return pin, np.searchsorted(pin[:, 0], np.arange(states)).astype(np.int64, copy=False)


def _on_lines(columns: int, dim: int) -> Array:
    """Return room for columns, on whole lines of the cache: else every second access to one takes two."""
    size = columns * dim * ABREAST
    memory = np.empty(size + LINE)
    start = -(memory.ctypes.data // memory.itemsize) % LINE
    return memory[start : start + size].reshape(columns, dim, ABREAST)


def _parts(scene: Scene) -> Iterator[tuple[ctypes.c_int64, ...]]:
    """Yield what the calls are about: the first state and that beyond, the first point and that beyond.

    All points of some states come before the next states.
    """
    n_states, n_layers, dim = scene.shape
    each = PRODUCTS * n_layers * dim**2
    for states, points in blocks(n_states, scene.x.shape[0], each, max(CALL, ABREAST * each)):
        yield _wholes(states.start, states.stop, points.start, points.stop)


def _wholes(*numbers: int) -> tuple[ctypes.c_int64, ...]:
    return tuple(map(ctypes.c_int64, numbers))


def _index(layer: int | None) -> int:
    return -1 if layer is None else layer


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
