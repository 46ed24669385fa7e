"""Exponential collocation: integrate decay exactly and everything else as a polynomial.

On a step of length h the equation x' = −μ x + n(t), μ ≥ 0, has the solution

    x(θ h) = e^{−z θ} x(0) + h ∫₀^θ e^{−z (θ − t)} n(t h) dt,   z = h μ.

With n a polynomial through its values at Gauss nodes the integral is a sum of the moments G_k that
`Rule.moments` evaluates to rounding error for any z: stiffness (z ≫ 1) costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import leggauss, legvander

from truncflow_cli.problem import Array

#: Up to this z quadrature gives the moments; beyond it the recurrence, with errors up to 1e-13 at small θ.
RECURRENCE_FROM = 100.0
#: Gauss points that integrate e^{−100 t} times a polynomial of degree 15 on [0, 1] to rounding error.
QUADRATURE_POINTS = 40


@dataclass(frozen=True)
class Rule:
    """Gauss-Legendre collocation with m nodes on [0, 1].

    Attributes:
        nodes: (m,) c_i.
        to_legendre: (m, m) takes values at the nodes to coefficients of the shifted Legendre polynomials P_k.
        integrate: (m, m) takes values at the nodes to ∫₀^{c_i} of their interpolant.
    """

    nodes: Array
    to_legendre: Array
    integrate: Array

    @property
    def size(self) -> int:
        """The number of nodes m."""
        return int(self.nodes.size)

    def moments(self, z: Array, theta: Array) -> Array:
        """Return (T, m, ...): G_k = ∫₀^θ e^{−z (θ − t)} P_k(t) dt for θ (T,), k < m and every z ≥ 0 (...)."""
        flat = z.ravel()
        G = np.empty((theta.size, self.size, flat.size))
        stiff = flat > RECURRENCE_FROM
        G[:, :, ~stiff] = self._moments_by_quadrature(flat[~stiff], theta)
        G[:, :, stiff] = self._moments_by_recurrence(flat[stiff], theta)
        return G.reshape(theta.size, self.size, *z.shape)

    def kernels(self, z: Array) -> Array:
        """Return (m, m, ...): the integral at node i from n at the nodes j, for every z ≥ 0 (...)."""
        G = self.moments(z, self.nodes).reshape(self.size, self.size, z.size)
        kernels: Array = (self.to_legendre.T @ G).reshape(self.size, self.size, *z.shape)
        return kernels

    def _moments_by_quadrature(self, z: Array, theta: Array) -> Array:
        t, w = gauss(QUADRATURE_POINTS)
        P = legendre(self.size, np.outer(theta, t))[:-1].transpose(1, 0, 2)
        lag, weight = np.outer(theta, 1.0 - t)[:, :, None], np.outer(theta, w)[:, :, None]
        moments: Array = P @ (np.exp(-lag * z) * weight)
        return moments

    def _moments_by_recurrence(self, z: Array, theta: Array) -> Array:
        # From P'_{k+1} − P'_{k−1} = 2 (2k + 1) P_k by parts; forwards it is stable for z well above 2k + 1.
        P = legendre(self.size, theta)[:, :, None]
        decay = np.exp(-np.outer(theta, z))
        G = [-np.expm1(-np.outer(theta, z)) / z]
        G.append((P[1] + decay - 2.0 * G[0]) / z)
        for k in range(1, self.size - 1):
            G.append(G[k - 1] + (P[k + 1] - P[k - 1] - 2.0 * (2 * k + 1) * G[k]) / z)
        return np.stack(G, axis=1)


def legendre(degree: int, t: Array) -> Array:
    """Return (degree + 1, ...): the Legendre polynomials shifted to [0, 1], P_0 … P_degree, at t (...)."""
    P: Array = np.moveaxis(np.asarray(legvander(2.0 * t - 1.0, degree), np.float64), -1, 0)
    return P


@lru_cache
def gauss(n: int) -> tuple[Array, Array]:
    """Return the nodes and weights, each (n,), of the Gauss-Legendre rule on [0, 1]."""
    # numpy's weights near the ends are off by 1e-14, relatively; these are Christoffel's.
    nodes = 0.5 + 0.5 * leggauss(n)[0]
    return nodes, 1.0 / ((2 * np.arange(n) + 1) @ legendre(n - 1, nodes) ** 2)


@lru_cache
def rule(n: int) -> Rule:
    """Return the collocation rule with n ≥ 2 nodes."""
    c, b = gauss(n)
    to_legendre = (2 * np.arange(n) + 1)[:, None] * b * legendre(n - 1, c)
    return Rule(c, to_legendre, integrals(n, c) @ to_legendre)


def integrals(n: int, theta: Array) -> Array:
    """Return (T, n): ∫₀^θ P_k dt for each θ of ``theta`` (T,) and k < n."""
    P = legendre(n, theta)
    return np.column_stack([theta, ((P[2:] - P[:-2]) / (4 * np.arange(1, n) + 2)[:, None]).T])
