"""Gradients by the complex step: exact to rounding, and no formula for the gradient enters them.

For an analytic f, Im f(a + i t e)/t is the derivative along e up to O(t^2), which is far below rounding at
t = 1e-40, and nothing is subtracted. Along the orthogonal group the curve is exp(i t A) R = (1 + i t A) R,
exact at this t, for A antisymmetric; the metric on o(Q) is <A, B> = Tr(A^T B).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STEP = 1e-40

Scalar = Callable[[np.ndarray, np.ndarray], complex]


def antisymmetric_basis(dim: int) -> list[np.ndarray]:
    """Return an orthonormal basis of o(Q) in the metric Tr(A^T B), as (Q, Q) arrays."""
    basis = []
    for a in range(dim):
        for b in range(a + 1, dim):
            A = np.zeros((dim, dim))
            A[a, b], A[b, a] = 1.0, -1.0
            basis.append(A / np.sqrt(2.0))
    return basis


def gradient(f: Scalar, beta: np.ndarray, R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient of f(beta, R) at beta (L, Q), R (L, Q, Q).

    Returns:
        The part along beta, (L, Q), and the part along o(Q), A_l with df = Tr(A_l^T dOmega_l) for
        dR_l = dOmega_l R_l, (L, Q, Q).
    """
    n_layers, dim = beta.shape
    along_beta = np.zeros_like(beta)
    along_R = np.zeros_like(R)
    for layer in range(n_layers):
        for q in range(dim):
            moved = beta.astype(complex)
            moved[layer, q] += 1j * STEP
            along_beta[layer, q] = np.imag(f(moved, R.astype(complex))) / STEP
        for A in antisymmetric_basis(dim):
            turned = R.astype(complex)
            turned[layer] = R[layer] + 1j * STEP * (A @ R[layer])
            along_R[layer] += np.imag(f(beta.astype(complex), turned)) / STEP * A
    return along_beta, along_R


def descent_field(f: Scalar, beta: np.ndarray, R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (d_s beta, Omega) of the gradient flow of f, (L, Q) and (L, Q, Q); d_s R_l = Omega_l R_l."""
    along_beta, along_R = gradient(f, beta, R)
    return -along_beta, -along_R
