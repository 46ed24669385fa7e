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

from truncflow_cli.flows.native.bundle import Bundle
from truncflow_cli.flows.native.library import library
from truncflow_cli.model.problem import Array, IntArray

#: Numbers in one working array: where numpy works, states and points are taken in blocks of about this size, which
#: stay in the cache, and are multiplied on one core (where cores are busy, BLAS on several is many times slower for
#: so few columns).
BLOCK = 40_000
#: Multiplications in one call of compiled code, some hundredths of a second: between calls Python sees Ctrl-C.
CALL = 200_000_000
#: Points that go through layers side by side, ``abreast.h``.
ABREAST = 16
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
    """A cluster, the states that it is looked at in, and what is pinned there; one R may stand for all states.

    Attributes:
        x: (n, Q) points.
        y_tilde: (Q,) ỹ.
        R, beta: (M, L, Q, Q), (M, L, Q).
        pin: (P, 4) pinned coordinates: state, point, layer, coordinate, in this order.
        pins_before: (M+1,) how many of them are those of earlier states.
    """

    x: Array
    y_tilde: Array
    R: Array
    beta: Array
    pin: IntArray
    pins_before: IntArray


@dataclass(frozen=True)
class Part(Bundle):
    """What one call is about: states from ``state`` to ``states``, points from ``point`` to ``points``."""

    state: int
    states: int
    point: int
    points: int


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


@dataclass(frozen=True)
class SceneRoom(Bundle):
    """SceneRoom for what is made of some points in one state, columns (K, Q, ABREAST) and sums (L, Q, Q)."""

    columns: Array
    turns: Array


@dataclass(frozen=True)
class _Velocity(Bundle):
    """(∂_s β, Ω), (M, Q) and (M, Q, Q)."""

    moved: Array
    turned: Array


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
    n_states, n_layers, dim = beta.shape
    scene = _scene(x, y_tilde, R, beta, pinned)
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
    room = _room(3 * n_layers + 5, n_layers, dim)
    for part in _parts(scene, n_layers):
        library().truncflow_cluster_pass(
            *(bundle.struct for bundle in (scene, passed, room, part)),
            ctypes.c_int64(-1 if own is None else own),
            ctypes.c_int64(watched),
        )
    return passed


def separated_velocity(
    x: Array, y_tilde: Array, R: Array, beta: Array, pinned: Pinned, *, printed: bool
) -> tuple[Array, Array]:
    """Return (∂_s β, Ω) of Theorem 3.2 by (3.22) and (3.25), as the mean of [H_i, M_i] over the points.

    M = ½(z uᵀ + u zᵀ) − ½ z zᵀ, and without the last term as the paper prints it (``printed``).
    x (n, Q), y_tilde (Q,), R (M, Q, Q), beta (M, Q); results (M, Q) and (M, Q, Q).
    """
    scene = _scene(x, y_tilde, R[:, None], beta[:, None], pinned)
    velocity = _Velocity(np.zeros_like(beta), np.zeros_like(R))
    room = _room(6, 1, beta.shape[1])
    for part in _parts(scene, 1):
        library().truncflow_velocity(
            *(bundle.struct for bundle in (scene, velocity, room, part)), ctypes.c_int64(printed)
        )
    return velocity.moved, velocity.turned


def sector_margins(x: Array, R: Array, beta: Array, own: int | None = None, *, images: bool = False) -> Array:
    """Return the least coordinate z_{i,r} of any point under each layer, (M, L): positive if all lie in S_ℓ⁺.

    x (n, Q), R (M, L, Q, Q), beta (M, L, Q). It is infinite for the layer ``own``, and if there are no points. With
    ``images`` it is that of the images τ^(own)(x), and infinite for the layers before the own one too.
    """
    n_states, n_layers, dim = beta.shape
    scene = _scene(x, np.zeros(dim), R, beta, None)
    margins, room = np.full((n_states, n_layers), np.inf), _room(4, 0, dim)
    for part in _parts(scene, n_layers):
        library().truncflow_margins(
            scene.struct,
            _address(margins),
            room.struct,
            part.struct,
            ctypes.c_int64(-1 if own is None else own),
            ctypes.c_int64(images),
        )
    return margins


def farthest_image(x: Array, target: Array, R: Array, beta: Array) -> Array:
    """Return the largest |τ^(L)∘…∘τ^(1)(x) − target| of any point, (M,), 0 if there are none.

    x (n, Q), target (M, Q), R (L, Q, Q) in all states, beta (M, L, Q).
    """
    n_states, n_layers, dim = beta.shape
    scene = _scene(x, np.zeros(dim), R[None], beta, None)
    farthest, target = np.zeros(n_states), np.ascontiguousarray(target)
    room = _room(3, 0, dim)
    for part in _parts(scene, n_layers):
        library().truncflow_farthest(
            scene.struct, _address(target), _address(farthest), room.struct, part.struct
        )
    return farthest


def _scene(x: Array, y_tilde: Array, R: Array, beta: Array, pinned: Pinned | None) -> Scene:
    """Return the arrays as compiled code takes them, the pins in the order in which the points pass."""
    x, y_tilde, R, beta = (np.ascontiguousarray(array, dtype=np.float64) for array in (x, y_tilde, R, beta))
    states = beta.shape[0] + 1
    if pinned is None or not pinned.state.size:
        return Scene(x, y_tilde, R, beta, np.empty((0, 4), np.int64), np.zeros(states, np.int64))
    order = np.lexsort((pinned.point, pinned.state))
    columns = (pinned.state, pinned.point, pinned.layer, pinned.coordinate)
    pin = np.stack([column[order] for column in columns], axis=1).astype(np.int64, copy=False)
    before = np.searchsorted(pin[:, 0], np.arange(states)).astype(np.int64, copy=False)
    return Scene(x, y_tilde, R, beta, np.ascontiguousarray(pin), before)


def _parts(scene: Scene, n_layers: int) -> Iterator[Part]:
    """Yield what the calls are about, all points of some states before the next states."""
    n, dim = scene.x.shape
    each = PRODUCTS * n_layers * dim**2
    for states, points in blocks(scene.beta.shape[0], n, each, max(CALL, ABREAST * each)):
        yield Part(states.start, states.stop, points.start, points.stop)


def _room(columns: int, layers: int, dim: int) -> SceneRoom:
    return SceneRoom(np.empty((columns, dim, ABREAST)), np.empty((layers, dim, dim)))


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
