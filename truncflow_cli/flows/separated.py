"""Flow `separated` (Theorem 3.2): a cluster under its own layer, the other clusters watched but not acting."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.base import Change, Counters, EventRow, LocalField, Surfaces
from truncflow_cli.flows.kernels import separated as kernels
from truncflow_cli.flows.kernels.polynomial import first_exit
from truncflow_cli.flows.kernels.separated import PINNED, TRUNCATED, UNTRUNCATED
from truncflow_cli.flows.layer_data import LayerData
from truncflow_cli.flows.layer_events import LayerLog
from truncflow_cli.flows.layer_series import LayerSeries
from truncflow_cli.model.moments import field
from truncflow_cli.model.problem import Array, IntArray

#: Highest order of the series. Beyond it, a shorter step costs less than a longer series.
MAX_ORDER = 24
#: Share of the tolerance that one step may use up.
STEP_SHARE = 0.1
#: Rounding error of a coordinate z, in units of |x| + |b|.
NOISE = 32 * np.finfo(np.float64).eps
#: Rounding error of a pinned weight λ.
LAMBDA_NOISE = 1e-12
#: The near list holds what a displacement this many times that of the current step can reach.
SKIN = 8.0
#: Rank-one updates of the moments after which they are summed anew, so that rounding does not pile up.
REFRESH_MOMENTS = 4096


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
        self.order_limit = order
        self.R = np.array(R, dtype=np.float64, order="C")
        kernels.orthonormalise(self.R)
        self.b = self.R @ (np.asarray(beta, dtype=np.float64) + data.center)
        self.energy = 0.0
        self.rtol = rtol
        self.atol = atol

        self.z = np.empty_like(data.x)
        kernels.coordinates(data.x, self.R, self.b, self.z)
        noise = NOISE * (data.length + np.abs(self.b).max())[:, None]
        self.pattern = np.where(self.z > noise, UNTRUNCATED, TRUNCATED).astype(np.int8)
        self.log = LayerLog(data, self.pattern)

        self._count = np.zeros(dim)
        self._G = np.zeros((dim, dim))
        self._K = np.zeros((dim, dim, dim))
        self._updates = 0
        self._sum_moments()

        self._near = (np.empty(0, np.int64), np.empty(0, np.int64))
        self._R_ref, self._b_ref = self.R.copy(), self.b.copy()
        self._skin = (-1.0, -1.0)
        self._turn, self._shift = np.empty(dim), np.empty(dim)

        self.pin_point = np.empty(0, np.int64)
        self.pin_row = np.empty(0, np.int64)
        self.pin_weight = np.empty(0)
        self._on_surface: tuple[IntArray, IntArray] = (self.pin_point, self.pin_row)

        n = order + 1
        self._order = 0
        self._Rs, self._bs, self._energies = np.zeros((n, dim, dim)), np.zeros((n, dim)), np.zeros(n)
        self._lams = np.zeros((n, 0))
        self._u, self._q, self._g, self._Ju = (np.zeros((n, dim)) for _ in range(4))
        self._A, self._S, self._Om = (np.zeros((n, dim, dim)) for _ in range(3))

    # -- the field ---------------------------------------------------------------------------------------------

    def _sum_moments(self) -> None:
        own = self.data.n_own
        kernels.moments(
            self.data.x[:own], self.data.multiplicity, self.pattern[:own], self._count, self._G, self._K
        )
        self._updates = 0

    def _count_point(self, i: int, r: int, sign: float) -> None:
        kernels.add_point(self.data.x[i], sign * self.data.multiplicity[i], r, self._count, self._G, self._K)
        self._updates += 1

    def _velocity(self) -> tuple[Array, Array]:
        """Return (J⊥u, Ω) with every surface that is neither truncated nor untruncated at λ = 0."""
        total = self.data.total
        return field(
            self.R,
            self.b,
            self.data.y_tilde,
            self._count / total,
            self._G / total,
            self._K / total,
            printed=self.printed,
        )

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
        if self._updates > max(REFRESH_MOMENTS, self.data.n_own):
            self._sum_moments()
        data = self.data
        self._Rs[0], self._bs[0], self._energies[0] = self.R, self.b, self.energy
        pins = self.pin_row.size
        inverse = np.zeros((pins, pins))
        if self._lams.shape[1] != pins:
            self._lams = np.zeros((self.order_limit + 1, pins))
        if pins:
            self._stay_on_surfaces()
            self._Rs[0], self._bs[0] = self.R, self.b
            self._lams[0] = self.pin_weight
            inverse = self._sliding_inverse()
            self.counters.slides += 1
        dim = data.dim
        u = self.b + self.R @ data.y_tilde
        scale = max(float(np.abs(u).max()), float(np.abs(self.b).max()), self.atol / self.rtol)
        scale_energy = max(float(u @ u), data.spread**2, (self.atol / self.rtol) ** 2)
        h, self._order = kernels.expand(
            self._Rs, self._bs, self._energies, self._u, self._q, self._A, self._S, self._g, self._Om, self._Ju,
            self._count / data.total, self._G / data.total, self._K / data.total, data.y_tilde, not self.printed,
            self.pin_row, data.x[self.pin_point], data.multiplicity[self.pin_point] / data.total, inverse,
            self._lams, np.zeros((self.order_limit + 1, pins, dim)), np.zeros((self.order_limit + 1, pins)),
            self.order_limit, scale, scale_energy, STEP_SHARE * self.rtol, reach,
        )  # fmt: skip
        self.counters.steps += 1
        self.counters.orders += self._order
        return float(h)

    def _sliding_inverse(self) -> Array:
        """Pseudo-inverse of ∂ż_k/∂λ_l = (m_l/N) u_{r_l} ∇z_k·∇z_l (pinned surfaces may depend on one another)."""
        normals = self._normals(self.pin_point, self.pin_row)
        u = self.b + self.R @ self.data.y_tilde
        jump = self.data.multiplicity[self.pin_point] / self.data.total * u[self.pin_row]
        return np.linalg.pinv(normals @ normals.T * jump[None, :], rcond=1e-11)

    def _stay_on_surfaces(self) -> None:
        """Move the state back onto the pinned surfaces (rounding and the last bits of the series drift off them)."""
        points, rows = self.pin_point, self.pin_row
        off = np.einsum("ka,ka->k", self.R[rows], self.data.x[points]) + self.b[rows]
        if np.abs(off).max() <= 1e-15 * (self.data.length[points].max() + np.abs(self.b).max()):
            return
        dim = self.data.dim
        back = -np.linalg.lstsq(self._normals(points, rows), off, rcond=1e-11)[0]
        turn = np.zeros((dim, dim))
        turn[np.triu_indices(dim, 1)] = back[dim:] / np.sqrt(2.0)
        turn -= turn.T
        self.R += turn @ self.R
        self.b += turn @ self.b + back[:dim]
        kernels.orthonormalise(self.R)

    def next_change(self, h: float) -> Change | None:
        """See ``PiecewiseFlow.next_change``; ``what`` is ("surface", i, r) or ("weight", k)."""
        data = self.data
        self._look_around(h)
        work = np.zeros(2, np.int64)
        t, k = kernels.first_crossing(
            data.x, data.length, self.pattern, self._Rs, self._bs, self._order, h, data.n_own,
            self._near[0], self._near[1], self._turn, self._shift, self.z, NOISE, work,
        )  # fmt: skip
        self.counters.candidates += int(work[0])
        self.counters.roots += int(work[1])
        what: tuple[str, int, int] | None = None
        if k >= 0:
            what = ("surface", int(self._near[0][k]), int(self._near[1][k]))
        for pin in range(self.pin_row.size):
            c = self._lams[: self._order, pin].copy()
            upper = -c
            upper[0] += 1.0
            for bound in (c, upper):
                exit_ = first_exit(bound, t, LAMBDA_NOISE)
                if exit_ >= 0.0 and (exit_ < t or what is None):
                    t, what = exit_, ("weight", pin, 0)
        return None if what is None else Change(float(t), what)

    def _look_around(self, h: float) -> None:
        """Bound the displacement over [0, h] since the near list was made; make a new list if it does not suffice."""
        data = self.data
        args = (self._Rs, self._bs, self._order, h)
        kernels.displacement(*args, self._R_ref, self._b_ref, self._turn, self._shift)
        turn, shift = float(self._turn.max()), float(self._shift.max())
        suffices = turn <= self._skin[0] and shift <= self._skin[1]
        too_long = self._near[0].size > 256 and turn < 0.02 * self._skin[0] and shift < 0.02 * self._skin[1]
        if suffices and not too_long:
            return
        self._R_ref, self._b_ref = self.R.copy(), self.b.copy()
        kernels.coordinates(data.x, self.R, self.b, self.z)
        kernels.displacement(*args, self._R_ref, self._b_ref, self._turn, self._shift)
        floor = NOISE * float(np.abs(self.b).max() + 1.0)
        self._skin = (SKIN * self._turn.max() + 4 * NOISE, SKIN * self._shift.max() + 4 * floor)
        point, row = np.empty(256, np.int64), np.empty(256, np.int64)
        reach = (np.full(data.dim, self._skin[0]), np.full(data.dim, self._skin[1]))
        found = kernels.near_list(self.z, data.length, *reach, point, row)
        if found > point.size:
            point, row = np.empty(found, np.int64), np.empty(found, np.int64)
            kernels.near_list(self.z, data.length, *reach, point, row)
        self._near = (point[:found], row[:found])
        self.counters.refreshes += 1

    def observe(self, t: float) -> list[tuple[float, EventRow]]:
        """See ``PiecewiseFlow.observe``: separation lost and regained by the other clusters' points."""
        data = self.data
        if data.n_own == data.x.shape[0]:
            return []
        size = 64
        while True:
            times, which = np.empty(size), np.empty(size, np.int64)
            found = kernels.passive_crossings(
                data.x, data.length, self.pattern, self._Rs, self._bs, self._order, t, data.n_own,
                self._near[0], self._near[1], self._turn, self._shift, self.z, NOISE, times, which,
            )  # fmt: skip
            if found <= size:
                break
            size = found
        result = []
        for k in np.argsort(times[:found], kind="stable"):
            i, r = int(self._near[0][which[k]]), int(self._near[1][which[k]])
            up = self.pattern[i, r] == TRUNCATED
            self.pattern[i, r] = UNTRUNCATED if up else TRUNCATED
            result.extend((float(times[k]), row) for row in self.log.foreign(i, r, released=up))
        return result

    def series(self) -> LayerSeries:
        """See ``PiecewiseFlow.series``."""
        n = self._order + 1
        fraction = 1.0 - self._count / self.data.total
        return LayerSeries(
            self.data, self._Rs[:n].copy(), self._bs[:n].copy(), self._energies[:n].copy(), fraction
        )

    def advance(self, t: float) -> None:
        """See ``PiecewiseFlow.advance``."""
        self.energy, _ = kernels.evaluate_state(
            self._Rs, self._bs, self._energies, self._order, t, self.R, self.b
        )
        for pin in range(self.pin_row.size):
            self.pin_weight[pin] = np.polynomial.polynomial.polyval(t, self._lams[: self._order, pin])

    # -- events ------------------------------------------------------------------------------------------------

    def conditions_at_start(self) -> list[EventRow]:
        """See ``PiecewiseFlow.conditions_at_start``."""
        return self.log.at_start(self.z)

    def surfaces(self, change: Change | None) -> Surfaces:
        """See ``PiecewiseFlow.surfaces``: the pinned ones, the one that left, and all others at zero to rounding."""
        data = self.data
        own = data.n_own
        if change is None:
            point, row = np.nonzero(
                np.abs(self.z[:own]) <= NOISE * (data.length[:own] + np.abs(self.b).max())[:, None]
            )
            near = list(zip(point.tolist(), row.tolist(), strict=True))
        else:
            keep = self._near[0] < own
            point, row = self._near[0][keep], self._near[1][keep]
            z = np.einsum("ka,ka->k", self.R[row], data.x[point]) + self.b[row]
            zero = np.abs(z) <= 2 * NOISE * (data.length[point] + np.abs(self.b[row]))
            near = list(zip(point[zero].tolist(), row[zero].tolist(), strict=True))
        pinned = list(zip(self.pin_point.tolist(), self.pin_row.tolist(), strict=True))
        leaving: set[tuple[int, int]] = set()
        if change is not None:
            kind, first, second = change.what
            leaving.add((first, second) if kind == "surface" else pinned[first])
        chosen = sorted({*near, *pinned, *leaving})
        weights = dict(zip(pinned, self.pin_weight.tolist(), strict=True))
        points = np.array([i for i, _ in chosen], dtype=np.int64)
        rows = np.array([r for _, r in chosen], dtype=np.int64)
        side = self.pattern[points, rows].astype(np.int64)
        weight = np.array(
            [weights.get(key, float(s == UNTRUNCATED)) for key, s in zip(chosen, side, strict=True)]
        )
        for i, r, s in zip(points, rows, side, strict=True):
            if s == UNTRUNCATED:
                self._count_point(i, r, -1.0)
        self._on_surface = (points, rows)
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
            if s == UNTRUNCATED:
                self._count_point(i, r, 1.0)
            changed = self.log.own(i, r, before, s)
            if changed:
                last = (i, r)
            events.extend(changed)
        if events:
            events.extend(self.log.collapse(*last))
        pinned = side == PINNED
        self.pin_point, self.pin_row, self.pin_weight = points[pinned], rows[pinned], weight[pinned].copy()
        return events

    def at_rest(self) -> list[EventRow]:
        """See ``PiecewiseFlow.at_rest``."""
        data = self.data
        moment = (1.0 - self._count / data.total) * (self.b + self.R @ data.y_tilde)
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
