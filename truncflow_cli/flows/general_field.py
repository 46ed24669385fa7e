"""The field of the `general` flow on surfaces, as a function of the weights of the points that lie on them."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.interface import LocalField
from truncflow_cli.flows.points import NetworkPoints
from truncflow_cli.kernels.interface import Group
from truncflow_cli.network_field import adjoint, forward_pass, tangent, velocity
from truncflow_cli.patterns import UNTRUNCATED
from truncflow_cli.problem import Array, Pattern

#: Newton steps to hold pinned coordinates still, and the speed (relative to the field) at which they do.
MAX_HOLD = 8
HOLD = 1e-14


class FieldOnSurfaces:
    """The field at one state, for any weights λ of ``groups`` of surfaces (m of them).

    The field of all points, with λ = 0, comes from their cells; the few on the surfaces are taken out of it, and put
    back with the weights asked for.
    """

    def __init__(
        self,
        data: NetworkPoints,
        R: Array,
        b: Array,
        pattern: Pattern,
        groups: list[Group],
        whole: tuple[Array, Array],
    ) -> None:
        keys = np.array([key for group in groups for key in group], dtype=np.int64).reshape(-1, 3)
        points, row = np.unique(keys[:, 0], return_inverse=True)
        sizes = [len(group) for group in groups]
        self._R, self._b = R, b
        self._x, self._weight = data.x[points], data.weight[points]
        self._target = data.y_tilde[data.label[points]]
        self._members = np.column_stack([row.reshape(-1), keys[:, 1:]])
        self._first = np.cumsum([0, *sizes[:-1]])
        self._group = np.repeat(np.arange(len(groups)), sizes)
        self._plain = (pattern[points] == UNTRUNCATED).astype(np.float64)
        before = forward_pass(self._x, R, b, lambda layer, _: self._plain[:, layer])
        _, c, Om = velocity(before, self._plain, R, b, self._target, self._weight)
        self._others = whole[0] - c, whole[1] - Om
        self._z = before.z

    def about(self, weight: Array) -> LocalField:
        """Return the field about these weights (m,)."""
        h = self.weighted(weight)
        i, layer, r = self._members.T
        state = forward_pass(self._x, self._R, self._b, lambda l, _: h[:, l])  # noqa: E741
        w, c, Om = velocity(state, h, self._R, self._b, self._target, self._weight)
        _, gradients = adjoint(self._members, state.z, h, self._R)
        jump = -self._weight[i] * w[i, layer, r]
        directions = np.add.reduceat(jump[:, None] * gradients, self._first, axis=0)
        moving = tangent(self._others[0] + c, self._others[1] + Om) - weight @ directions
        return LocalField(moving, gradients[self._first], directions)

    def weighted(self, weight: Array) -> Array:
        """Return h (k, L, Q) of the points on the surfaces, for weights (m,)."""
        h: Array = self._plain.copy()
        i, layer, r = self._members.T
        h[i, layer, r] = weight[self._group]
        return h

    def held_normals(self) -> Array:
        """Return ∇z (m, d) of the surfaces if they are held: what is pinned in earlier layers passes nothing on."""
        return adjoint(self._members[self._first], self._z, self._plain, self._R)[1]

    def off(self, weight: Array) -> tuple[Array, Array]:
        """Return how far the state is from each surface (m,), and the surfaces' ∇z (m, d)."""
        h = self.weighted(weight)
        z = forward_pass(self._x, self._R, self._b, lambda layer, _: h[:, layer]).z
        one_each = self._members[self._first]
        return z[tuple(one_each.T)], adjoint(one_each, z, h, self._R)[1]


def standing_still(on_pins: FieldOnSurfaces, weight: Array) -> tuple[LocalField, Array]:
    """Bring the pinned weights (m,) to where all pinned coordinates stand still; return the field about them, and them.

    The last values are right but for rounding, or for weights of one point in several layers, in which the field is
    multilinear: Newton's iteration.
    """
    local = on_pins.about(weight)
    for _ in range(MAX_HOLD):
        field = local.velocity + weight @ local.directions
        speed = local.normals @ field
        if np.abs(speed).max() <= HOLD * np.abs(field).max():
            break
        inverse = np.linalg.pinv(local.normals @ local.directions.T, rcond=1e-11)
        weight = weight - inverse @ speed
        local = on_pins.about(weight)
    return local, weight


def split_tangent(vectors: Array, layers: int, dim: int) -> tuple[Array, Array]:
    """Return c (m, L, Q) and Ω (m, L, Q, Q) of tangent vectors (m, d) in orthonormal coordinates."""
    upper = np.triu_indices(dim, 1)
    parts = vectors.reshape(vectors.shape[0], layers, dim + upper[0].size)
    c = np.ascontiguousarray(parts[..., :dim])
    Om = np.zeros((vectors.shape[0], layers, dim, dim))
    Om[..., upper[0], upper[1]] = parts[..., dim:] / np.sqrt(2.0)
    return c, Om - np.swapaxes(Om, -1, -2)
