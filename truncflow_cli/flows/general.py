"""Flow `general` (Theorem 5.1, corrected): every layer sees every cluster, any number of layers."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.event_rows import EventRows
from truncflow_cli.flows.interface import Change, ManySteps
from truncflow_cli.flows.points import NetworkPoints
from truncflow_cli.flows.surfaces import members, standing_still
from truncflow_cli.flows.taylor import TaylorFlow
from truncflow_cli.kernels import Backend, network_kernel
from truncflow_cli.kernels.interface import Group, NetworkKernel
from truncflow_cli.network_field import forward_pass, velocity
from truncflow_cli.problem import PINNED, TRUNCATED, UNTRUNCATED, Array, IntArray
from truncflow_cli.saved_state import Saved, State, under
from truncflow_cli.solver.step_control import StepControl, next_octave

MAX_ORDER = 20
STEP_SHARE = 0.1
#: Accuracy to which the series are summed in any case. Surfaces of several points and layers meet at one instant
#: here; that they do is only seen when their times agree to rounding.
SERIES = 1e-14
NOISE = 128 * np.finfo(np.float64).eps
#: How far from their surfaces, in units of the data, pinned coordinates may go in a step.
DRIFT = 1e-12


class GeneralFlow(TaylorFlow[NetworkKernel, NetworkPoints]):
    """All β^(ℓ) and R_ℓ together, in coordinates centred on the data.

    The state is R (L, Q, Q), b_ℓ = R_ℓ(β^(ℓ) + x̄) (L, Q) and the dissipated energy.
    """

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
        floor = max(float(np.abs(data.y_tilde).max()), atol / rtol)
        kernel = network_kernel(backend)(
            data, R, tolerance=min(STEP_SHARE * rtol, SERIES), floor=floor, order=order
        )
        super().__init__(kernel, data, beta)
        layers = self.b.shape[0]
        extent = float(np.abs(self.b).max())
        self.noise = self.kernel.noise
        self.noise[:] = NOISE * layers * (data.length + extent)
        way = max(data.spread, 1e-3 * extent) or 1.0
        self.kernel.set_scale(way, NOISE * layers * max(1.0, extent / way))
        z = forward_pass(data.x, self.R, self.b, lambda layer, z: self._settle_start(layer, z)).z
        on_start = np.nonzero(np.abs(z) <= self.noise[:, None, None])
        self._on_start = on_start[0], on_start[1], on_start[2]
        self.log = EventRows(data, self.pattern)
        self._parts = False
        self.kernel.gather()

    def _settle_start(self, layer: int, z: Array) -> Array:
        self.pattern[:, layer] = np.where(z > self.noise[:, None], UNTRUNCATED, TRUNCATED)
        return np.asarray(self.pattern[:, layer] == UNTRUNCATED)

    def _noise(self, rows: slice) -> Array:
        return self.noise[rows]

    def _sum_field(self) -> tuple[Array, Array]:
        return self.kernel.field()

    def expand(self, reach: float) -> float:
        """See ``PiecewiseFlow.expand``."""
        h = super().expand(reach)
        held_for = self._held_for(h)
        self._parts = held_for < h
        return held_for

    def _sliding_inverse(self) -> Array:
        """Return the pseudo-inverse about the weights with which the pinned coordinates stand still."""
        field = self._field_on(self.pins)
        local, self.pin_weight = standing_still(field, self.pin_weight)
        return np.asarray(np.linalg.pinv(field.held_normals() @ local.directions.T, rcond=1e-11))

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

    def next_change(self, h: float) -> Change | None:
        """See ``PiecewiseFlow.next_change``; ``what`` may also be ("parting", None)."""
        change = super().next_change(h)
        return Change(h, ("parting", None)) if change is None and self._parts else change

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> ManySteps | None:
        """See ``StepsMany.step_many``."""
        octave = next_octave(control.s)
        many = self._step_many(control, s_end, min(until, octave), saved)
        return None if many is None else self._passed(many, may_rest=many.control.s >= octave)

    # -- going on later ----------------------------------------------------------------------------------------

    def state(self) -> State:
        """See ``PiecewiseFlow.state``; the cells' sums as they have been summed up, in their order."""
        sizes = np.array([len(group) for group in self.pins], dtype=np.int64)
        pins = {"member": members(self.pins), "members": sizes, "weight": self.pin_weight}
        return {**super().state(), **under("pins", pins), **under("cells", self.kernel.sums())}

    def restore(self, saved: Saved, caches: Saved | None) -> None:
        """See ``PiecewiseFlow.restore``."""
        super().restore(saved, caches)
        self._restore_pins(saved.part("pins"))
        self.kernel.restore_sums(saved.part("cells"))
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
        pins: list[Group] = [tuple(keys[end - n : end]) for end, n in zip(ends, size.tolist(), strict=True)]
        for key in keys:
            self.pattern[key] = PINNED
        self._hold(pins, saved.array("weight", "f8", size.shape))

    # -- events ------------------------------------------------------------------------------------------------

    def _at_zero(self, *, at_start: bool) -> tuple[IntArray, IntArray, IntArray]:
        if at_start:
            return self._on_start
        points = self.kernel.close()
        plain = self.pattern[points] == UNTRUNCATED
        z = forward_pass(self.data.x[points], self.R, self.b, lambda layer, _: plain[:, layer]).z
        index, layer, r = np.nonzero(np.abs(z) <= 2 * self.noise[points, None, None])
        return points[index], layer, r

    def _count(self, surfaces: IntArray, before: IntArray, after: IntArray) -> None:
        self.kernel.move(np.unique(surfaces[:, 0]))

    def _field_at_rest(self) -> tuple[Array, Array]:
        h: Array = (self.pattern == UNTRUNCATED).astype(np.float64)
        for group, value in zip(self.pins, self.pin_weight, strict=True):
            h[tuple(members([group]).T)] = value
        data = self.data
        state = forward_pass(data.x, self.R, self.b, lambda layer, _: h[:, layer])
        return velocity(state, h, self.R, self.b, data.target, data.weight)[1:]
