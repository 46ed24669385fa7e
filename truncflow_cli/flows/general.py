"""Flow `general` (Theorem 5.1, corrected): every layer sees every cluster, any number of layers."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.base import Change, Counters, EventRow, LocalField, Surfaces
from truncflow_cli.flows.general_data import GeneralData
from truncflow_cli.flows.general_events import NetworkLog
from truncflow_cli.flows.general_series import GeneralSeries
from truncflow_cli.flows.kernels import general as kernels
from truncflow_cli.flows.kernels.polynomial import first_exit
from truncflow_cli.flows.kernels.separated import PINNED, TRUNCATED, UNTRUNCATED, orthonormalise
from truncflow_cli.model.network import adjoint, forward_pass, tangent, velocity
from truncflow_cli.model.problem import Array, IntArray

MAX_ORDER = 20
STEP_SHARE = 0.1
NOISE = 32 * np.finfo(np.float64).eps
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
        for layer in self.R:
            orthonormalise(layer)
        self.b = np.einsum("lab,lb->la", self.R, beta + data.center)
        self.energy = 0.0
        layers, dim = self.b.shape
        size = data.x.shape[0]

        self.noise = NOISE * layers * (data.length + np.abs(self.b).max())
        self.pattern = np.zeros((size, layers, dim), np.int8)
        z = forward_pass(data.x, self.R, self.b, lambda layer, z: self._settle_start(layer, z)).z
        self._on_start = np.nonzero(np.abs(z) <= self.noise[:, None, None])
        self.log = NetworkLog(data, self.pattern)

        self.pins: list[tuple[int, int, int]] = []
        self.pin_weight = np.empty(0)
        self._pin_of = np.full(self.pattern.shape, -1, np.int64)
        self._chosen: list[tuple[int, int, int]] = []

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
        return self.pattern[:, layer] == UNTRUNCATED

    # -- the field ---------------------------------------------------------------------------------------------

    def _weights(self, surfaces: list[tuple[int, int, int]], weight: Array) -> Array:
        """Return h (n, L, Q): the pattern, with ``weight`` (m,) on ``surfaces``."""
        h = (self.pattern == UNTRUNCATED).astype(np.float64)
        for (i, layer, r), value in zip(surfaces, weight, strict=True):
            h[i, layer, r] = value
        return h

    def _local(self, surfaces: list[tuple[int, int, int]], weight: Array) -> tuple[LocalField, Array, Array]:
        """Return the field about ``weight`` on ``surfaces``, the adjoints q (m, L, Q) and w_r (m,) there."""
        data = self.data
        h = self._weights(surfaces, weight)
        state = forward_pass(data.x, self.R, self.b, lambda layer, _: h[:, layer])
        w, c, Om = velocity(state, h, self.R, self.b, data.y_tilde[data.label], data.weight)
        q, normals = adjoint(surfaces, state.z, h, self.R)
        push = np.array([w[key] for key in surfaces])
        weights = data.weight[[key[0] for key in surfaces]]
        jump = -weights * push
        moving = tangent(c, Om) - (weight * jump) @ normals
        return LocalField(moving, normals, jump), q, push

    # -- the series --------------------------------------------------------------------------------------------

    def expand(self, reach: float) -> float:
        """See ``PiecewiseFlow.expand``."""
        data = self.data
        layers, dim = self.b.shape
        pins = len(self.pins)
        pin_c, pin_Om = np.zeros((pins, layers, dim)), np.zeros((pins, layers, dim, dim))
        pin_w, inverse = np.zeros((pins, layers, dim)), np.zeros((pins, pins))
        if self._lams.shape[1] != pins:
            self._lams = np.zeros((self.order_limit + 1, pins))
        if pins:
            self._stay_on_surfaces()
            self._lams[0] = self.pin_weight
            local, q, push = self._local(self.pins, self.pin_weight)
            directions = local.jump[:, None] * local.normals
            pin_c, pin_Om = split_tangent(directions, layers, dim)
            pin_w = push[:, None, None] * q
            inverse = np.linalg.pinv(local.normals @ directions.T, rcond=1e-11)
            self.counters.slides += 1
        self._Rs[0], self._bs[0], self._energies[0] = self.R, self.b, self.energy
        where = np.array(self.pins, dtype=np.int64).reshape(-1, 3)
        acts = (self.pattern != UNTRUNCATED).any(axis=(1, 2))
        scale = max(float(np.abs(self.b).max()), float(np.abs(data.y_tilde).max()), self.atol / self.rtol)
        scale_energy = max(data.spread**2, scale**2)
        h, self._order = kernels.expand(
            self._Rs, self._bs, self._energies, self._Ms, self._us, self._cs, self._Oms, self._zs, self._ws,
            data.x, data.label, data.weight, data.y_tilde, self.pattern, acts,
            self._pin_of, where[:, 0].copy(), where[:, 1].copy(), where[:, 2].copy(), self._lams,
            pin_c, pin_Om, pin_w, inverse,
            self.order_limit, scale, scale_energy, STEP_SHARE * self.rtol, reach,
        )  # fmt: skip
        self.counters.steps += 1
        self.counters.orders += self._order
        return float(h)

    def _stay_on_surfaces(self) -> None:
        """Move the state back onto the pinned surfaces (rounding and the last bits of the series drift off them)."""
        h = self._weights(self.pins, self.pin_weight)
        state = forward_pass(self.data.x, self.R, self.b, lambda layer, _: h[:, layer])
        off = np.array([state.z[key] for key in self.pins])
        if np.abs(off).max() <= 1e-15 * (self.data.length.max() + np.abs(self.b).max()):
            return
        _, normals = adjoint(self.pins, state.z, h, self.R)
        back = -np.linalg.lstsq(normals, off, rcond=1e-11)[0]
        c, Om = split_tangent(back[None], *self.b.shape)
        self.b += c[0] + np.einsum("lij,lj->li", Om[0], self.b)
        self.R += np.einsum("lij,lja->lia", Om[0], self.R)
        for layer in self.R:
            orthonormalise(layer)

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
                exit_ = first_exit(bound, t, LAMBDA_NOISE)
                if exit_ >= 0.0 and (exit_ < t or what is None):
                    t, what = exit_, ("weight", pin, 0, 0)
        return None if what is None else Change(float(t), what)

    def observe(self, t: float) -> list[tuple[float, EventRow]]:
        """See ``PiecewiseFlow.observe``: here every surface acts on the field."""
        return []

    def series(self) -> GeneralSeries:
        """See ``PiecewiseFlow.series``."""
        n = self._order + 1
        fraction = self.data.multiplicity @ (self.pattern != UNTRUNCATED).reshape(self.pattern.shape[0], -1)
        fraction = fraction.reshape(self.b.shape) / self.data.multiplicity.sum()
        return GeneralSeries(self.data, self._Rs[:n].copy(), self._bs[:n].copy(), self._energies[:n].copy(), fraction)

    def advance(self, t: float) -> None:
        """See ``PiecewiseFlow.advance``."""
        self.energy = kernels.evaluate_state(self._Rs, self._bs, self._energies, self._order, t, self.R, self.b)
        self._t = t
        for pin in range(len(self.pins)):
            self.pin_weight[pin] = np.polynomial.polynomial.polyval(t, self._lams[: self._order, pin])

    # -- events ------------------------------------------------------------------------------------------------

    def conditions_at_start(self) -> list[EventRow]:
        """See ``PiecewiseFlow.conditions_at_start``."""
        return self.log.at_start()

    def surfaces(self, change: Change | None) -> Surfaces:
        """See ``PiecewiseFlow.surfaces``: the pinned ones, the one that left, and all others at zero to rounding."""
        leaving: set[tuple[int, int, int]] = set()
        if change is None:
            near = list(zip(*(index.tolist() for index in self._on_start), strict=True))
        else:
            kind, *where = change.what
            leaving.add(tuple(where) if kind == "surface" else self.pins[where[0]])
            h = self._weights(self.pins, self.pin_weight)
            z = forward_pass(self.data.x, self.R, self.b, lambda layer, _: h[:, layer]).z
            zero = np.nonzero(np.abs(z) <= 2 * self.noise[:, None, None])
            near = list(zip(*(index.tolist() for index in zero), strict=True))
        chosen = sorted({*near, *self.pins, *leaving})
        weights = dict(zip(self.pins, self.pin_weight.tolist(), strict=True))
        side = np.array([self.pattern[key] for key in chosen], dtype=np.int64)
        weight = np.array([weights.get(key, float(s == UNTRUNCATED)) for key, s in zip(chosen, side, strict=True)])
        self._chosen = chosen
        return Surfaces(
            side=side,
            weight=weight,
            leaving=np.array([key in leaving for key in chosen], dtype=np.int64),
            field=lambda about: self._local(chosen, about)[0],
        )

    def apply(self, side: IntArray, weight: Array) -> list[EventRow]:
        """See ``PiecewiseFlow.apply``."""
        events: list[EventRow] = []
        for key, s in zip(self._chosen, side.tolist(), strict=True):
            before = int(self.pattern[key])
            self.pattern[key] = s
            events += self.log.passage(key, before, s)
        events += self.log.collapses()
        for key in self.pins:
            self._pin_of[key] = -1
        self.pins = [key for key, s in zip(self._chosen, side, strict=True) if s == PINNED]
        self.pin_weight = weight[side == PINNED].copy()
        for index, key in enumerate(self.pins):
            self._pin_of[key] = index
        return events

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
