"""Flow `general` (Theorem 5.1, corrected): every layer sees every cluster, any number of layers."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.general_cells import CellSums
from truncflow_cli.flows.general_data import GeneralData
from truncflow_cli.flows.general_events import NetworkLog
from truncflow_cli.flows.general_field import FieldOnSurfaces, split_tangent, standing_still
from truncflow_cli.flows.general_groups import Group, Key, common_side, grouped, several_layers
from truncflow_cli.flows.general_series import GeneralSeries, restored_output, sampled
from truncflow_cli.flows.general_state import (
    cells_state,
    deadlines_state,
    pins_state,
    restore_cells,
    restore_deadlines,
    restored_pins,
)
from truncflow_cli.flows.interface import Change, Counters, EventRow, ManySteps, Surfaces
from truncflow_cli.flows.layer_state import pattern_state, restore_pattern
from truncflow_cli.kernels import network as compiled
from truncflow_cli.kernels.network import Accuracy
from truncflow_cli.kernels.series import first_exit
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
LAMBDA_NOISE = 1e-12
#: Damping of the way back onto the pinned surfaces.
DAMPING = 1e-2
#: How far from their surfaces, in units of the data, pinned coordinates may go in a step.
DRIFT = 1e-12
#: A field above this, relative to the state, is not at rest, however it has been summed.
MOVES = 1e-11


class GeneralFlow:
    """All β^(ℓ) and R_ℓ together, in coordinates centred on the data.

    The state is R (L, Q, Q), b_ℓ = R_ℓ(β^(ℓ) + x̄) (L, Q) and the dissipated energy.
    """

    def __init__(
        self, data: GeneralData, R: Array, beta: Array, *, rtol: float, atol: float, order: int = MAX_ORDER
    ) -> None:
        self.data = data
        self.counters = Counters()
        floor = max(float(np.abs(data.y_tilde).max()), atol / rtol)
        accuracy = Accuracy(min(STEP_SHARE * rtol, SERIES), floor, data.spread)
        self.cells = CellSums(data, R, beta.shape[0], order, accuracy)
        self.R, self.b, self.pattern = self.cells.R, self.cells.b, self.cells.pattern
        self.cells.act(compiled.POLISH)
        self.b[:] = np.einsum("lab,lb->la", self.R, beta + data.center)

        layers = self.b.shape[0]
        extent = float(np.abs(self.b).max())
        self.noise = self.cells.cloud.noise
        self.noise[:] = NOISE * layers * (data.length + extent)
        way = max(data.spread, 1e-3 * extent) or 1.0
        self.cells.watch.scale[:] = way, compiled.SLACK * NOISE * layers * max(1.0, extent / way)
        z = forward_pass(data.x, self.R, self.b, lambda layer, z: self._settle_start(layer, z)).z
        self._on_start = np.nonzero(np.abs(z) <= self.noise[:, None, None])
        self.log = NetworkLog(data, self.pattern)

        self.pins: list[Group] = []
        self.pin_weight = np.empty(0)
        self._parts = False
        self._chosen: list[Group] = []
        self._whole_field: tuple[Array, Array] | None = None
        self.cells.gather(self.pins)

    @property
    def energy(self) -> float:
        """The integral of the squared gradient norm so far."""
        return float(self.cells.clock[compiled.ENERGY])

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
            self._whole_field = self.cells.field()
        return self._whole_field

    # -- the series --------------------------------------------------------------------------------------------

    def expand(self, reach: float) -> float:
        """See ``PiecewiseFlow.expand``."""
        cells = self.cells
        if cells.cells.tally[compiled.UPDATES] > compiled.REFRESH:
            cells.gather(self.pins)
        if self.pins:
            self._stay_on_surfaces()
            field = self._field_on(self.pins)
            local, self.pin_weight = standing_still(field, self.pin_weight)
            cells.held.lam[0] = self.pin_weight
            cells.held.inverse[:] = np.linalg.pinv(field.held_normals() @ local.directions.T, rcond=1e-11)
            self.counters.slides += 1
        cells.clock[compiled.REACH] = reach
        cells.act(compiled.EXPAND)
        cells.clock[compiled.NEARBY] = compiled.SOON * reach
        self._whole_field = None
        self.counters.steps += 1
        self.counters.orders += cells.order
        h = float(cells.clock[compiled.LENGTH])
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
        pin, n = np.arange(len(self.pins)), self.cells.order
        _, layer, r = self.cells.held.surface.T
        off = np.abs(self.cells.held.z[1 : n + 1, pin, layer, r])
        orders = np.arange(1, n + 1)[:, None]
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
        self.cells.act(compiled.POLISH)
        self._whole_field = None

    def _pinned_keys(self) -> list[Key]:
        return [key for members in self.pins for key in members]

    def _pinned_weights(self) -> list[float]:
        """Return the weight of each of ``_pinned_keys``."""
        return np.repeat(self.pin_weight, [len(members) for members in self.pins]).tolist()

    def next_change(self, h: float) -> Change | None:
        """See ``PiecewiseFlow.next_change``; ``what`` is ("surface", i, ℓ, r) or ("weight", k)."""
        cells = self.cells
        cells.counts[:] = 0
        cells.clock[compiled.LENGTH] = h
        entry = cells.act(compiled.CROSS)
        t = float(cells.clock[compiled.LENGTH])
        self.counters.candidates += int(cells.counts[compiled.CANDIDATES])
        self.counters.roots += int(cells.counts[compiled.ROOTS])
        what: tuple[str, int, int, int] | None = None
        if entry >= 0:
            hit, r = divmod(entry, self.b.shape[1])
            layer, i = cells.watch.hit[hit].tolist()
            what = ("surface", i, layer, r)
        for pin in range(len(self.pins)):
            c = cells.held.lam[: cells.order, pin].copy()
            upper = -c
            upper[0] += 1.0
            for bound in (c, upper):
                exit_ = first_exit(bound, t, LAMBDA_NOISE)
                if exit_ >= 0.0 and (exit_ < t or what is None):
                    t, what = exit_, ("weight", pin, 0, 0)
        if what is None and self._parts:
            what = ("parting", 0, 0, 0)
        return None if what is None else Change(float(t), what)

    def observe(self, t: float) -> list[tuple[float, EventRow]]:
        """See ``PiecewiseFlow.observe``: here every surface acts on the field."""
        return []

    def dense_output(self) -> GeneralSeries:
        """See ``PiecewiseFlow.dense_output``."""
        return self._series(self.cells.truncated_fraction)

    def _series(self, fraction: Array) -> GeneralSeries:
        """Return the present series, with so much truncated along it."""
        course, n = self.cells.course, self.cells.order + 1
        return GeneralSeries(
            self.data, course.R[:n].copy(), course.b[:n].copy(), course.energy[:n].copy(), fraction
        )

    def constant_output(self) -> GeneralSeries:
        """See ``PiecewiseFlow.constant_output``."""
        fraction = self.cells.truncated_fraction
        return GeneralSeries(
            self.data, self.R[None].copy(), self.b[None].copy(), np.array([self.energy]), fraction
        )

    def advance(self, t: float) -> None:
        """See ``PiecewiseFlow.advance``."""
        cells = self.cells
        cells.clock[compiled.LENGTH] = t
        cells.act(compiled.ADVANCE)
        self._whole_field = None
        for pin in range(len(self.pins)):
            self.pin_weight[pin] = np.polynomial.polynomial.polyval(t, cells.held.lam[: cells.order, pin])

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> ManySteps | None:
        """See ``StepsMany.step_many``."""
        if self.pins:
            return None
        cells = self.cells
        clock, counts = cells.clock, cells.counts
        clock[[compiled.S, compiled.LOST, compiled.REACH, compiled.BEFORE]] = (
            control.s,
            control.lost,
            control.reach,
            control.s,
        )
        octave = next_octave(control.s)
        clock[[compiled.S_END, compiled.UNTIL]] = s_end, min(until, octave)
        cells.sample_at(saved, self.data.n_clusters)
        counts[:] = 0
        self._whole_field = None
        if cells.act(compiled.AHEAD) == 0:
            return None
        self.counters.add(*counts[: compiled.ROOTS + 1].tolist())
        reached = StepControl(
            float(clock[compiled.S]), float(clock[compiled.LOST]), float(clock[compiled.REACH])
        )
        if counts[compiled.UNUSUAL] == 0:
            start = float(clock[compiled.BEFORE])
            series = self._series(cells.state.truncated / self.data.total)
        else:
            start, series = reached.s, self.constant_output()
        events = self.log.passed(cells.log, int(counts[compiled.EVENTS]))
        samples = sampled(self.data, cells.samples, int(counts[compiled.SAMPLED]))
        return ManySteps(reached, start, series, events, samples, may_rest=reached.s >= octave)

    # -- going on later ----------------------------------------------------------------------------------------

    def state(self) -> State:
        """See ``PiecewiseFlow.state``."""
        return {
            "R": self.R,
            "b": self.b,
            "energy": number(self.energy),
            **pattern_state(self.pattern),
            **under("pins", pins_state(self.pins, self.pin_weight)),
            **under("cells", cells_state(self.cells)),
        }

    def caches(self) -> State:
        """See ``PiecewiseFlow.caches``."""
        return deadlines_state(self.cells.watch)

    def restore(self, saved: Saved, caches: Saved | None) -> None:
        """See ``PiecewiseFlow.restore``."""
        self.R[:] = saved.array("R", "f8", self.R.shape)
        self.b[:] = saved.array("b", "f8", self.b.shape)
        self.cells.clock[compiled.ENERGY] = saved.number("energy")
        restore_pattern(self.pattern, saved)
        self.pins, self.pin_weight = restored_pins(self.pattern.shape, saved.part("pins"))
        for key in self._pinned_keys():
            self.pattern[key] = PINNED
        self.cells.hold(self.pins)
        restore_cells(self.cells, self.pins, saved.part("cells"))
        self._whole_field = None
        self.log = NetworkLog(self.data, self.pattern)
        if caches is not None:
            restore_deadlines(self.cells.watch, caches)

    def restored_output(self, saved: Saved) -> GeneralSeries:
        """See ``PiecewiseFlow.restored_output``."""
        return restored_output(self.data, self.b.shape[0], saved)

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
            kind, *where = change.what
            if kind != "parting":
                leaving.update([tuple(where)] if kind == "surface" else self.pins[where[0]])
            zero = self._at_zero()
        near = zip(*(index.tolist() for index in zero), strict=True)
        pinned = dict(zip(self._pinned_keys(), self._pinned_weights(), strict=True))
        chosen = grouped({*near, *pinned, *leaving}, self.pattern)
        return self._describe(chosen, pinned, self.pattern, leaving)

    def _at_zero(self) -> tuple[IntArray, ...]:
        """Return the points, layers and coordinates of all surfaces on which the state lies, to rounding."""
        watch = self.cells.watch
        close = watch.due - watch.way[:, compiled.GONE, None] <= watch.scale[1]
        points = np.flatnonzero(close.any(axis=0))
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
        self.cells.clock[compiled.ENERGY] += end.energy(onto)
        self.cells.act(compiled.POLISH)
        self.cells.forget_deadlines()
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
        self.cells.hold(self.pins)
        touched = {
            key[0] for groups in (earlier, self._chosen, self.pins) for members in groups for key in members
        }
        self.cells.move(np.array(sorted(touched), dtype=np.int64), self.pins)
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
