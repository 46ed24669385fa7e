"""Where a flow goes from an instant at which many surfaces meet: short steps of plain gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from truncflow_cli.network_field import Pass, forward_pass, tangent
from truncflow_cli.problem import Array, BoolArray, IntArray

#: Steps of gradient descent that show where a state on many surfaces goes, and their length (relative to the data).
DESCENT_STEPS = 1500
DESCENT_STEP = 1e-9
#: Coordinates nearer to zero than this, relative to the data, may reach it on the way.
NEAR = 3.0 * DESCENT_STEPS * DESCENT_STEP
#: Surfaces at a smaller angle are not told apart where the state is moved onto those it is close to.
APART = 0.1

#: Returns c_ℓ = R_ℓ ∂_s β^(ℓ) (L, Q) and Ω_ℓ (L, Q, Q) of a forward pass, h (M, L, Q), R (L, Q, Q) and b (L, Q).
Velocity = Callable[[Pass, Array, Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Descent:
    """Where plain descent has come.

    Attributes:
        R, b: the state.
        path: (d,) the way there, as a tangent vector.
        elapsed: the time.
        z, sides: (m,) of the surfaces; 2 where z is within a few steps of zero.
    """

    R: Array
    b: Array
    path: Array
    elapsed: float
    z: Array
    sides: IntArray

    def energy(self, onto: Array | float) -> float:
        """Return the energy dissipated, if the state is then moved by ``onto`` (d,), onto the surfaces it is close to.

        The steps zigzag about the flow, which goes straight: its energy is that of the path from end to end.
        """
        path = self.path + onto
        return float(path @ path) / self.elapsed if self.elapsed > 0.0 else 0.0


def size_of(b: Array, spread: float, y_tilde: Array) -> float:
    """Return the size of the data as descent sees it: where all points are at the apex, it is that of the labels."""
    return max(float(np.abs(b).max()) + spread, 1e-3 * float(np.abs(y_tilde).max()))


def plain_descent(
    x: Array,
    size: float,
    velocity: Velocity,
    R: Array,
    b: Array,
    untruncated: BoolArray,
    on: BoolArray,
    surfaces: Sequence[tuple[int, int, int]],
    noise: Array,
) -> Descent:
    """Take short explicit steps from R (L, Q, Q), b (L, Q), with h(0) = 0; the arguments are left as they are.

    Coordinates of the points x (M, Q) that are marked in ``on`` (M, L, Q) are on the side where z is, beyond its
    ``noise`` (M,); the others stay as ``untruncated`` (M, L, Q) says. ``surfaces`` are those whose z and side are
    wanted, ``size`` is that of the data (a length).
    """
    R, b = R.copy(), b.copy()
    travelled = elapsed = 0.0
    path = np.zeros(b.shape[0] * b.shape[1] * (b.shape[1] + 1) // 2)
    for step in range(DESCENT_STEPS + 1):
        h = untruncated.astype(np.float64)

        def activation(layer: int, z: Array, h: Array = h) -> Array:
            own = on[:, layer]
            h[:, layer][own] = (z > noise[:, None])[own]
            return h[:, layer]

        state = forward_pass(x, R, b, activation)
        if step == DESCENT_STEPS:
            break
        c, Om = velocity(state, h, R, b)
        moving = tangent(c, Om)
        speed = float(np.linalg.norm(moving))
        if speed == 0.0:
            break
        length = DESCENT_STEP * size / speed
        b += length * (c + np.einsum("lij,lj->li", Om, b))
        R += length * np.einsum("lij,lja->lia", Om, R)
        travelled += length * speed
        elapsed += length
        path += length * moving
    z = np.array([state.z[key] for key in surfaces])
    sides = np.where(np.abs(z) <= 3.0 * travelled / DESCENT_STEPS, 2, (z > 0.0).astype(np.int64))
    return Descent(R, b, path, elapsed, z, sides)
