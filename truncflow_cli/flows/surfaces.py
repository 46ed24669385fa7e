"""Surfaces on which the state lies: which are one and the same, and the field for any weights of their points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from truncflow_cli.flows.interface import LocalField
from truncflow_cli.flows.points import Points
from truncflow_cli.kernels.interface import Group, Key
from truncflow_cli.network_field import adjoint, forward_pass, tangent
from truncflow_cli.problem import PINNED, TRUNCATED, UNTRUNCATED, Array, IntArray, Pattern

#: Newton steps to hold pinned coordinates still, and the speed (relative to the field) at which they do.
MAX_HOLD = 8
HOLD = 1e-14


def grouped(keys: Iterable[Key], pattern: Pattern) -> list[Group]:
    """Put surfaces together that are one and the same: those of points which an earlier layer has made coincide.

    Points that are truncated in all coordinates of a layer leave it at −β^(ℓ), and share all later surfaces.
    """
    order = sorted(keys)
    where = np.array(order, dtype=np.int64).reshape(-1, 3)
    layers = np.arange(pattern.shape[1])
    closed = (pattern[where[:, 0]] == TRUNCATED).all(axis=2) & (layers < where[:, 1, None])
    last = np.where(closed, layers, -1).max(axis=1, initial=-1)
    merged = np.where(last >= 0, last, -1 - where[:, 0])
    groups: dict[tuple[int, int, int], list[Key]] = {}
    for key, into in zip(order, merged.tolist(), strict=True):
        groups.setdefault((key[1], key[2], into), []).append(key)
    return [tuple(group) for group in groups.values()]


def members(groups: Sequence[Group]) -> IntArray:
    """Return the surfaces in all groups, one after the other (k, 3)."""
    return np.array([key for group in groups for key in group], dtype=np.int64).reshape(-1, 3)


def several_layers(chosen: list[Group]) -> bool:
    """Return whether one point lies on chosen surfaces of more than one layer."""
    layers: dict[int, int] = {}
    return any(layers.setdefault(i, layer) != layer for group in chosen for i, layer, _ in group)


def common_side(group: Group, pattern: Pattern) -> int:
    """Return the side that all members of a group are on; they are held where they differ."""
    sides = {int(pattern[key]) for key in group}
    return sides.pop() if len(sides) == 1 else PINNED


class FieldOnSurfaces:
    """The field at one state, for any weights λ of ``groups`` of surfaces (m of them).

    ``whole`` is c and Ω of all points, with pinned coordinates as truncated; the few points on the surfaces are taken
    out of it, and put back with the weights asked for.
    """

    def __init__(
        self,
        data: Points,
        R: Array,
        b: Array,
        pattern: Pattern,
        groups: list[Group],
        whole: tuple[Array, Array],
        velocity: Callable[..., tuple[Array, Array, Array]],
    ) -> None:
        keys = members(groups)
        points, row = np.unique(keys[:, 0], return_inverse=True)
        sizes = [len(group) for group in groups]
        self._R, self._b = R, b
        self._x, self._weight = data.x[points], data.weight_of(points)
        self._target = data.target_of(points)
        self._members = np.column_stack([row.reshape(-1), keys[:, 1:]])
        self._first = np.cumsum([0, *sizes[:-1]])
        self._group = np.repeat(np.arange(len(groups)), sizes)
        self._plain = (pattern[points] == UNTRUNCATED).astype(np.float64)
        before = forward_pass(self._x, R, b, lambda layer, _: self._plain[:, layer])
        self._velocity = velocity
        _, c, Om = velocity(before, self._plain, R, b, self._target, self._weight)
        self._others = whole[0] - c, whole[1] - Om
        self._z = before.z

    def about(self, weight: Array) -> LocalField:
        """Return the field about these weights (m,)."""
        h = self.weighted(weight)
        i, layer, r = self._members.T
        state = forward_pass(self._x, self._R, self._b, lambda l, _: h[:, l])  # noqa: E741
        w, c, Om = self._velocity(state, h, self._R, self._b, self._target, self._weight)
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
