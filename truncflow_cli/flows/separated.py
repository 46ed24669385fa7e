"""Flow `separated` (Theorem 3.2): a cluster under its own layer, the other clusters watched but not acting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from truncflow_cli.flows.event_rows import LayerEventRows
from truncflow_cli.flows.interface import EventRow, ManySteps
from truncflow_cli.flows.points import LayerPoints
from truncflow_cli.flows.surfaces import members
from truncflow_cli.flows.taylor import TaylorFlow
from truncflow_cli.kernels import Backend, layer_kernel
from truncflow_cli.kernels.interface import Group, LayerKernel
from truncflow_cli.network_field import adjoint, field_of_moments
from truncflow_cli.problem import PINNED, TRUNCATED, UNTRUNCATED, Array, IntArray
from truncflow_cli.saved_state import Saved, State, under
from truncflow_cli.solver.step_control import StepControl

#: Highest order of the series. Beyond it, a shorter step costs less than a longer series.
MAX_ORDER = 24
#: Share of the tolerance that one step may use up.
STEP_SHARE = 0.01
#: Rounding error of a coordinate z, in units of |x| + |b|.
NOISE = 32 * float(np.finfo(np.float64).eps)
#: Points that are looked at together: what is in between stays in the cache.
BLOCK = 1024


class LayerFlow(TaylorFlow[LayerKernel, LayerPoints]):
    """β^(ℓ) and R_ℓ under the points of cluster ℓ, in coordinates centred on the cluster.

    The state is R (1, Q, Q), b = R(β + x̄) (1, Q) and the dissipated energy; shifting x by −x̄, β by +x̄ and ỹ by −x̄
    changes nothing else, and keeps the moments free of cancellation.
    """

    log: LayerEventRows

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
        kernel = self._make_kernel(backend)(
            data, R, tolerance=STEP_SHARE * rtol, floor=atol / rtol, printed=printed, order=order
        )
        super().__init__(kernel, data, np.asarray(beta, dtype=np.float64)[None])
        self.printed = printed
        self._velocity = partial(self._velocity, printed=printed)
        for part in range(0, data.x.shape[0], BLOCK):
            block = slice(part, part + BLOCK)
            up = self._coordinates(block) > self._noise(block)[:, None]
            self.pattern[block, 0] = np.where(up, UNTRUNCATED, TRUNCATED)
        self.log = LayerEventRows(data, self.pattern)
        self.kernel.sum_moments()

    def _make_kernel(self, backend: Backend) -> Callable[..., LayerKernel]:
        return layer_kernel(backend)

    def _coordinates(self, rows: slice) -> Array:
        """Return z (m, Q) of these rows of ``data.x``."""
        return np.asarray(self.data.x[rows] @ self.R[0].T + self.b[0])

    def _noise(self, rows: slice) -> Array:
        return np.asarray(NOISE * (self.data.length[rows] + np.abs(self.b).max()))

    def _sum_field(self) -> tuple[Array, Array]:
        Ju, Om = field_of_moments(
            self.R[0], self.b[0], self.data.y_tilde, *self.kernel.moments(), printed=self.printed
        )
        return -Ju[None], Om[None]

    def _off(self, groups: list[Group], weight: Array) -> tuple[Array, Array]:
        point, _, row = members(groups).T
        z = self.data.x[point] @ self.R[0].T + self.b[0]
        every = np.arange(point.size)
        surfaces = np.column_stack([every, np.zeros_like(every), row])
        return z[every, row], adjoint(surfaces, z[:, None], np.empty(0), self.R)[1]

    def _sliding_inverse(self) -> Array:
        """Pseudo-inverse of ∂ż_k/∂λ_l = (m_l/N) u_{r_l} ∇z_k·∇z_l (pinned surfaces may depend on one another)."""
        point, _, row = members(self.pins).T
        u = self.b[0] + self.R[0] @ self.data.y_tilde
        _, normals = self._off(self.pins, self.pin_weight)
        gram = normals @ normals.T * (self.data.weight_of(point) * u[row])
        return np.asarray(np.linalg.pinv(gram, rcond=1e-11), dtype=np.float64)

    def observe(self, t: float) -> list[tuple[float, EventRow]]:
        """See ``PiecewiseFlow.observe``: separation lost and regained by the other clusters' points."""
        if self.data.n_own == self.data.x.shape[0]:
            return []
        result: list[tuple[float, EventRow]] = []
        for time, i, r in self.kernel.foreign_crossings(t):
            up = self.pattern[i, 0, r] == TRUNCATED
            self.pattern[i, 0, r] = UNTRUNCATED if up else TRUNCATED
            result.extend((time, row) for row in self.log.foreign(i, r, released=up))
        return result

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> ManySteps | None:
        """See ``StepsMany.step_many``."""
        many = self._step_many(control, s_end, until, saved)
        return None if many is None else self._passed(many, may_rest=many.slowed)

    # -- going on later ----------------------------------------------------------------------------------------

    def state(self) -> State:
        """See ``PiecewiseFlow.state``; the moments as they have been summed up, in their order."""
        point, _, row = members(self.pins).T
        pins = {"point": point, "row": row, "weight": self.pin_weight}
        return {**super().state(), **under("moments", self.kernel.sums()), **under("pins", pins)}

    def restore(self, saved: Saved, caches: Saved | None) -> None:
        """See ``PiecewiseFlow.restore``."""
        super().restore(saved, caches)
        self.kernel.restore_sums(saved.part("moments"))
        pins = saved.part("pins")
        point = pins.array("point", "i8", (None,), (0, self.data.n_own))
        row = pins.array("row", "i8", point.shape, (0, self.data.dim))
        self.pattern[point, 0, row] = PINNED
        groups: list[Group] = [((i, 0, r),) for i, r in zip(point.tolist(), row.tolist(), strict=True)]
        self._hold(groups, pins.array("weight", "f8", point.shape))
        self.log = LayerEventRows(self.data, self.pattern)
        if caches is not None:
            self.kernel.restore_caches(caches)

    # -- events ------------------------------------------------------------------------------------------------

    def conditions_at_start(self) -> list[EventRow]:
        """See ``PiecewiseFlow.conditions_at_start``."""
        watched = slice(self.data.n_own, None)
        return self.log.separation_at_start(self._coordinates(watched)) + self.log.at_start()

    def _at_zero(self, *, at_start: bool) -> tuple[IntArray, IntArray, IntArray]:
        data, own = self.data, self.data.n_own
        if not at_start:
            point, row = self.kernel.looked_at()
            point, row = point[point < own], row[point < own]
            z = np.einsum("ka,ka->k", self.R[0, row], data.x[point]) + self.b[0, row]
            zero = np.abs(z) <= 2 * NOISE * (data.length[point] + np.abs(self.b[0, row]))
            return point[zero], np.zeros_like(point[zero]), row[zero]
        found = []
        for first in range(0, own, BLOCK):
            block = slice(first, min(first + BLOCK, own))
            point, row = np.nonzero(np.abs(self._coordinates(block)) <= self._noise(block)[:, None])
            found.append((point + first, np.zeros_like(point), row))
        point, layer, row = (np.concatenate(part) for part in zip(*found, strict=True))
        return point, layer, row

    def _count(self, surfaces: IntArray, before: IntArray, after: IntArray) -> None:
        point, _, row = surfaces.T
        change = (after == UNTRUNCATED) * 1 - (before == UNTRUNCATED)
        for sign in (-1, 1):
            self.kernel.count(point[change == sign], row[change == sign], float(sign))

    def at_rest(self) -> list[EventRow]:
        """See ``PiecewiseFlow.at_rest``."""
        moment = self.kernel.truncated_fraction * (self.b[0] + self.R[0] @ self.data.y_tilde)
        if not self.pins and np.abs(moment).max() > 1e-12 * (np.abs(self.b).max() + self.data.spread):
            return []  # the usual case, at the price of a few flops
        return super().at_rest()
