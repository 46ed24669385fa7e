"""A Taylor series of R and b at many times, and when a polynomial leaves its side of zero."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.kernels.interface import Coefficients, States
from truncflow_cli.kernels.library import library

Array = NDArray[np.float64]


def evaluate_layers(series: Coefficients, t: Array) -> States:
    """Return the states of all layers at times t (T,)."""
    layers = [
        _evaluate(series.R[:, layer], series.b[:, layer], series.energy, t)
        for layer in range(series.b.shape[1])
    ]
    R, b, beta = (np.stack([layer[k] for layer in layers], axis=1) for k in range(3))
    return States(R, b, beta, layers[0][3])


def evaluate_states(R: Array, b: Array, energy: Array, t: Array) -> States:
    """Return the states of one layer, without an axis for it, at times t (T,).

    Args:
        R: (P+1, Q, Q) coefficients of the powers of t.
        b: (P+1, Q) the same.
        energy: (P+1,) the same.
        t: (T,) times.
    """
    return States(*_evaluate(R, b, energy, t))


def _evaluate(R: Array, b: Array, energy: Array, t: Array) -> tuple[Array, Array, Array, Array]:
    R, b, energy, t = (np.ascontiguousarray(array, dtype=np.float64) for array in (R, b, energy, t))
    size, dim = t.size, b.shape[1]
    states = np.empty((size, dim, dim)), np.empty((size, dim)), np.empty((size, dim)), np.empty(size)
    scratch = np.empty((2, dim, dim))
    library().truncflow_evaluate(
        *map(_address, (R, b, energy)),
        *map(ctypes.c_int64, (energy.size - 1, dim, size)),
        *map(_address, (t, *states, scratch)),
    )
    return states


def cluster_losses(x: Array, weight: Array, total: float, y_tilde: Array, R: Array, b: Array) -> Array:
    """Return ½ mean_i |σ(R x_i + b) − (b + Rỹ)|² of a cluster in several states (T,), its part of the loss (3.18).

    By a forward pass, without the moments that the flow itself works with, so that the energy balance checks them.

    Args:
        x: (M, Q) positions of the own points, and others after them.
        weight: (own,) multiplicities of the own points.
        total: their sum.
        y_tilde: (Q,) ỹ.
        R, b: (T, Q, Q), (T, Q).
    """
    times, dim = b.shape
    loss = np.empty(times)
    own, points, count = (ctypes.c_int64(n) for n in (weight.size, dim, times))
    library().truncflow_losses(
        _address(x), _address(weight), own, ctypes.c_double(total), _address(y_tilde),
        _address(R), _address(b), points, count, _address(loss),
    )  # fmt: skip
    return loss


def network_losses(
    x: Array, weight: Array, target: Array, label: NDArray[np.int64], clusters: int, R: Array, b: Array
) -> Array:
    """Return (1/N_j) Σ_i ½ |τ^(L)∘…∘τ^(1)(x) − ỹ_j|² of each cluster (T, C) in states by a forward pass (2.26).

    Args:
        x: (M, Q) positions.
        weight: (M,) share of each point in its cluster.
        target: (M, Q) its ỹ.
        label: (M,) its cluster.
        clusters: C.
        R, b: (T, L, Q, Q), (T, L, Q).
    """
    times, layers, dim = b.shape
    loss = np.empty((times, clusters))
    sizes = [ctypes.c_int64(n) for n in (layers, dim, clusters, times)]
    data = [_address(array) for array in (x, weight, target, label)]
    points = ctypes.c_int64(weight.size)
    library().truncflow_network_losses(*data, points, _address(R), _address(b), *sizes, _address(loss))
    return loss


def first_exit(c: Array, h: float, noise: float) -> float:
    """Return when Σ c_n tⁿ, which ought to stay positive, falls below zero on [0, h], or -1.0, see ``polynomial.h``."""
    c = np.ascontiguousarray(c, dtype=np.float64)
    size, end, slack = ctypes.c_int64(c.size), ctypes.c_double(h), ctypes.c_double(noise)
    return float(library().truncflow_first_exit(_address(c), size, end, slack))


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
