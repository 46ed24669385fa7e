"""Flow `general` (Theorem 5.1, corrected): every layer sees every cluster, any number of layers."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.base import Change, Counters, EventRow, LocalField, Surfaces
from truncflow_cli.flows.general_data import GeneralData
from truncflow_cli.flows.general_descent import Descent, plain_descent
from truncflow_cli.flows.general_events import NetworkLog
from truncflow_cli.flows.general_groups import Group, Key, common_side, grouped, several_layers
from truncflow_cli.flows.general_series import GeneralSeries, restored_series
from truncflow_cli.flows.general_state import pins_state, restored_pins
from truncflow_cli.flows.kernels import general as kernels
from truncflow_cli.flows.kernels.polynomial import weight_exit
from truncflow_cli.flows.kernels.separated import PINNED, TRUNCATED, UNTRUNCATED
from truncflow_cli.flows.layer_state import pattern_state, restore_pattern
from truncflow_cli.model.network import adjoint, forward_pass, tangent, velocity
from truncflow_cli.model.problem import Array, IntArray
from truncflow_cli.model.state import Saved, State, number, under

#: Newton steps to hold pinned coordinates still, and the speed (relative to the field) at which they do.
MAX_HOLD = 8
HOLD = 1e-14
MAX_ORDER = 20
STEP_SHARE = 0.1
#: Accuracy to which the series are summed in any case. Surfaces of several points and layers meet at one instant
#: here; that they do is only seen when their times agree to rounding.
SERIES = 1e-14
NOISE = 128 * np.finfo(np.float64).eps
LAMBDA_NOISE = 1e-12


class GeneralFlow:
    """All β^(ℓ) and R_ℓ together, in coordinates centred on the data.

    The state is R (L, Q, Q), b_ℓ = R_ℓ(β^(ℓ) + x̄) (L, Q) and the dissipated energy.
    """

    def __init__(
        self, data: GeneralData, R: Array, beta: Array, *, rtol: float, atol: float, order: int = MAX_ORDER
    ) -> None:
        self.data = data
        self.counters = Counters()
        self.rtol, self.atol = rtol, atol
        self.order_limit = order
        self.R = np.array(R, dtype=np.float64, order="C")
        kernels.polish(self.R)
        self.b = np.einsum("lab,lb->la", self.R, beta + data.center)
        self.energy = 0.0
        layers, dim = self.b.shape
        size = data.x.shape[0]

        self.noise = NOISE * layers * (data.length + np.abs(self.b).max())
        self.pattern = np.zeros((size, layers, dim), np.int8)
        z = forward_pass(data.x, self.R, self.b, lambda layer, z: self._settle_start(layer, z)).z
        self._on_start = np.nonzero(np.abs(z) <= self.noise[:, None, None])
        self.log = NetworkLog(data, self.pattern)

        self.pins: list[Group] = []
        self.pin_weight = np.empty(0)
        self._pin_of = np.full(self.pattern.shape, -1, np.int64)
        self._chosen: list[Group] = []

        n = order + 1
        self._order = 0
        self._Rs, self._bs = np.zeros((n, layers, dim, dim)), np.zeros((n, layers, dim))
        self._Oms, self._cs = np.zeros((n, layers, dim, dim)), np.zeros((n, layers, dim))
        self._Ms = np.zeros((n, max(layers - 1, 1), dim, dim))
        self._energies, self._us = np.zeros(n), np.zeros((n, data.n_clusters, dim))
        self._lams = np.zeros((n, 0))
        self._zs, self._ws = np.zeros((size, layers, n, dim)), np.zeros((size, layers, n, dim))

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

    def _local(self, groups: list[Group], weight: Array) -> tuple[LocalField, Array]:
        """Return the field about ``weight`` on ``groups``, and how each member's w answers to its λ (k, L, Q)."""
        data = self.data
        h = self._weights(groups, weight)
        state = forward_pass(data.x, self.R, self.b, lambda layer, _: h[:, layer])
        w, c, Om = velocity(state, h, self.R, self.b, data.y_tilde[data.label], data.weight)
        members = [key for group in groups for key in group]
        q, gradients = adjoint(members, state.z, h, self.R)
        push = np.array([w[key] for key in members])
        jump = -data.weight[[key[0] for key in members]] * push
        starts = np.cumsum([0] + [len(group) for group in groups[:-1]])
        directions = np.add.reduceat(jump[:, None] * gradients, starts, axis=0)
        moving = tangent(c, Om) - weight @ directions
        return LocalField(moving, gradients[starts], directions), push[:, None, None] * q

    # -- the series --------------------------------------------------------------------------------------------

    def expand(self, reach: float) -> float:
        """See ``PiecewiseFlow.expand``."""
        data = self.data
        layers, dim = self.b.shape
        pins = len(self.pins)
        pin_c, pin_Om = np.zeros((pins, layers, dim)), np.zeros((pins, layers, dim, dim))
        member_w = np.zeros((0, layers, dim))
        inverse: Array = np.zeros((pins, pins))
        if self._lams.shape[1] != pins:
            self._lams = np.zeros((self.order_limit + 1, pins))
        if pins:
            self._stay_on_surfaces()
            local, member_w = self._hold()
            self._lams[0] = self.pin_weight
            pin_c, pin_Om = split_tangent(local.directions, layers, dim)
            inverse = np.asarray(
                np.linalg.pinv(self._held_normals() @ local.directions.T, rcond=1e-11), float
            )
            self.counters.slides += 1
        self._Rs[0], self._bs[0], self._energies[0] = self.R, self.b, self.energy
        where = np.array([members[0] for members in self.pins], dtype=np.int64).reshape(-1, 3)
        member_point = np.array([key[0] for members in self.pins for key in members], dtype=np.int64)
        member_pin = np.repeat(np.arange(pins), [len(members) for members in self.pins])
        acts = (self.pattern != UNTRUNCATED).any(axis=(1, 2))
        scale = max(float(np.abs(self.b).max()), float(np.abs(data.y_tilde).max()), self.atol / self.rtol)
        scale_energy = max(data.spread**2, scale**2)
        h, self._order = kernels.expand(
            self._Rs, self._bs, self._energies, self._Ms, self._us, self._cs, self._Oms, self._zs, self._ws,
            data.x, data.label, data.weight, data.y_tilde, self.pattern, acts,
            self._pin_of, where[:, 0].copy(), where[:, 1].copy(), where[:, 2].copy(), self._lams,
            pin_c, pin_Om, inverse, member_point, member_pin, member_w,
            self.order_limit, scale, scale_energy, min(STEP_SHARE * self.rtol, SERIES), reach,
        )  # fmt: skip
        self.counters.steps += 1
        self.counters.orders += self._order
        return float(h)

    def _hold(self) -> tuple[LocalField, Array]:
        """Bring the pinned weights to where all pinned coordinates stand still; return the field about them.

        The last values are right but for rounding, or for weights of one point in several layers, in which the field is
        multilinear: Newton's iteration.
        """
        local, member_w = self._local(self.pins, self.pin_weight)
        for _ in range(MAX_HOLD):
            field = local.velocity + self.pin_weight @ local.directions
            speed = local.normals @ field
            if np.abs(speed).max() <= HOLD * np.abs(field).max():
                break
            inverse = np.linalg.pinv(local.normals @ local.directions.T, rcond=1e-11)
            self.pin_weight = self.pin_weight - inverse @ speed
            local, member_w = self._local(self.pins, self.pin_weight)
        return local, member_w

    def _held_normals(self) -> Array:
        """∇z of the pinned surfaces as the series sees them: pinned coordinates of earlier layers pass nothing on."""
        h = (self.pattern == UNTRUNCATED).astype(np.float64)
        z = forward_pass(self.data.x, self.R, self.b, lambda layer, _: h[:, layer]).z
        return adjoint([members[0] for members in self.pins], z, h, self.R)[1]

    def _stay_on_surfaces(self) -> None:
        """Move the state back onto the pinned surfaces (rounding and the last bits of the series drift off them)."""
        h = self._weights(self.pins, self.pin_weight)
        state = forward_pass(self.data.x, self.R, self.b, lambda layer, _: h[:, layer])
        keys = [members[0] for members in self.pins]
        off = np.array([state.z[key] for key in keys])
        if np.abs(off).max() <= 1e-15 * (self.data.length.max() + np.abs(self.b).max()):
            return
        _, normals = adjoint(keys, state.z, h, self.R)
        back = -np.linalg.lstsq(normals, off, rcond=1e-11)[0]
        c, Om = split_tangent(back[None], *self.b.shape)
        self.b += c[0] + np.einsum("lij,lj->li", Om[0], self.b)
        self.R += np.einsum("lij,lja->lia", Om[0], self.R)
        kernels.polish(self.R)

    def next_change(self, h: float) -> Change | None:
        """See ``PiecewiseFlow.next_change``; ``what`` is ("surface", i, ℓ, r) or ("weight", k)."""
        work = np.zeros(2, np.int64)
        order = self._order
        t, (i, layer, r) = kernels.first_crossing(self._zs, self.pattern, order, h, self.noise, work)
        self.counters.candidates += int(work[0])
        self.counters.roots += int(work[1])
        what: tuple[str, int, int, int] | None = ("surface", i, layer, r) if i >= 0 else None
        for pin in range(len(self.pins)):
            c = self._lams[:order, pin].copy()
            upper = -c
            upper[0] += 1.0
            for bound in (c, upper):
                exit_ = weight_exit(bound, t, LAMBDA_NOISE)
                if exit_ >= 0.0 and (exit_ < t or what is None):
                    t, what = exit_, ("weight", pin, 0, 0)
        return None if what is None else Change(float(t), what)

    def observe(self, t: float) -> list[tuple[float, EventRow]]:
        """See ``PiecewiseFlow.observe``: here every surface acts on the field."""
        return []

    def series(self) -> GeneralSeries:
        """See ``PiecewiseFlow.series``."""
        n = self._order + 1
        return self._series(self._Rs[:n].copy(), self._bs[:n].copy(), self._energies[:n].copy())

    def standing(self) -> GeneralSeries:
        """See ``PiecewiseFlow.standing``."""
        return self._series(self.R[None].copy(), self.b[None].copy(), np.array([self.energy]))

    def _series(self, R: Array, b: Array, energy: Array) -> GeneralSeries:
        fraction = self.data.multiplicity @ (self.pattern != UNTRUNCATED).reshape(self.pattern.shape[0], -1)
        fraction = fraction.reshape(self.b.shape) / self.data.multiplicity.sum()
        return GeneralSeries(self.data, R, b, energy, fraction)

    def advance(self, t: float) -> None:
        """See ``PiecewiseFlow.advance``."""
        self.energy = kernels.evaluate_state(
            self._Rs, self._bs, self._energies, self._order, t, self.R, self.b
        )
        for pin in range(len(self.pins)):
            self.pin_weight[pin] = np.polynomial.polynomial.polyval(t, self._lams[: self._order, pin])

    # -- going on later ----------------------------------------------------------------------------------------

    def state(self) -> State:
        """See ``PiecewiseFlow.state``."""
        pins = under("pins", pins_state(self.pins, self.pin_weight))
        return {
            "R": self.R,
            "b": self.b,
            "energy": number(self.energy),
            **pattern_state(self.pattern),
            **pins,
        }

    def aids(self) -> State:
        """See ``PiecewiseFlow.aids``: there are none."""
        return {}

    def restore(self, saved: Saved, aids: Saved | None) -> None:
        """See ``PiecewiseFlow.restore``."""
        self.R[:] = saved.array("R", "f8", self.R.shape)
        self.b[:] = saved.array("b", "f8", self.b.shape)
        self.energy = saved.number("energy")
        restore_pattern(self.pattern, saved)
        self._pin(*restored_pins(self.pattern.shape, saved.part("pins")))
        self.pattern[self._pin_of >= 0] = PINNED
        self.log = NetworkLog(self.data, self.pattern)

    def restored_series(self, saved: Saved) -> GeneralSeries:
        """See ``PiecewiseFlow.restored_series``."""
        return restored_series(self.data, self.b.shape[0], saved)

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
            leaving.update([tuple(where)] if kind == "surface" else self.pins[where[0]])
            h = self._weights(self.pins, self.pin_weight)
            z = forward_pass(self.data.x, self.R, self.b, lambda layer, _: h[:, layer]).z
            zero = np.nonzero(np.abs(z) <= 2 * self.noise[:, None, None])
        near = zip(*(index.tolist() for index in zero), strict=True)
        pinned = {
            key: w for members, w in zip(self.pins, self.pin_weight.tolist(), strict=True) for key in members
        }
        chosen = grouped({*near, *pinned, *leaving}, self.pattern)
        return self._describe(chosen, pinned, self.pattern, leaving)

    def _describe(
        self, chosen: list[Group], pinned: dict[Key, float], pattern: Array, leaving: set[Key]
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
            field=lambda about: self._local(chosen, about)[0],
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
        return plain_descent(self.data, self.R, self.b, self.pattern == UNTRUNCATED, on, surfaces, self.noise)

    def creep(self) -> tuple[float, list[EventRow], Surfaces]:
        """See ``flows.base.Creeps``."""
        h = self._weights(self.pins, self.pin_weight)
        z = forward_pass(self.data.x, self.R, self.b, lambda layer, _: h[:, layer]).z
        near = zip(
            *(index.tolist() for index in np.nonzero(np.abs(z) <= 2 * self.noise[:, None, None])), strict=True
        )
        pinned = [key for members in self.pins for key in members]
        chosen = grouped({*near, *pinned}, self.pattern)
        end = self._plain_descent(chosen)
        self.R, self.b = end.R, end.b
        self.energy += end.energy
        kernels.polish(self.R)
        # What has come clear of its surface goes to that side; what is still close to it is settled anew.
        self._chosen = chosen
        rows = self.apply(
            np.where(end.sides == 2, (end.z > 0.0).astype(np.int64), end.sides), np.zeros(len(chosen))
        )
        close = [key for members, side in zip(chosen, end.sides, strict=True) if side == 2 for key in members]
        return end.elapsed, rows, self._describe(grouped(close, self.pattern), {}, self.pattern, set())

    def regroup(self, side: IntArray, weight: Array) -> Surfaces | None:
        """See ``PiecewiseFlow.regroup``: points come to coincide, or part, as an earlier layer's surface is settled."""
        pattern, pinned = self._settled(side, weight)
        chosen = grouped([key for members in self._chosen for key in members], pattern)
        if chosen == self._chosen:
            return None
        return self._describe(chosen, pinned, pattern, set())

    def _settled(self, side: IntArray, weight: Array) -> tuple[Array, dict[Key, float]]:
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
        groups = grouped(pinned, self.pattern)
        self._pin(groups, np.array([np.mean([pinned[key] for key in members]) for members in groups]))
        return events

    def _pin(self, groups: list[Group], weight: Array) -> None:
        """Pin these surfaces, and no others, with these weights."""
        self.pins, self.pin_weight = groups, weight
        self._pin_of[:] = -1
        for index, members in enumerate(groups):
            for key in members:
                self._pin_of[key] = index

    def at_rest(self) -> list[EventRow]:
        """See ``PiecewiseFlow.at_rest``."""
        data = self.data
        h = self._weights(self.pins, self.pin_weight)
        state = forward_pass(data.x, self.R, self.b, lambda layer, _: h[:, layer])
        _, c, Om = velocity(state, h, self.R, self.b, data.y_tilde[data.label], data.weight)
        eps = float(np.finfo(np.float64).eps)
        size = float(np.abs(self.b).max() + np.abs(data.y_tilde).max() + data.spread)
        if np.abs(c).max() > 8 * eps * size or np.abs(Om).max() > 32 * eps * size**2:
            return []
        return self.log.rest()


def split_tangent(vectors: Array, layers: int, dim: int) -> tuple[Array, Array]:
    """Return c (m, L, Q) and Ω (m, L, Q, Q) of tangent vectors (m, d) in orthonormal coordinates."""
    upper = np.triu_indices(dim, 1)
    parts = vectors.reshape(vectors.shape[0], layers, dim + upper[0].size)
    c = np.ascontiguousarray(parts[..., :dim])
    Om = np.zeros((vectors.shape[0], layers, dim, dim))
    Om[..., upper[0], upper[1]] = parts[..., dim:] / np.sqrt(2.0)
    return c, Om - np.swapaxes(Om, -1, -2)
