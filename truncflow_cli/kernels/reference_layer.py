"""One layer of `separated` in plain numpy; see ``kernels.interface.LayerKernel``.

Between events the field is a polynomial in the state, so its solution's Taylor coefficients follow from one another by
Cauchy products. In the co-moving frame, with b = Rβ, u = b + Rỹ and z = Rx + b (THEORY 2),

    R' = Ω R,     b' = Ω b − J⊥ u,     energy' = |J⊥ u|² + ‖Ω‖_F²                     (3.22), (3.24), (3.27)
    Ω = ½ (P − Pᵀ),   P_ij = mean_x h_i (z_i u_j + z_j (u_i − z_i))                   (3.25), corrected

As u − z = R(ỹ − x), the moments m = mean h (x, 1) and M = mean h x (x, 1)ᵀ of the untruncated points (Cor. 3.5,
corrected) give, with R̂_j = (R_j, b_j),

    P_ij = B_i·R̂_j + S_i u_j,    S_i = m_i·R̂_i,    B_i = mean h_i (u_i − z_i)(x, 1) = (R_i·ỹ) m_i − R_i M_i.

A pinned point (z_r = 0) enters with a weight λ(s): P_rj += mass λ u_r z_j and (J⊥)_rr −= mass λ, where λ is such that
z_r stays 0; its coefficient of each order solves a linear system, the same one for all orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from truncflow_cli.kernels.interface import Array, Coefficients, Crossing, Group, Ints, Pattern
from truncflow_cli.kernels.reference_series import (
    ReferenceKernel,
    TrustedLength,
    cauchy,
    cluster_losses,
    every_exit,
    first_of,
)
from truncflow_cli.problem import PINNED, UNTRUNCATED
from truncflow_cli.saved_state import State

if TYPE_CHECKING:
    from truncflow_cli.flows.points import LayerPoints

#: Rounding error of a coordinate z, in units of |x| + |b|.
NOISE = 32 * float(np.finfo(np.float64).eps)
#: Rank-one updates of the moments after which they are summed anew, so that rounding does not pile up.
REFRESH = 4096


class ReferenceLayer(ReferenceKernel):
    """See ``kernels.interface.LayerKernel``."""

    def __init__(
        self, points: LayerPoints, R: Array, *, tolerance: float, floor: float, printed: bool, order: int
    ) -> None:
        """Prepare for the state R, b = 0, with no coordinate's side known; see ``CompiledLayer``."""
        size, dim = points.x.shape
        super().__init__(R, np.zeros(dim))
        self._data = points
        self._tolerance, self._floor, self._printed, self._highest = tolerance, floor, printed, order
        self._extended = np.column_stack([points.x, np.ones(size)])
        self.pattern: Pattern = np.zeros((size, dim), np.int8)
        self._m, self._M = np.zeros((dim, dim + 1)), np.zeros((dim, dim, dim + 1))
        self._updates = np.zeros(1, np.int64)
        self.hold([])

    @property
    def truncated_fraction(self) -> Array:
        """See ``Kernel``."""
        return np.asarray(1.0 - self._m[:, -1] / self._data.total)[None]

    def moments(self) -> tuple[Array, Array, Array]:
        """See ``LayerKernel``."""
        m, M = self._m / self._data.total, self._M / self._data.total
        return m[:, -1], m[:, :-1], M[:, :, :-1]

    def sum_moments(self) -> None:
        """See ``LayerKernel``."""
        own = self._data.n_own
        h = self._data.multiplicity[:, None] * (self.pattern[:own] == UNTRUNCATED)
        x = self._extended[:own]
        self._m[:] = h.T @ x
        for r in range(self.b.size):
            self._M[r] = (h[:, r, None] * x[:, :-1]).T @ x
        self._updates[0] = 0

    def count(self, points: Ints, rows: Ints, sign: float) -> None:
        """See ``LayerKernel``."""
        for i, r in zip(points.tolist(), rows.tolist(), strict=True):
            x = self._extended[i]
            share = sign * self._data.multiplicity[i] * x
            self._m[r] += share
            self._M[r] += np.outer(x[:-1], share)
        self._updates[0] += points.size

    def hold(self, pins: Sequence[Group]) -> None:
        """See ``Kernel``."""
        point, _, row = np.array([group[0] for group in pins], np.int64).reshape(-1, 3).T
        self._pin_row, self._pin_x = row, self._extended[point]
        self._pin_mass = self._data.multiplicity[point] / self._data.total

    # -- the series --------------------------------------------------------------------------------------------

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is met, and said, by the solver
    def expand(self, reach: float, weight: Array, inverse: Array) -> float:
        """See ``Kernel``."""
        if self._updates[0] > REFRESH:
            self.sum_moments()
        data, dim, row, mass = self._data, self.b.size, self._pin_row, self._pin_mass
        m, M = self._m / data.total, self._M / data.total
        u = self.b + self.R @ data.y_tilde
        scale = max(self._floor, np.abs(u).max(), np.abs(self.b).max())
        square = max(u @ u, data.spread**2, self._floor**2)
        trusted = TrustedLength(self._tolerance, reach, self._highest)
        pinned = np.arange(row.size)

        N = self._highest + 1
        left = np.zeros((N, dim, dim + 2))  # (B, S)
        right = np.zeros((N, dim, dim + 2))  # (R, b, u)
        Om, Ju, energy = np.zeros((N, dim, dim)), np.zeros((N, dim)), np.zeros(N)
        lam, v, z = np.zeros((N, row.size)), np.zeros((N, row.size)), np.zeros((N, row.size, dim))
        right[0, :, :dim], right[0, :, dim], energy[0], lam[0] = self.R, self.b, self.energy, weight
        for n in range(self._highest):
            rows = right[n, :, :-1]
            head = rows[:, :dim] @ data.y_tilde
            u = right[n, :, -1] = rows[:, dim] + head
            left[n, :, -1] = np.einsum("ra,ra->r", m, rows)
            left[n, :, :-1] = (u if self._printed else head)[:, None] * m
            if not self._printed:
                left[n, :, :-1] -= np.einsum("rc,rca->ra", rows[:, :dim], M)
            P = cauchy(left[: n + 1], right[: n + 1].transpose(0, 2, 1))
            Ju[n] = (1.0 - m[:, dim]) * u

            if row.size:
                z[n] = self._pin_x @ rows.T
                v[n] = (lam[: n + 1] * right[n::-1, row, -1]).sum(axis=0)
                np.add.at(P, row, mass[:, None] * np.einsum("mk,mkj->kj", v[: n + 1], z[n::-1]))
                np.subtract.at(Ju[n], row, mass * v[n])
            Om[n] = 0.5 * (P - P.T)
            if row.size:  # now λ_n such that the n-th coefficients of ż vanish on the pinned surfaces
                speed = np.einsum("mkj,mkj->k", Om[: n + 1][:, row], z[n::-1]) - Ju[n, row]
                correction = -inverse @ speed
                lam[n] += correction
                change = right[0, row, -1] * correction
                v[n] += change
                np.subtract.at(Ju[n], row, mass * change)
                turn = np.zeros((dim, dim))
                aside = z[0].copy()
                aside[pinned, row] = 0.0
                np.add.at(turn, row, 0.5 * (mass * change)[:, None] * aside)
                Om[n] += turn - turn.T

            power = np.vdot(Om[: n + 1], Om[n::-1]) + np.vdot(Ju[: n + 1], Ju[n::-1])
            energy[n + 1] = power / (n + 1)
            following = cauchy(Om[: n + 1], right[: n + 1, :, :-1])
            following[:, dim] -= Ju[n]
            right[n + 1, :, :-1] = following / (n + 1)
            sizes = np.linalg.norm(right[n + 1, :, :dim], axis=1), np.abs(right[n + 1, :, dim]) / scale
            size = max(abs(energy[n + 1]) / square, float(np.max(sizes)))
            if trusted.enough(n, size, float(np.abs(lam[n]).max(initial=0.0))):
                break
        p = n + 1
        self.path = Coefficients(
            right[: p + 1, None, :, :dim].copy(), right[: p + 1, None, :, dim].copy(), energy[: p + 1].copy()
        )
        self.lam = lam[:p]
        return trusted.length

    def _can_cross(self, first: int, beyond: int, h: float) -> tuple[Ints, Ints, Array, Array]:
        """Return which coordinates of these points may reach zero on [0, h]: points, rows, series (p+1, k) and noise.

        |z| is at least |z_0| − |x| Σ_n |R_n| hⁿ − Σ_n |b_n| hⁿ.
        """
        data, R, b = self._data, self.path.R[:, 0], self.path.b[:, 0]
        powers = h ** np.arange(1, len(b))
        turn, shift = powers @ np.linalg.norm(R[1:], axis=2), powers @ np.abs(b[1:])
        x, length = data.x[first:beyond], data.length[first:beyond, None]
        noise = NOISE * (length + np.abs(b[0]))
        z = x @ R[0].T + b[0]
        near = (np.abs(z) <= turn * length + shift + 4 * noise) & (self.pattern[first:beyond] != PINNED)
        i, r = np.nonzero(near)
        series = np.einsum("nka,ka->nk", R[:, r], x[i]) + b[:, r]
        return i + first, r, series, noise[i, r]

    def first_crossing(self, h: float) -> Crossing:
        """See ``Kernel``."""
        i, r, series, noise = self._can_cross(0, self._data.n_own, h)
        sign = np.where(self.pattern[i, r] == UNTRUNCATED, 1.0, -1.0)
        t, which, roots = first_of(sign * series, noise, h)
        return Crossing(t, (int(i[which]), 0, int(r[which])) if which >= 0 else None, i.size, roots)

    def looked_at(self) -> tuple[Ints, Ints]:
        """See ``LayerKernel``: all own ones."""
        i, r = np.indices((self._data.n_own, self.b.size)).reshape(2, -1)
        return i, r

    def foreign_crossings(self, t: float) -> list[tuple[float, int, int]]:
        """See ``LayerKernel``."""
        points, rows, series, noise = self._can_cross(self._data.n_own, len(self._data.x), t)
        found = []
        for i, r, c, slack in zip(points.tolist(), rows.tolist(), series.T, noise.tolist(), strict=True):
            sign = 1.0 if self.pattern[i, r] == UNTRUNCATED else -1.0
            found += [(time, i, r) for time in every_exit(c, sign, t, slack)]
        return sorted(found, key=lambda crossing: crossing[0])

    def losses(self, R: Array, b: Array) -> Array:
        """See ``Kernel``."""
        data = self._data
        return cluster_losses(data.x, data.multiplicity, data.total, data.y_tilde, R[:, 0], b[:, 0])[:, None]

    # -- going on later ----------------------------------------------------------------------------------------

    def sums(self) -> State:
        """See ``Kernel``."""
        return {"m": self._m, "M": self._M, "updates": self._updates}
