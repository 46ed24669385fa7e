"""Flow `separated` (Theorem 3.2): a cluster under its own layer, the other clusters watched but not acting."""

from __future__ import annotations

import numpy as np

from truncflow_cli.events import EventLog
from truncflow_cli.flows import layer_state
from truncflow_cli.flows.interface import (
    NO_SURFACES,
    Change,
    Counters,
    EventRow,
    LocalField,
    ManySteps,
    Surfaces,
)
from truncflow_cli.flows.layer_data import LayerData
from truncflow_cli.flows.layer_descent import own_descent
from truncflow_cli.flows.layer_events import LayerLog
from truncflow_cli.flows.layer_series import BLOCK, LayerSeries, sampled
from truncflow_cli.flows.moments import field
from truncflow_cli.kernels import layer as compiled
from truncflow_cli.kernels.layer import NOISE
from truncflow_cli.kernels.series import evaluate_states, first_exit
from truncflow_cli.patterns import PINNED, TRUNCATED, UNTRUNCATED
from truncflow_cli.problem import Array, IntArray, Pattern
from truncflow_cli.saved_state import Saved, State
from truncflow_cli.solver.descent import APART, NEAR, size_of
from truncflow_cli.solver.step_control import StepControl

#: Highest order of the series. Beyond it, a shorter step costs less than a longer series.
MAX_ORDER = 24
#: Share of the tolerance that one step may use up.
STEP_SHARE = 0.01
#: Rounding error of a pinned weight λ.
LAMBDA_NOISE = 1e-12
#: Entries for which the near lists have room at first.
ROOM = 1024
#: The first step is as long as its series reaches: nearly every coordinate might cross in it, and would be listed. Of
#: more than so many, only those are that might cross in its beginning, where so many do if all do by its end.
MANY, LIKELY = 1 << 18, 10_000
#: Events that ``step_many`` passes at most.
EVENTS_AHEAD = 1024


#: A point, by its row, and a coordinate of it.
Surface = tuple[int, int]


class LayerFlow:
    """β^(ℓ) and R_ℓ under the points of cluster ℓ, in coordinates centred on the cluster.

    The state is R (Q, Q), b = R(β + x̄) (Q,) and the dissipated energy; shifting x by −x̄, β by +x̄ and ỹ by −x̄
    changes nothing else, and keeps the moments free of cancellation.
    """

    def __init__(
        self,
        data: LayerData,
        R: Array,
        beta: Array,
        *,
        rtol: float,
        atol: float,
        printed: bool,
        order: int = MAX_ORDER,
    ) -> None:
        self.data = data
        self.printed = printed
        self.counters = Counters()
        dim = data.dim
        self.R = np.array(R, dtype=np.float64, order="C")
        self.b = np.empty(dim)
        self._state = compiled.State(
            self.R, self.b, np.empty_like(self.R), np.empty_like(self.b), np.zeros(dim)
        )
        self._clock = np.zeros(compiled.CLOCK)
        self._counts = np.zeros(compiled.COUNTS, np.int64)
        self._points = compiled.Points(
            data.x, data.length, data.multiplicity, np.empty(data.x.shape, np.int8), data.y_tilde
        )
        self.pattern: Pattern = self._points.pattern
        self._moments = compiled.Moments(
            np.zeros((dim, dim + 1)),
            np.zeros((dim, dim, dim + 1)),
            np.array([data.total]),
            np.zeros(1, np.int64),
        )
        self._accuracy = compiled.Accuracy(not printed, STEP_SHARE * rtol, atol / rtol, data.spread)
        self._motion = compiled.motion_arrays(dim, order)
        self._work = compiled.work_arrays(dim, order)
        self._near = compiled.near_lists(dim, compiled.LEVELS, ROOM)
        self._log = self._room_for_events(EVENTS_AHEAD)
        self._samples = compiled.sample_arrays(np.empty(0), dim)
        self._order_limit = order
        self._hold(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))

        self._act(compiled.POLISH)
        self.b[:] = self.R @ (np.asarray(beta, dtype=np.float64) + data.center)
        for part in range(0, data.x.shape[0], BLOCK):
            block = slice(part, part + BLOCK)
            self.pattern[block] = np.where(
                self._coordinates(block) > self._noise(block), UNTRUNCATED, TRUNCATED
            )
        self.log = LayerLog(data, self.pattern)
        self._act(compiled.SUM)
        self._on_surface: tuple[IntArray, IntArray] = (self.pin_point, self.pin_row)

    @property
    def energy(self) -> float:
        """The integral of the squared gradient norm so far."""
        return float(self._clock[compiled.ENERGY])

    def _act(self, task: int) -> int:
        """Let the compiled code do something, see ``kernels.layer.act``."""
        result = compiled.act(
            task, self._state, self._clock, self._points, self._moments, self._motion, self._work, self._pins,
            self._near, self._accuracy, self._log, self._samples, self._counts,
        )  # fmt: skip
        return int(result)

    @staticmethod
    def _room_for_events(size: int) -> compiled.Log:
        return compiled.Log(
            np.empty(size), np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int8)
        )

    def _coordinates(self, rows: slice) -> Array:
        """Return z (m, Q) of these rows of ``data.x``."""
        return self.data.x[rows] @ self.R.T + self.b

    def _noise(self, rows: slice) -> Array:
        """Return the rounding errors (m, 1) of z."""
        return np.asarray(NOISE * (self.data.length[rows] + np.abs(self.b).max()))[:, None]

    def _hold(self, point: IntArray, row: IntArray, weight: Array) -> None:
        """Pin these surfaces, and no others, with these weights."""
        self.pin_point, self.pin_row, self.pin_weight = point, row, weight.copy()
        mass = self.data.multiplicity[point] / self.data.total
        inverse = np.zeros((point.size, point.size))
        self._pins = compiled.pin_arrays(row, self.data.x[point], mass, inverse, self._order_limit)

    def _count(self, points: IntArray, rows: IntArray, sign: float) -> None:
        """Count own points (k,) in coordinates (k,) as untruncated (``sign`` 1.0), or no longer (-1.0)."""
        room = self._log.s.size
        self._clock[compiled.LENGTH] = sign
        for first in range(0, points.size, room):
            count = min(points.size - first, room)
            self._log.point[:count] = points[first : first + count]
            self._log.row[:count] = rows[first : first + count]
            self._counts[compiled.EVENTS] = count
            self._act(compiled.COUNT)

    # -- the field ---------------------------------------------------------------------------------------------

    def _velocity(self) -> tuple[Array, Array]:
        """Return (J⊥u, Ω) with every surface that is neither truncated nor untruncated at λ = 0."""
        dim, total = self.data.dim, self.data.total
        m, M = self._moments.m / total, self._moments.M[:, :, :dim] / total
        return field(self.R, self.b, self.data.y_tilde, m[:, dim], m[:, :dim], M, printed=self.printed)

    def _normals(self, points: IntArray, rows: IntArray) -> Array:
        """∇z_{i,r} for each pair, (m, Q + Q(Q−1)/2): the β part e_r, then (δ_ri z_j − δ_rj z_i)/√2 for i < j."""
        dim = self.data.dim
        upper = np.triu_indices(dim, 1)
        normals = np.zeros((points.size, dim + upper[0].size))
        z = self.data.x[points] @ self.R.T + self.b
        for k, r in enumerate(rows):
            normals[k, r] = 1.0
            turn = np.zeros((dim, dim))
            turn[r] += z[k]
            turn[:, r] -= z[k]
            normals[k, dim:] = turn[upper] / np.sqrt(2.0)
        return normals

    # -- the series --------------------------------------------------------------------------------------------

    def expand(self, reach: float) -> float:
        """See ``PiecewiseFlow.expand``."""
        if self.pin_row.size:
            self._stay_on_surfaces()
            self._pins.lam[0] = self.pin_weight
            self._pins.inverse[:] = self._sliding_inverse()
            self.counters.slides += 1
        self._clock[compiled.REACH] = reach
        self._act(compiled.EXPAND)
        self._near.tally[compiled.HITS] = 0
        self._clock[compiled.NEARBY] = compiled.SOON * reach
        self.counters.steps += 1
        self.counters.orders += self._order
        return float(self._clock[compiled.LENGTH])

    @property
    def _order(self) -> int:
        return int(self._motion.order[0])

    def _sliding_inverse(self) -> Array:
        """Pseudo-inverse of ∂ż_k/∂λ_l = (m_l/N) u_{r_l} ∇z_k·∇z_l (pinned surfaces may depend on one another)."""
        normals = self._normals(self.pin_point, self.pin_row)
        u = self.b + self.R @ self.data.y_tilde
        jump = self.data.multiplicity[self.pin_point] / self.data.total * u[self.pin_row]
        gram = normals @ normals.T * jump[None, :]
        return np.asarray(np.linalg.pinv(gram, rcond=1e-11), dtype=np.float64)

    def _stay_on_surfaces(self) -> None:
        """Move the state back onto the pinned surfaces (rounding and the last bits of the series drift off them)."""
        self._move_onto(self.pin_point, self.pin_row, 1e-11)

    def _move_onto(self, points: IntArray, rows: IntArray, apart: float) -> Array | float:
        """Move the state onto surfaces (k,), those at an angle of less than ``apart`` together; return the way (d,)."""
        off = np.einsum("ka,ka->k", self.R[rows], self.data.x[points]) + self.b[rows]
        size = self.data.length[points].max(initial=0.0) + np.abs(self.b).max()
        if np.abs(off).max(initial=0.0) <= 1e-15 * size:
            return 0.0
        dim = self.data.dim
        back: Array = -np.linalg.lstsq(self._normals(points, rows), off, rcond=apart)[0]
        turn = np.zeros((dim, dim))
        turn[np.triu_indices(dim, 1)] = back[dim:] / np.sqrt(2.0)
        turn -= turn.T
        self.R += turn @ self.R
        self.b += turn @ self.b + back[:dim]
        self._act(compiled.POLISH)
        return back

    def next_change(self, h: float) -> Change | None:
        """See ``PiecewiseFlow.next_change``; ``what`` is ("surface", i, r) or ("weight", k)."""
        clock, counts = self._clock, self._counts
        counts[:] = 0
        if self._near.tally[compiled.TOP] < 0 and self.pattern.size > MANY:
            clock[compiled.NEARBY] = min(float(clock[compiled.NEARBY]), h * LIKELY / self.pattern.size)
        while True:
            clock[compiled.LENGTH] = h
            k = self._act(compiled.CROSS)
            if k != -2:
                break
            self._make_room()
        t = float(clock[compiled.LENGTH])
        self.counters.candidates += int(counts[compiled.CANDIDATES])
        self.counters.roots += int(counts[compiled.ROOTS])
        self.counters.refreshes = int(self._near.tally[compiled.REFRESHES])
        what: tuple[str, int, int] | None = None
        if k >= 0:
            entry = self._near.hit[k]
            what = ("surface", *self._near.pool[entry].tolist())
        for pin in range(self.pin_row.size):
            c = self._pins.lam[: self._order, pin].copy()
            upper = -c
            upper[0] += 1.0
            for bound in (c, upper):
                exit_ = first_exit(bound, t, LAMBDA_NOISE)
                if exit_ >= 0.0 and (exit_ < t or what is None):
                    t, what = exit_, ("weight", pin, 0)
        return None if what is None else Change(float(t), what)

    def _make_room(self) -> None:
        """Get longer near lists."""
        needs, made = (int(self._near.tally[k]) for k in (compiled.NEEDS, compiled.REFRESHES))
        self._near = compiled.near_lists(self.data.dim, compiled.LEVELS, needs + needs // 4)
        self._near.tally[compiled.REFRESHES] = made

    def observe(self, t: float) -> list[tuple[float, EventRow]]:
        """See ``PiecewiseFlow.observe``: separation lost and regained by the other clusters' points."""
        data = self.data
        if data.n_own == data.x.shape[0]:
            return []
        self._clock[compiled.LENGTH] = t
        found = self._act(compiled.WATCH)
        if found > self._log.s.size:
            self._log = self._room_for_events(found)
            found = self._act(compiled.WATCH)
        result: list[tuple[float, EventRow]] = []
        for time, entry in zip(self._log.s[:found].tolist(), self._log.point[:found].tolist(), strict=True):
            i, r = self._near.pool[entry].tolist()
            up = self.pattern[i, r] == TRUNCATED
            self.pattern[i, r] = UNTRUNCATED if up else TRUNCATED
            result.extend((time, row) for row in self.log.foreign(i, r, released=up))
        return result

    def dense_output(self) -> LayerSeries:
        """See ``PiecewiseFlow.dense_output``."""
        return self._series(self._moments.m[:, -1])

    def _series(self, count: Array) -> LayerSeries:
        """Return the current series, along which ``count`` (Q,) own points are untruncated."""
        n = self._order + 1
        motion = self._motion
        fraction = 1.0 - count / self.data.total
        return LayerSeries(
            self.data, motion.R[:n].copy(), motion.b[:n].copy(), motion.energy[:n].copy(), fraction
        )

    def advance(self, t: float) -> None:
        """See ``PiecewiseFlow.advance``."""
        motion = self._motion
        n = self._order + 1
        at = evaluate_states(motion.R[:n], motion.b[:n], motion.energy[:n], np.array([t]))
        self.R[:], self.b[:], self._clock[compiled.ENERGY] = at.R[0], at.b[0], at.energy[0]
        for pin in range(self.pin_row.size):
            self.pin_weight[pin] = np.polynomial.polynomial.polyval(t, self._pins.lam[: self._order, pin])

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> ManySteps | None:
        """See ``StepsMany.step_many``."""
        if self.pin_row.size:
            return None
        self._samples = compiled.sample_arrays(saved, self.data.dim)
        clock, counts = self._clock, self._counts
        clock[[compiled.S, compiled.LOST, compiled.REACH, compiled.BEFORE]] = (
            control.s,
            control.lost,
            control.reach,
            control.s,
        )
        clock[[compiled.S_END, compiled.UNTIL]] = s_end, until
        counts[:] = 0
        if self._act(compiled.AHEAD) == 0:
            return None
        self.counters.add(*counts[: compiled.ROOTS + 1].tolist())
        self.counters.refreshes = int(self._near.tally[compiled.REFRESHES])
        reached = StepControl(
            float(clock[compiled.S]), float(clock[compiled.LOST]), float(clock[compiled.REACH])
        )
        if counts[compiled.UNUSUAL] == 0:
            start, series = float(clock[compiled.BEFORE]), self._series(self._state.untruncated)
        else:
            start, series = reached.s, self.constant_output()
        return ManySteps(
            reached,
            start,
            series,
            self._passed_events(int(counts[compiled.EVENTS])),
            sampled(self.data, self._samples, int(counts[compiled.SAMPLED])),
            bool(counts[compiled.SLOWED]),
        )

    def constant_output(self) -> LayerSeries:
        """See ``PiecewiseFlow.constant_output``."""
        fraction = 1.0 - self._moments.m[:, -1] / self.data.total
        return LayerSeries(
            self.data, self.R[None].copy(), self.b[None].copy(), np.array([self.energy]), fraction
        )

    def _passed_events(self, count: int) -> EventLog:
        """Return the events of the coordinates that ``step_many`` has let pass."""
        passed = self._log
        return self.log.passed(
            passed.s[:count], passed.point[:count], passed.row[:count], passed.side[:count]
        )

    # -- going on later ----------------------------------------------------------------------------------------

    def state(self) -> State:
        """See ``PiecewiseFlow.state``."""
        pins = layer_state.Pinned(self.pin_point, self.pin_row, self.pin_weight)
        return layer_state.state(self._state, self.energy, self.pattern, self._moments, pins)

    def caches(self) -> State:
        """See ``PiecewiseFlow.caches``."""
        return layer_state.near_state(self._near)

    def restore(self, saved: Saved, caches: Saved | None) -> None:
        """See ``PiecewiseFlow.restore``."""
        self._clock[compiled.ENERGY], pins = layer_state.restore(
            saved, self._state, self._points, self._moments
        )
        self._hold(*pins)
        self.log = LayerLog(self.data, self.pattern)
        if caches is not None:
            self._near = layer_state.restored_near(self.data, caches)

    def restored_output(self, saved: Saved) -> LayerSeries:
        """See ``PiecewiseFlow.restored_output``."""
        return layer_state.restored_output(self.data, saved)

    # -- events ------------------------------------------------------------------------------------------------

    def conditions_at_start(self) -> list[EventRow]:
        """See ``PiecewiseFlow.conditions_at_start``."""
        watched = slice(self.data.n_own, None)
        return self.log.at_start(self._coordinates(watched))

    def surfaces(self, change: Change | None) -> Surfaces:
        """See ``PiecewiseFlow.surfaces``: the pinned ones, the one that left, and all others at zero to rounding."""
        data = self.data
        own = data.n_own
        if change is None:
            point, row = self._near_zero()
        else:
            hit = self._near.hit[: self._near.tally[compiled.HITS]]
            point, row = self._near.pool[hit].T.astype(np.int64)
            point, row = point[point < own], row[point < own]
            z = np.einsum("ka,ka->k", self.R[row], data.x[point]) + self.b[row]
            zero = np.abs(z) <= 2 * NOISE * (data.length[point] + np.abs(self.b[row]))
            point, row = point[zero], row[zero]
        near = list(zip(point.tolist(), row.tolist(), strict=True))
        pinned = list(zip(self.pin_point.tolist(), self.pin_row.tolist(), strict=True))
        leaving: set[Surface] = set()
        if change is not None:
            kind, first, second = change.what
            leaving.add((first, second) if kind == "surface" else pinned[first])
        chosen = sorted({*near, *pinned, *leaving})
        return self._describe(chosen, dict(zip(pinned, self.pin_weight.tolist(), strict=True)), leaving)

    def _describe(
        self, chosen: list[Surface], weights: dict[Surface, float], leaving: set[Surface]
    ) -> Surfaces:
        """Return what the integrator is told of these surfaces, which count as truncated until ``apply``."""
        if not chosen:
            return NO_SURFACES
        data = self.data
        points = np.array([i for i, _ in chosen], dtype=np.int64)
        rows = np.array([r for _, r in chosen], dtype=np.int64)
        side = self.pattern[points, rows].astype(np.int64)
        weight = np.array(
            [weights.get(key, float(s == UNTRUNCATED)) for key, s in zip(chosen, side, strict=True)]
        )
        self._take_out(points, rows)
        Ju, Om = self._velocity()
        u = self.b + self.R @ data.y_tilde
        normals = self._normals(points, rows)
        jump = data.multiplicity[points] / data.total * u[rows]
        velocity = np.concatenate([-Ju, np.sqrt(2.0) * Om[np.triu_indices(data.dim, 1)]])
        local = LocalField(velocity, normals, jump[:, None] * normals)
        return Surfaces(
            side=side,
            weight=weight,
            leaving=np.array([key in leaving for key in chosen], dtype=np.int64),
            field=lambda _: local,
        )

    def _near_zero(self) -> tuple[IntArray, IntArray]:
        """Return which own coordinates are zero to rounding: points (k,) and rows (k,)."""
        found = []
        for first in range(0, self.data.n_own, BLOCK):
            block = slice(first, min(first + BLOCK, self.data.n_own))
            point, row = np.nonzero(np.abs(self._coordinates(block)) <= self._noise(block))
            found.append((point + first, row))
        point, row = (np.concatenate(part) for part in zip(*found, strict=True))
        return point, row

    def _take_out(self, points: IntArray, rows: IntArray) -> None:
        """Have these surfaces count as truncated until ``apply``."""
        untruncated = self.pattern[points, rows] == UNTRUNCATED
        self._count(points[untruncated], rows[untruncated], -1.0)
        self._on_surface = (points, rows)

    def descent_fallback(self) -> tuple[float, list[EventRow], Surfaces]:
        """See ``flows.interface.DescentFallback``."""
        data, own = self.data, self.data.n_own
        z = self._coordinates(slice(0, own))
        size = size_of(self.b, data.spread, data.y_tilde)
        near = np.argwhere(np.abs(z) <= NEAR * size * (1.0 + np.abs(z).max())).tolist()
        pinned = zip(self.pin_point, self.pin_row, strict=True)
        chosen = sorted({(int(i), int(r)) for i, r in (*near, *pinned)})
        points, rows = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
        noise = self._noise(slice(0, own))[:, 0]
        end = own_descent(data, self.R, self.b, self.pattern, chosen, noise, size, printed=self.printed)
        self.R[:], self.b[:] = end.R[0], end.b[0]
        close = end.sides == PINNED
        self._clock[compiled.ENERGY] += end.energy(self._move_onto(points[close], rows[close], APART))
        self._act(compiled.POLISH)
        self._near.tally[compiled.TOP] = -1
        # What has come clear of its surface goes to that side; what is still close to it is settled anew.
        self._take_out(points, rows)
        events = self.apply(np.where(close, (end.z > 0.0).astype(np.int64), end.sides), np.zeros(points.size))
        still = [key for key, is_close in zip(chosen, close.tolist(), strict=True) if is_close]
        return end.elapsed, events, self._describe(still, {}, set())

    def regroup(self, side: IntArray, weight: Array) -> Surfaces | None:
        """See ``PiecewiseFlow.regroup``: coinciding points coincide for ever."""
        return None

    def apply(self, side: IntArray, weight: Array) -> list[EventRow]:
        """See ``PiecewiseFlow.apply``."""
        points, rows = self._on_surface
        events: list[EventRow] = []
        last = (-1, -1)
        for i, r, s in zip(points.tolist(), rows.tolist(), side.tolist(), strict=True):
            before = int(self.pattern[i, r])
            self.pattern[i, r] = s
            changed = self.log.own(i, r, before, s)
            if changed:
                last = (i, r)
            events.extend(changed)
        if events:
            events.extend(self.log.collapse(*last))
        self._count(points[side == UNTRUNCATED], rows[side == UNTRUNCATED], 1.0)
        pinned = side == PINNED
        self._hold(points[pinned], rows[pinned], weight[pinned])
        return events

    def at_rest(self) -> list[EventRow]:
        """See ``PiecewiseFlow.at_rest``."""
        data = self.data
        moment = (1.0 - self._moments.m[:, -1] / data.total) * (self.b + self.R @ data.y_tilde)
        if self.pin_row.size == 0 and np.abs(moment).max() > 1e-12 * (np.abs(self.b).max() + data.spread):
            return []  # the usual case, at the price of a few flops
        Ju, Om = self._velocity()
        for k, r in enumerate(self.pin_row.tolist()):
            i = self.pin_point[k]
            push = (
                data.multiplicity[i] / data.total * self.pin_weight[k] * (self.b + self.R @ data.y_tilde)[r]
            )
            z = self.R @ data.x[i] + self.b
            z[r] = 0.0
            Ju[r] -= push
            Om[r] += 0.5 * push * z
            Om[:, r] -= 0.5 * push * z
        eps = float(np.finfo(np.float64).eps)
        size = float(np.abs(self.b).max() + np.abs(data.y_tilde).max() + data.spread)
        if np.abs(Ju).max() > 4 * eps * size or np.abs(Om).max() > 16 * eps * size**2:
            return []
        return self.log.rest()
