"""The arrays that hold the Taylor series of `general`: of the state, of the columns of all nodes, of pinned points."""

from __future__ import annotations

from typing import NamedTuple

from truncflow_cli.flows.kernels.cells import Array, Ints


class Course(NamedTuple):
    """Taylor coefficients of the state along the present piece; the first axis is the order, up to P.

    Attributes:
        R, b, energy: (P+1, L, Q, Q), (P+1, L, Q), (P+1,).
        Om, c: (P+1, L, Q, Q), (P+1, L, Q) Ω and c.
        M, Mt: (P+1, L−1, Q, Q) M_ℓ and M_ℓᵀ (room for one if L = 1).
        order: (1,) the order in use.
    """

    R: Array
    b: Array
    energy: Array
    Om: Array
    c: Array
    M: Array
    Mt: Array
    order: Ints


class Room(NamedTuple):
    """Memory for the columns of all nodes.

    Attributes:
        Z, H, T, V: (room,) see ``Columns``.
        work: (Q, columns).
        pinned: (room,) see ``Columns``.
        X: (Q, columns of the roots) what the columns of the roots are images of.
    """

    Z: Array
    H: Array
    T: Array
    V: Array
    work: Array
    pinned: Array
    X: Array


class Columns(NamedTuple):
    """The series of all columns of nodes; the first axis is the order, the last one the column.

    Attributes:
        Z, H: (P+1, Q, columns) z_ℓ as the nodes of depth ℓ have it, and H_ℓ z_ℓ.
        T, V: (P+1, Q, columns) T_ℓ of the nodes of depth ℓ, and V_ℓ.
        pinned: (P+1, entries, K) the rows λ T_r of the coordinates in ``Tree.held``.
    """

    Z: Array
    H: Array
    T: Array
    V: Array
    pinned: Array


class Held(NamedTuple):
    """The pinned surfaces, m of them, each by one of its points.

    Attributes:
        surface: (m, 3) point, layer and coordinate.
        lam: (P+1, m) series of the weights.
        inverse: (m, m) pseudo-inverse of ∂ż/∂λ.
        z: (P+1, m, L, Q) series of the points' coordinates.
    """

    surface: Ints
    lam: Array
    inverse: Array
    z: Array
