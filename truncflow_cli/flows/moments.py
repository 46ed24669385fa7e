"""The field of Theorem 3.2 from the constrained moments of a cluster (Cor. 3.5, corrected): plain numpy.

This is the readable form; the compiled series (``kernels/layer_taylor.c``) are tested against it.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.problem import Array


def moments(x: Array, weight: Array, untruncated: Array) -> tuple[Array, Array, Array]:
    """Return p_r = mean h_r (Q,), G_r = mean h_r x (Q, Q) and K_r = mean h_r x xᵀ (Q, Q, Q).

    x (N, Q) points, weight (N,) their multiplicities, untruncated (N, Q) the values h(z_{i,r}) (fractions allowed).
    """
    h = untruncated * weight[:, None] / weight.sum()
    return h.sum(axis=0), h.T @ x, np.einsum("ir,ia,ib->rab", h, x, x, optimize=True)


def field(
    R: Array, b: Array, y_tilde: Array, p: Array, G: Array, K: Array, *, printed: bool = False
) -> tuple[Array, Array]:
    """Return (J⊥u, Ω), so that ∂_s β = −Rᵀ(J⊥u) (3.22) and ∂_s R = Ω R (3.24).

    R (Q, Q), b = Rβ (Q,), y_tilde (Q,), and the moments p (Q,), G (Q, Q), K (Q, Q, Q); the result has shapes (Q,)
    and (Q, Q). ``printed`` leaves out the term −½ z zᵀ of Ω, as the paper's (3.25) does.
    """
    u = b + R @ y_tilde
    S = G @ R.T + np.outer(p, b)  # S_rj = mean h_r z_j
    P = np.diag(S)[:, None] * u[None, :] + S * u[:, None]
    if not printed:
        # T_rj = mean h_r z_r z_j
        g = np.einsum("ra,ra->r", G, R)
        T = np.einsum("ra,rab,jb->rj", R, K, R, optimize=True)
        T += g[:, None] * b[None, :] + b[:, None] * S
        P -= T
    return (1.0 - p) * u, 0.5 * (P - P.T)
