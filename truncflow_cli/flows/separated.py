"""Flow `separated` (Theorem 3.2): a cluster under its own layer, the other clusters watched but not acting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from truncflow_cli.flows.event_rows import LayerEventRows
from truncflow_cli.flows.interface import NO_SURFACES, Change, EventRow, LocalField, ManySteps, Surfaces
from truncflow_cli.flows.moments import field, moments
from truncflow_cli.flows.pattern_state import pattern_state, restore_pattern
from truncflow_cli.flows.points import LayerPoints
from truncflow_cli.flows.taylor import TaylorFlow
from truncflow_cli.kernels import Backend, layer_kernel
from truncflow_cli.kernels.interface import LayerKernel
from truncflow_cli.network_field import Pass
from truncflow_cli.patterns import PINNED, TRUNCATED, UNTRUNCATED
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.saved_state import Saved, State, number, under
from truncflow_cli.solver.descent import APART, NEAR, plain_descent, size_of
from truncflow_cli.solver.step_control import StepControl

#: Highest order of the series. Beyond it, a shorter step costs less than a longer series.
MAX_ORDER = 24
#: Share of the tolerance that one step may use up.
STEP_SHARE = 0.01
#: Rounding error of a coordinate z, in units of |x| + |b|.
NOISE = 32 * float(np.finfo(np.float64).eps)
#: Points that are looked at together: what is in between stays in the cache.
BLOCK = 1024

#: A point, by its row, and a coordinate of it.
Surface = tuple[int, int]


class LayerFlow(TaylorFlow):
    """β^(ℓ) and R_ℓ under the points of cluster ℓ, in coordinates centred on the cluster.

    The state is R (Q, Q), b = R(β + x̄) (Q,) and the dissipated energy; shifting x by −x̄, β by +x̄ and ỹ by −x̄
    changes nothing else, and keeps the moments free of cancellation.
    """

    kernel: LayerKernel

    def __init__(
        self,
        data: LayerPoints,
        R: Array,
        beta: Array,
        *,
        rtol: float,
        atol: float,
        printed: bool,
        order: int = MAX_ORDER,
        backend: Backend = "compiled",
    ) -> None:
        self.data = data
        self.printed = printed
        self.kernel = self._make_kernel(backend)(
            data, R, tolerance=STEP_SHARE * rtol, floor=atol / rtol, printed=printed, order=order
        )
        super().__init__(self.kernel, data.center)
        self.kernel.orthonormalise()
        self.b[:] = self.R @ (np.asarray(beta, dtype=np.float64) + data.center)
        for part in range(0, data.x.shape[0], BLOCK):
            block = slice(part, part + BLOCK)
            self.pattern[block] = np.where(
                self._coordinates(block) > self._noise(block), UNTRUNCATED, TRUNCATED
            )
        self.log = LayerEventRows(data, self.pattern)
        self.kernel.sum_moments()
        self.pin_point = self.pin_row = np.empty(0, np.int64)
        self._on_surface: tuple[IntArray, IntArray] = (self.pin_point, self.pin_row)

    def _make_kernel(self, backend: Backend) -> Callable[..., LayerKernel]:
        return layer_kernel(backend)

    def _coordinates(self, rows: slice) -> Array:
        """Return z (m, Q) of these rows of ``data.x``."""
        return self.data.x[rows] @ self.R.T + self.b

    def _noise(self, rows: slice) -> Array:
        """Return the rounding errors (m, 1) of z."""
        return np.asarray(NOISE * (self.data.length[rows] + np.abs(self.b).max()))[:, None]

    def _hold(self, point: IntArray, row: IntArray, weight: Array) -> None:
        """Pin these surfaces, and no others, with these weights."""
        self.pin_point, self.pin_row, self.pin_weight = point, row, weight.copy()
        self.kernel.hold(point, row)

    # -- the field ---------------------------------------------------------------------------------------------

    def _velocity(self) -> tuple[Array, Array]:
        """Return (J⊥u, Ω) with every surface that is neither truncated nor untruncated at λ = 0."""
        return field(self.R, self.b, self.data.y_tilde, *self.kernel.moments(), printed=self.printed)

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
        return self._expand(reach, self._sliding_inverse() if self.pin_row.size else np.empty((0, 0)))

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
        self.kernel.orthonormalise()
        return back

    def observe(self, t: float) -> list[tuple[float, EventRow]]:
        """See ``PiecewiseFlow.observe``: separation lost and regained by the other clusters' points."""
        if self.data.n_own == self.data.x.shape[0]:
            return []
        result: list[tuple[float, EventRow]] = []
        for time, i, r in self.kernel.foreign_crossings(t):
            up = self.pattern[i, r] == TRUNCATED
            self.pattern[i, r] = UNTRUNCATED if up else TRUNCATED
            result.extend((time, row) for row in self.log.foreign(i, r, released=up))
        return result

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> ManySteps | None:
        """See ``StepsMany.step_many``."""
        many = self._step_many(control, s_end, until, saved)
        if many is None:
            return None
        return self._passed(many, self.log.passed(many.crossings), may_rest=many.slowed)

    # -- going on later ----------------------------------------------------------------------------------------

    def state(self) -> State:
        """See ``PiecewiseFlow.state``; the moments as they have been summed up, in their order."""
        return {
            "R": self.R,
            "b": self.b,
            "energy": number(self.kernel.energy),
            **pattern_state(self.pattern),
            **under("moments", self.kernel.sums()),
            **under("pins", {"point": self.pin_point, "row": self.pin_row, "weight": self.pin_weight}),
        }

    def caches(self) -> State:
        """See ``PiecewiseFlow.caches``."""
        return self.kernel.caches()

    def restore(self, saved: Saved, caches: Saved | None) -> None:
        """See ``PiecewiseFlow.restore``."""
        self.R[:], self.b[:] = saved.array("R", "f8", self.R.shape), saved.array("b", "f8", self.b.shape)
        self.kernel.energy = saved.number("energy")
        self.kernel.restore_sums(saved.part("moments"))
        restore_pattern(self.pattern, saved)
        pins = saved.part("pins")
        point = pins.array("point", "i8", (None,), (0, self.data.n_own))
        row = pins.array("row", "i8", point.shape, (0, self.b.size))
        self.pattern[point, row] = PINNED
        self._hold(point, row, pins.array("weight", "f8", point.shape))
        self.log = LayerEventRows(self.data, self.pattern)
        if caches is not None:
            self.kernel.restore_caches(caches)

    # -- events ------------------------------------------------------------------------------------------------

    def conditions_at_start(self) -> list[EventRow]:
        """See ``PiecewiseFlow.conditions_at_start``."""
        watched = slice(self.data.n_own, None)
        return self.log.separation_at_start(self._coordinates(watched)) + self.log.at_start()

    def surfaces(self, change: Change | None) -> Surfaces:
        """See ``PiecewiseFlow.surfaces``: the pinned ones, the one that left, and all others at zero to rounding."""
        data = self.data
        own = data.n_own
        if change is None:
            point, row = self._near_zero()
        else:
            point, row = self.kernel.looked_at()
            point, row = point[point < own], row[point < own]
            z = np.einsum("ka,ka->k", self.R[row], data.x[point]) + self.b[row]
            zero = np.abs(z) <= 2 * NOISE * (data.length[point] + np.abs(self.b[row]))
            point, row = point[zero], row[zero]
        near = list(zip(point.tolist(), row.tolist(), strict=True))
        pinned = list(zip(self.pin_point.tolist(), self.pin_row.tolist(), strict=True))
        leaving: set[Surface] = set()
        if change is not None:
            kind, which = change.what
            leaving.add((which[0], which[2]) if kind == "surface" else pinned[which])
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
        self.kernel.count(points[untruncated], rows[untruncated], -1.0)
        self._on_surface = (points, rows)

    def descent_fallback(self) -> tuple[float, list[EventRow], Surfaces]:
        """See ``flows.interface.DescentFallback``."""
        data, own = self.data, self.data.n_own
        z = self._coordinates(slice(0, own))
        size = size_of(self.b, data.spread, data.y_tilde)
        near = np.argwhere(np.abs(z) <= NEAR * size * (1.0 + np.abs(z).max())).tolist()
        pinned = zip(self.pin_point.tolist(), self.pin_row.tolist(), strict=True)
        chosen = sorted({(i, r) for i, r in (*near, *pinned)})
        points, rows = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
        on = np.zeros((own, data.dim), dtype=bool)
        on[points, rows] = True
        noise = self._noise(slice(0, own))[:, 0]
        end = plain_descent(
            data.x[:own],
            size,
            self._velocity_along_descent,
            self.R[None],
            self.b[None],
            self.pattern[:own, None] == UNTRUNCATED,
            on[:, None],
            [(i, 0, r) for i, r in chosen],
            noise,
        )
        self.R[:], self.b[:] = end.R[0], end.b[0]
        close = end.sides == PINNED
        self.kernel.energy += end.energy(self._move_onto(points[close], rows[close], APART))
        self.kernel.orthonormalise()
        self.kernel.moved()
        # What has come clear of its surface goes to that side; what is still close to it is settled anew.
        self._take_out(points, rows)
        events = self.apply(np.where(close, (end.z > 0.0).astype(np.int64), end.sides), np.zeros(points.size))
        still = [key for key, is_close in zip(chosen, close.tolist(), strict=True) if is_close]
        return end.elapsed, events, self._describe(still, {}, set())

    def _velocity_along_descent(self, state: Pass, h: Array, R: Array, b: Array) -> tuple[Array, Array]:
        """Return c (1, Q) and Ω (1, Q, Q) of Theorem 3.2 for these h (n_own, 1, Q), see ``solver.descent``."""
        data = self.data
        found = moments(data.x[: data.n_own], data.multiplicity, h[:, 0])
        Ju, Om = field(R[0], b[0], data.y_tilde, *found, printed=self.printed)
        return -Ju[None], Om[None]

    def regroup(self, side: IntArray, weight: Array) -> Surfaces | None:
        """See ``PiecewiseFlow.regroup``: coinciding points coincide for ever."""
        return None

    def apply(self, side: IntArray, weight: Array) -> list[EventRow]:
        """See ``PiecewiseFlow.apply``."""
        points, rows = self._on_surface
        events: list[EventRow] = []
        for i, r, s in zip(points.tolist(), rows.tolist(), side.tolist(), strict=True):
            before = int(self.pattern[i, r])
            self.pattern[i, r] = s
            events += self.log.passage((i, 0, r), before, s)
        events += self.log.collapses()
        self.kernel.count(points[side == UNTRUNCATED], rows[side == UNTRUNCATED], 1.0)
        pinned = side == PINNED
        self._hold(points[pinned], rows[pinned], weight[pinned])
        return events

    def at_rest(self) -> list[EventRow]:
        """See ``PiecewiseFlow.at_rest``."""
        data = self.data
        moment = self.kernel.truncated_fraction[0] * (self.b + self.R @ data.y_tilde)
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
