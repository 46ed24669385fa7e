"""Flow `general` (Theorem 5.1, corrected): every layer sees every cluster, any number of layers."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.event_rows import EventRows
from truncflow_cli.flows.general_field import FieldOnSurfaces, split_tangent, standing_still
from truncflow_cli.flows.general_groups import common_side, grouped, several_layers
from truncflow_cli.flows.interface import Change, EventRow, ManySteps, Surfaces
from truncflow_cli.flows.pattern_state import pattern_state, restore_pattern
from truncflow_cli.flows.points import NetworkPoints
from truncflow_cli.flows.taylor import TaylorFlow
from truncflow_cli.kernels import Backend, network_kernel
from truncflow_cli.kernels.interface import Group, Key, NetworkKernel
from truncflow_cli.network_field import Pass, forward_pass, tangent, velocity
from truncflow_cli.patterns import PINNED, TRUNCATED, UNTRUNCATED
from truncflow_cli.problem import Array, IntArray, Pattern
from truncflow_cli.saved_state import Saved, State, number, under
from truncflow_cli.solver.descent import APART, NEAR, Descent, plain_descent, size_of
from truncflow_cli.solver.step_control import StepControl, next_octave

MAX_ORDER = 20
STEP_SHARE = 0.1
#: Accuracy to which the series are summed in any case. Surfaces of several points and layers meet at one instant
#: here; that they do is only seen when their times agree to rounding.
SERIES = 1e-14
NOISE = 128 * np.finfo(np.float64).eps
#: Damping of the way back onto the pinned surfaces.
DAMPING = 1e-2
#: How far from their surfaces, in units of the data, pinned coordinates may go in a step.
DRIFT = 1e-12
#: A field above this, relative to the state, is not at rest, however it has been summed.
MOVES = 1e-11


class GeneralFlow(TaylorFlow):
    """All β^(ℓ) and R_ℓ together, in coordinates centred on the data.

    The state is R (L, Q, Q), b_ℓ = R_ℓ(β^(ℓ) + x̄) (L, Q) and the dissipated energy.
    """

    kernel: NetworkKernel

    def __init__(
        self,
        data: NetworkPoints,
        R: Array,
        beta: Array,
        *,
        rtol: float,
        atol: float,
        order: int = MAX_ORDER,
        backend: Backend = "compiled",
    ) -> None:
        self.data = data
        floor = max(float(np.abs(data.y_tilde).max()), atol / rtol)
        self.kernel = network_kernel(backend)(
            data, R, tolerance=min(STEP_SHARE * rtol, SERIES), floor=floor, order=order
        )
        super().__init__(self.kernel, data.center)
        self.kernel.orthonormalise()
        self.b[:] = np.einsum("lab,lb->la", self.R, beta + data.center)

        layers = self.b.shape[0]
        extent = float(np.abs(self.b).max())
        self.noise = self.kernel.noise
        self.noise[:] = NOISE * layers * (data.length + extent)
        way = max(data.spread, 1e-3 * extent) or 1.0
        self.kernel.set_scale(way, NOISE * layers * max(1.0, extent / way))
        z = forward_pass(data.x, self.R, self.b, lambda layer, z: self._settle_start(layer, z)).z
        self._on_start = np.nonzero(np.abs(z) <= self.noise[:, None, None])
        self.log = EventRows(data, self.pattern)

        self.pins: list[Group] = []
        self._parts = False
        self._chosen: list[Group] = []
        self._whole_field: tuple[Array, Array] | None = None
        self.kernel.gather()

    def _settle_start(self, layer: int, z: Array) -> Array:
        self.pattern[:, layer] = np.where(z > self.noise[:, None], UNTRUNCATED, TRUNCATED)
        return np.asarray(self.pattern[:, layer] == UNTRUNCATED)

    # -- the field ---------------------------------------------------------------------------------------------

    def _weights(self, groups: list[Group], weight: Array) -> Array:
        """Return h (n, L, Q): the pattern, with ``weight`` (m,) on the groups' surfaces."""
        h: Array = (self.pattern == UNTRUNCATED).astype(np.float64)
        for members, value in zip(groups, weight, strict=True):
            for key in members:
                h[key] = value
        return h

    def _field_on(self, groups: list[Group]) -> FieldOnSurfaces:
        """Return the field at the present state, for any weights of these surfaces; the pins are among them."""
        return FieldOnSurfaces(self.data, self.R, self.b, self.pattern, groups, self._whole())

    def _whole(self) -> tuple[Array, Array]:
        """Return c and Ω of all points, by cells, with pinned ones as truncated."""
        if self._whole_field is None:
            self._whole_field = self.kernel.field()
        return self._whole_field

    # -- the series --------------------------------------------------------------------------------------------

    def expand(self, reach: float) -> float:
        """See ``PiecewiseFlow.expand``."""
        inverse: Array = np.empty((0, 0))
        if self.pins:
            self._stay_on_surfaces()
            field = self._field_on(self.pins)
            local, self.pin_weight = standing_still(field, self.pin_weight)
            inverse = np.asarray(np.linalg.pinv(field.held_normals() @ local.directions.T, rcond=1e-11))
        h = self._expand(reach, inverse)
        self._whole_field = None
        held_for = self._held_for(h)
        self._parts = held_for < h
        return held_for

    def _held_for(self, h: float) -> float:
        """Return how long, up to h, the pinned coordinates stay where they are.

        Surfaces that touch to first order part later: one set of weights holds them all for a moment only. Where that
        is over the state is moved back onto them, and the weights are those of surfaces that differ.
        """
        if not self.pins or not h > 0.0:
            return h
        off = np.abs(self.kernel.drift()[1:])
        orders = np.arange(1, len(off) + 1)[:, None]
        allowed = DRIFT * self._size
        if (off * h**orders).max() <= allowed:
            return h
        return float(((allowed / np.maximum(off, np.finfo(float).tiny)) ** (1.0 / orders)).min())

    def _stay_on_surfaces(self) -> None:
        """Move the state back onto the pinned surfaces (rounding and the last bits of the series drift off them)."""
        off, normals = self._field_on(self.pins).off(self.pin_weight)
        if np.abs(off).max() <= 1e-15 * (self.data.length.max() + np.abs(self.b).max()):
            return
        # Damped: surfaces at a small angle would have it move along them by more than it is off.
        square = normals.T @ normals
        damping = DAMPING * np.linalg.norm(normals, axis=1).max() ** 2
        self._move(-np.linalg.solve(square + damping * np.eye(square.shape[0]), normals.T @ off))

    def _move(self, back: Array) -> None:
        """Move the state by a tangent vector (d,)."""
        c, Om = split_tangent(back[None], *self.b.shape)
        self.b += c[0] + np.einsum("lij,lj->li", Om[0], self.b)
        self.R += np.einsum("lij,lja->lia", Om[0], self.R)
        self.kernel.orthonormalise()
        self._whole_field = None

    def _pinned_keys(self) -> list[Key]:
        return [key for members in self.pins for key in members]

    def _pinned_weights(self) -> list[float]:
        """Return the weight of each of ``_pinned_keys``."""
        return np.repeat(self.pin_weight, [len(members) for members in self.pins]).tolist()

    def next_change(self, h: float) -> Change | None:
        """See ``PiecewiseFlow.next_change``; ``what`` may also be ("parting", None)."""
        change = super().next_change(h)
        return Change(h, ("parting", None)) if change is None and self._parts else change

    def observe(self, t: float) -> list[tuple[float, EventRow]]:
        """See ``PiecewiseFlow.observe``: here every surface acts on the field."""
        return []

    def advance(self, t: float) -> None:
        """See ``PiecewiseFlow.advance``."""
        super().advance(t)
        self._whole_field = None

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> ManySteps | None:
        """See ``StepsMany.step_many``."""
        octave = next_octave(control.s)
        many = self._step_many(control, s_end, min(until, octave), saved)
        self._whole_field = None
        if many is None:
            return None
        return self._passed(many, self.log.passed(many.crossings), may_rest=many.control.s >= octave)

    # -- going on later ----------------------------------------------------------------------------------------

    def state(self) -> State:
        """See ``PiecewiseFlow.state``; the cells' sums as they have been summed up, in their order."""
        members = np.array(self._pinned_keys(), dtype=np.int64).reshape(-1, 3)
        sizes = np.array([len(group) for group in self.pins], dtype=np.int64)
        return {
            "R": self.R,
            "b": self.b,
            "energy": number(self.kernel.energy),
            **pattern_state(self.pattern),
            **under("pins", {"member": members, "members": sizes, "weight": self.pin_weight}),
            **under("cells", self.kernel.sums()),
        }

    def caches(self) -> State:
        """See ``PiecewiseFlow.caches``."""
        return self.kernel.caches()

    def restore(self, saved: Saved, caches: Saved | None) -> None:
        """See ``PiecewiseFlow.restore``."""
        self.R[:] = saved.array("R", "f8", self.R.shape)
        self.b[:] = saved.array("b", "f8", self.b.shape)
        self.kernel.energy = saved.number("energy")
        restore_pattern(self.pattern, saved)
        self._restore_pins(saved.part("pins"))
        self.kernel.restore_sums(saved.part("cells"))
        self._whole_field = None
        self.log = EventRows(self.data, self.pattern)
        if caches is not None:
            self.kernel.restore_caches(caches)

    def _restore_pins(self, saved: Saved) -> None:
        """Take back the pinned surfaces: all members, a row each, how many each pin has, and the pins' weights."""
        shape = self.pattern.shape
        members = saved.array("member", "i8", (None, 3), (0, max(shape)))
        size = saved.array("members", "i8", (None,), (1, len(members) + 1))
        if size.sum() != len(members) or (members >= np.array(shape)).any():
            raise saved.misfit("member")
        keys = [(int(i), int(layer), int(r)) for i, layer, r in members]
        ends = np.cumsum(size).tolist()
        self.pins = [tuple(keys[end - n : end]) for end, n in zip(ends, size.tolist(), strict=True)]
        self.pin_weight = saved.array("weight", "f8", size.shape)
        for key in keys:
            self.pattern[key] = PINNED
        self.kernel.hold(self.pins)

    # -- events ------------------------------------------------------------------------------------------------

    def conditions_at_start(self) -> list[EventRow]:
        """See ``PiecewiseFlow.conditions_at_start``."""
        return self.log.at_start()

    def surfaces(self, change: Change | None) -> Surfaces:
        """See ``PiecewiseFlow.surfaces``: the pinned ones, the one that left, and all others at zero to rounding."""
        leaving: set[Key] = set()
        if change is None:
            zero = self._on_start
        else:
            kind, which = change.what
            if kind != "parting":
                leaving.update([which] if kind == "surface" else self.pins[which])
            zero = self._at_zero()
        near = zip(*(index.tolist() for index in zero), strict=True)
        pinned = dict(zip(self._pinned_keys(), self._pinned_weights(), strict=True))
        chosen = grouped({*near, *pinned, *leaving}, self.pattern)
        return self._describe(chosen, pinned, self.pattern, leaving)

    def _at_zero(self) -> tuple[IntArray, ...]:
        """Return the points, layers and coordinates of all surfaces on which the state lies, to rounding."""
        points = self.kernel.close()
        plain = self.pattern[points] == UNTRUNCATED
        z = forward_pass(self.data.x[points], self.R, self.b, lambda layer, _: plain[:, layer]).z
        index, layer, r = np.nonzero(np.abs(z) <= 2 * self.noise[points, None, None])
        return points[index], layer, r

    def _describe(
        self, chosen: list[Group], pinned: dict[Key, float], pattern: Pattern, leaving: set[Key]
    ) -> Surfaces:
        self._chosen = chosen
        weight = [
            np.mean([pinned.get(key, float(pattern[key] == UNTRUNCATED)) for key in members])
            for members in chosen
        ]
        return Surfaces(
            side=np.array([common_side(members, pattern) for members in chosen], dtype=np.int64),
            weight=np.array(weight, dtype=np.float64),
            leaving=np.array([not leaving.isdisjoint(members) for members in chosen], dtype=np.int64),
            field=self._field_on(chosen).about,
            descend=(lambda: self._descend(chosen)) if several_layers(chosen) else None,
        )

    def _descend(self, chosen: list[Group]) -> IntArray:
        """See ``Surfaces.descend``."""
        return self._plain_descent(chosen).sides

    def _plain_descent(self, chosen: list[Group]) -> Descent:
        on = np.zeros(self.pattern.shape, dtype=bool)
        for key in [key for members in chosen for key in members]:
            on[key] = True
        surfaces = [members[0] for members in chosen]
        data, untruncated = self.data, self.pattern == UNTRUNCATED

        def moving(state: Pass, h: Array, R: Array, b: Array) -> tuple[Array, Array]:
            return velocity(state, h, R, b, data.target, data.weight)[1:]

        size = size_of(self.b, data.spread, data.y_tilde)
        return plain_descent(data.x, size, moving, self.R, self.b, untruncated, on, surfaces, self.noise)

    def descent_fallback(self) -> tuple[float, list[EventRow], Surfaces]:
        """See ``flows.interface.DescentFallback``."""
        plain = self.pattern == UNTRUNCATED
        z = forward_pass(self.data.x, self.R, self.b, lambda layer, _: plain[:, layer]).z
        near = np.nonzero(np.abs(z) <= NEAR * self._size * (1.0 + np.abs(z).max()))
        keys = zip(*(index.tolist() for index in near), strict=True)
        chosen = grouped({*keys, *self._pinned_keys()}, self.pattern)
        end = self._plain_descent(chosen)
        self.R[:], self.b[:] = end.R, end.b
        self._whole_field = None
        # What has come clear of its surface goes to that side; what is still close to it is settled anew, on it.
        self._chosen = chosen
        close = end.sides == PINNED
        rows = self.apply(np.where(close, (end.z > 0.0).astype(np.int64), end.sides), np.zeros(len(chosen)))
        still = [key for members, is_close in zip(chosen, close, strict=True) if is_close for key in members]
        onto = np.zeros(end.path.size)
        if still:
            groups = grouped(still, self.pattern)
            weight = np.array([common_side(members, self.pattern) for members in groups], dtype=np.float64)
            off, normals = self._field_on(groups).off(weight)
            onto[:] = -np.linalg.lstsq(normals, off, rcond=APART)[0]
            self._move(onto)
        self.kernel.energy += end.energy(onto)
        self.kernel.orthonormalise()
        self.kernel.moved()
        self._whole_field = None
        return end.elapsed, rows, self._describe(grouped(still, self.pattern), {}, self.pattern, set())

    def regroup(self, side: IntArray, weight: Array) -> Surfaces | None:
        """See ``PiecewiseFlow.regroup``: points come to coincide, or part, as an earlier layer's surface is settled."""
        pattern, pinned = self._settled(side, weight)
        chosen = grouped([key for members in self._chosen for key in members], pattern)
        if chosen == self._chosen:
            return None
        return self._describe(chosen, pinned, pattern, set())

    def _settled(self, side: IntArray, weight: Array) -> tuple[Pattern, dict[Key, float]]:
        """Return the pattern in which the chosen surfaces have these sides, and the weights of the pinned ones."""
        pattern = self.pattern.copy()
        pinned: dict[Key, float] = {}
        for members, s, value in zip(self._chosen, side.tolist(), weight.tolist(), strict=True):
            for key in members:
                pattern[key] = s
                if s == PINNED:
                    pinned[key] = value
        return pattern, pinned

    def apply(self, side: IntArray, weight: Array) -> list[EventRow]:
        """See ``PiecewiseFlow.apply``."""
        pattern, pinned = self._settled(side, weight)
        events: list[EventRow] = []
        for key in [key for members in self._chosen for key in members]:
            before = int(self.pattern[key])
            self.pattern[key] = pattern[key]
            events += self.log.passage(key, before, int(pattern[key]))
        events += self.log.collapses()
        earlier = self.pins
        self.pins = grouped(pinned, self.pattern)
        self.pin_weight = np.array([np.mean([pinned[key] for key in members]) for members in self.pins])
        self.kernel.hold(self.pins)
        touched = {
            key[0] for groups in (earlier, self._chosen, self.pins) for members in groups for key in members
        }
        self.kernel.move(np.array(sorted(touched), dtype=np.int64))
        self._whole_field = None
        return events

    def at_rest(self) -> list[EventRow]:
        """See ``PiecewiseFlow.at_rest``."""
        data, size = self.data, self._size
        if np.abs(self._moving()).max() > MOVES * max(size, size**2):
            return []  # the usual case, which does not take a look at all points
        h = self._weights(self.pins, self.pin_weight)
        state = forward_pass(data.x, self.R, self.b, lambda layer, _: h[:, layer])
        _, c, Om = velocity(state, h, self.R, self.b, data.y_tilde[data.label], data.weight)
        eps = float(np.finfo(np.float64).eps)
        if np.abs(c).max() > 8 * eps * size or np.abs(Om).max() > 32 * eps * size**2:
            return []
        return self.log.rest()

    @property
    def _size(self) -> float:
        """How large data and state are (a length)."""
        return float(np.abs(self.b).max() + np.abs(self.data.y_tilde).max() + self.data.spread)

    def _moving(self) -> Array:
        """Return the field (d,), summed by cells."""
        if not self.pins:
            return tangent(*self._whole())
        local = self._field_on(self.pins).about(self.pin_weight)
        return local.velocity + self.pin_weight @ local.directions
