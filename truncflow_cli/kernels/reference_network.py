"""All layers of `general` in plain numpy, point by point; see ``kernels.interface.NetworkKernel``.

In the layers' co-moving frames, with b_ℓ = R_ℓ β^(ℓ), M_ℓ = R_{ℓ+1} R_ℓᵀ and u_j = b_L + R_L ỹ_j, a point of cluster j
has (THEORY 3)

    forward:   z_1 = R_1 x + b_1,    z_{ℓ+1} = M_ℓ y_ℓ + b_{ℓ+1},    y_ℓ = H_ℓ z_ℓ − b_ℓ
    backward:  w_L = H_L z_L − u_j,  w_ℓ = M_ℓᵀ H_{ℓ+1} w_{ℓ+1}                  (w_ℓ = R_ℓ g_ℓ)

and the flow is, with means over each cluster summed over clusters,

    b_ℓ' = Ω_ℓ b_ℓ + c_ℓ,   c_ℓ = Σ mean H_ℓ⊥ w_ℓ                                 (5.4), corrected
    R_ℓ' = Ω_ℓ R_ℓ,         Ω_ℓ = −½ Σ mean [H_ℓ, z_ℓ w_ℓᵀ + w_ℓ z_ℓᵀ]             (5.6)
    energy' = Σ_ℓ |c_ℓ|² + ‖Ω_ℓ‖_F².

A pinned coordinate has z_r = 0 and h_r = λ(s): it passes nothing on, and acts through λ w_r alone. λ is such that z_r
stays 0: its coefficients of order n solve a linear system by which those of order n+1 of all pinned z_r vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from truncflow_cli.kernels.interface import Array, Coefficients, Crossing, Group, Ints, Pattern
from truncflow_cli.kernels.reference_series import (
    ReferenceKernel,
    TrustedLength,
    cauchy,
    first_of,
    network_losses,
)
from truncflow_cli.network_field import forward_pass, velocity
from truncflow_cli.problem import PINNED, UNTRUNCATED

if TYPE_CHECKING:
    from truncflow_cli.flows.points import NetworkPoints


class ReferenceNetwork(ReferenceKernel):
    """See ``kernels.interface.NetworkKernel``."""

    def __init__(
        self, points: NetworkPoints, R: Array, *, tolerance: float, floor: float, order: int
    ) -> None:
        """Prepare for the state R, b = 0, with no coordinate's side known; see ``CompiledNetwork``."""
        size, dim = points.x.shape
        super().__init__(R, np.zeros((R.shape[0], dim)))
        self._data = points
        self._tolerance, self._floor, self._highest = tolerance, floor, order
        self.noise = np.zeros(size)
        self.pattern: Pattern = np.zeros((size, R.shape[0], dim), np.int8)
        self.hold([])

    @property
    def truncated_fraction(self) -> Array:
        """See ``Kernel``."""
        truncated = self.pattern != UNTRUNCATED
        return np.asarray(np.tensordot(self._data.multiplicity, truncated, 1) / self._data.total)

    def set_scale(self, way: float, slack: float) -> None:
        """See ``NetworkKernel``: all points are looked at in each step."""

    def gather(self) -> None:
        """See ``NetworkKernel``: nothing is summed up."""

    def hold(self, pins: Sequence[Group]) -> None:
        """See ``NetworkKernel``."""
        keys = np.array([key for group in pins for key in group], np.int64).reshape(-1, 3)
        self._pinned = tuple(keys.T)
        self._pin = np.repeat(np.arange(len(pins)), [len(group) for group in pins])
        self._first = tuple(np.array([group[0] for group in pins], np.int64).reshape(-1, 3).T)

    def move(self, points: Ints) -> None:
        """See ``NetworkKernel``: nothing is summed up."""

    def field(self) -> tuple[Array, Array]:
        """See ``NetworkKernel``."""
        data, h = self._data, (self.pattern == UNTRUNCATED).astype(np.float64)
        state = forward_pass(data.x, self.R, self.b, lambda layer, _: h[:, layer])
        _, c, Om = velocity(state, h, self.R, self.b, data.target, data.weight)
        return c, Om

    # -- the series --------------------------------------------------------------------------------------------

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is met, and said, by the solver
    def expand(self, reach: float, weight: Array, inverse: Array) -> float:
        """See ``Kernel``."""
        scale = max(self._floor, np.abs(self.b).max())
        square = max(self._data.spread, scale) ** 2
        trusted = TrustedLength(self._tolerance, reach, self._highest)
        terms = _Terms(self, weight)
        for n in range(self._highest):
            terms.find_next(n)
            if weight.size:
                terms.lam[n] -= (n + 1) * inverse @ terms.z[n + 1, *self._first]
                terms.find_next(n)
            R, b, energy = terms.R[n + 1], terms.b[n + 1], terms.energy[n + 1]
            sizes = np.linalg.norm(R, axis=2).max(), np.abs(b).max() / scale, abs(energy) / square
            if trusted.enough(n, float(np.max(sizes)), float(np.abs(terms.lam[n]).max(initial=0.0))):
                break
        p = n + 1
        self.path = Coefficients(
            terms.R[: p + 1].copy(), terms.b[: p + 1].copy(), terms.energy[: p + 1].copy()
        )
        self.lam = terms.lam[:p]
        self._z = terms.z[: p + 1]
        return trusted.length

    @staticmethod
    def _all_orders(where: tuple[Ints, ...]) -> tuple[Any, ...]:
        return (slice(None), *where)

    def drift(self) -> Array:
        """See ``NetworkKernel``."""
        return np.asarray(self._z[self._all_orders(self._first)])

    def first_crossing(self, h: float) -> Crossing:
        """See ``Kernel``."""
        where = np.nonzero(self.pattern != PINNED)
        sign = np.where(self.pattern[where] == UNTRUNCATED, 1.0, -1.0)
        t, which, roots = first_of(sign * self._z[self._all_orders(where)], self.noise[where[0]], h)
        surface = (int(where[0][which]), int(where[1][which]), int(where[2][which])) if which >= 0 else None
        return Crossing(t, surface, where[0].size, roots)

    def close(self) -> Ints:
        """See ``NetworkKernel``: all of them."""
        return np.arange(len(self._data.x))

    def losses(self, R: Array, b: Array) -> Array:
        """See ``Kernel``."""
        data = self._data
        return network_losses(data.x, data.weight, data.target, data.label, data.n_clusters, R, b)


class _Terms:
    """The coefficients of all that the series are made of, order by order.

    Attributes:
        R, b, energy: (P+1, L, Q, Q), (P+1, L, Q), (P+1,).
        lam: (P+1, k) weights of the pinned surfaces.
        z: (P+1, M, L, Q) the points' coordinates.
    """

    def __init__(self, kernel: ReferenceNetwork, weight: Array) -> None:
        self._data, self._open = kernel._data, (kernel.pattern == UNTRUNCATED).astype(np.float64)
        self._pinned, self._pin = kernel._pinned, kernel._pin
        orders, (size, layers, dim) = kernel._highest + 1, kernel.pattern.shape
        self.R, self.b, self.energy = (
            np.zeros((orders, layers, dim, dim)),
            np.zeros((orders, layers, dim)),
            np.zeros(orders),
        )
        self.lam = np.zeros((orders, weight.size))
        self.z, self._y, self._w, self._hw = np.zeros((4, orders, size, layers, dim))
        self._Om, self._c = np.zeros((orders, layers, dim, dim)), np.zeros((orders, layers, dim))
        self._M = np.zeros((orders, layers - 1, dim, dim))
        self.R[0], self.b[0], self.energy[0], self.lam[0] = kernel.R, kernel.b, kernel.energy, weight
        self._forward(0)

    def find_next(self, n: int) -> None:
        """Find the coefficients of order n+1 of the state and of z, from those up to n and λ_n."""
        self._backward(n)
        Om, c = self._Om[: n + 1], self._c[: n + 1]
        power = np.vdot(Om, Om[::-1]) + np.vdot(c, c[::-1])
        self.energy[n + 1] = power / (n + 1)
        for layer in range(self.b.shape[1]):
            self.R[n + 1, layer] = cauchy(Om[:, layer], self.R[: n + 1, layer]) / (n + 1)
            turned = cauchy(Om[:, layer], self.b[: n + 1, layer, :, None])[:, 0]
            self.b[n + 1, layer] = (turned + self._c[n, layer]) / (n + 1)
        self._forward(n + 1)

    def _forward(self, n: int) -> None:
        """Fill order n of M, z and y."""
        for layer in range(self.b.shape[1]):
            z = self.z[n, :, layer]
            if layer == 0:
                z[:] = self._data.x @ self.R[n, 0].T
            else:
                R = self.R[: n + 1]
                self._M[n, layer - 1] = cauchy(R[:, layer], R[:, layer - 1].transpose(0, 2, 1))
                M = self._M[: n + 1, layer - 1].transpose(0, 2, 1)
                z[:] = cauchy(self._y[: n + 1, :, layer - 1], M)
            z += self.b[n, layer]
            self._y[n, :, layer] = self._open[:, layer] * z - self.b[n, layer]

    def _backward(self, n: int) -> None:
        """Fill order n of w, H w, c and Ω."""
        data, layers = self._data, self.b.shape[1]
        point, pin_layer, row = self._pinned
        for layer in range(layers - 1, -1, -1):
            w, hw, h = self._w[n, :, layer], self._hw[n, :, layer], self._open[:, layer]
            if layer == layers - 1:
                w[:] = self._y[n, :, layer] - data.target @ self.R[n, layer].T
            else:
                w[:] = cauchy(self._hw[: n + 1, :, layer + 1], self._M[: n + 1, layer])
            hw[:] = h * w
            for k in np.flatnonzero(pin_layer == layer):
                i, r = point[k], row[k]
                hw[i, r] = self.lam[: n + 1, self._pin[k]] @ self._w[n::-1, i, layer, r]
            self._c[n, layer] = data.weight @ (w - hw)
            weighted = data.weight[:, None] * np.stack(
                [self._hw[: n + 1, :, layer], h * self.z[: n + 1, :, layer]]
            )
            P = cauchy(weighted[0].transpose(0, 2, 1), self.z[: n + 1, :, layer])
            P += cauchy(weighted[1].transpose(0, 2, 1), self._w[: n + 1, :, layer])
            self._Om[n, layer] = -0.5 * (P - P.T)
