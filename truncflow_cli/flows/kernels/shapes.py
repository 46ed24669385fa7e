"""The arrays that the kernels of the `separated` flow work on, bundled by what they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Points(NamedTuple):
    """What a layer sees: its own points, then the foreign ones; M in all.

    Attributes:
        x: (M, Q) positions relative to the own points' mean.
        length: (M,) |x_i|.
        weight: (own,) multiplicities of the own points.
        pattern: (M, Q) int8, where each coordinate is.
        y_tilde: (Q,) ỹ − x̄.
    """

    x: Array
    length: Array
    weight: Array
    pattern: NDArray[np.int8]
    y_tilde: Array


class Moments(NamedTuple):
    """The constrained moments of the own points (3.33) ff.

    Attributes:
        m: (Q, Q+1) sums of h_r (x, 1).
        M: (Q, Q, Q+1) sums of h_r x (x, 1)ᵀ.
        total: (1,) N_ℓ.
        updates: (1,) rank-one updates since they were summed.
    """

    m: Array
    M: Array
    total: Array
    updates: NDArray[np.int64]


class Motion(NamedTuple):
    """Taylor coefficients of the state along the present piece; the first axis is the order, up to P.

    Attributes:
        R, b, energy: (P+1, Q, Q), (P+1, Q), (P+1,).
        turn: (P+1, Q) lengths |R_r| of the rows of each order's R.
        order: (1,) the order in use.
        line: (2, P+1) scratch for the series of one coordinate.
    """

    R: Array
    b: Array
    energy: Array
    turn: Array
    order: NDArray[np.int64]
    line: Array


class Work(NamedTuple):
    """Scratch of ``separated.expand``: blocks of all orders on top of one another.

    Attributes:
        rows: ((P+1) Q, Q+1) blocks (R_n, b_n), the highest order first.
        columns: ((P+1) (Q+2), Q) blocks R_nᵀ, b_n, u_n, the highest order first.
        B: ((P+1) (Q+2), Q) blocks B_nᵀ, S_n.
        Om: ((P+1) Q, Q) blocks Ω_n.
        Om_flat: (P+1, Q²) the same memory.
        Ju, u: (P+1, Q) J⊥u and u.
        P: (Q, Q).
        state: (Q, Q+1).
        line: (Q+1,).
    """

    rows: Array
    columns: Array
    B: Array
    Om: Array
    Om_flat: Array
    Ju: Array
    u: Array
    P: Array
    state: Array
    line: Array


class Pins(NamedTuple):
    """The pinned surfaces, k of them.

    Attributes:
        row: (k,) coordinate of each.
        x: (k, Q) its point.
        mass: (k,) the point's share m/N of the cluster.
        inverse: (k, k) pseudo-inverse of ∂ż/∂λ.
        lam: (P+1, k) series of the weights.
        v: (P+1, k) series of λ u_r.
        z: (P+1, k, Q) series of the point's coordinates.
    """

    row: NDArray[np.int64]
    x: Array
    mass: Array
    inverse: Array
    lam: Array
    v: Array
    z: Array


#: Entries of ``Near.tally``: the longest list (-1: none has been made), the one that is looked through, how often lists
#: have been made anew, the room that would do if there has been too little, and how many hits there are.
TOP, LEVEL, REFRESHES, NEEDS, HITS = range(5)
#: Entries of ``Near.scale``: c, by how much b moves for one unit that a row of R does, and the part [0, horizon] of the
#: step that is looked at.
RATIO, HORIZON = range(2)
#: Rows of ``Near.bound``: displacement of R_r and of b_r since the list was made, over [0, horizon]; what the orders
#: from the second on contribute to that; displacement over [0, horizon] alone.
TURN, SHIFT, REST_TURN, REST_SHIFT, STEP_TURN, STEP_SHIFT = range(6)
#: Rows of ``Near.bound``.
BOUNDS = 6


class Near(NamedTuple):
    """Lists of the coordinates nearest to zero, the shorter ones made from the longer ones (see ``nearby``).

    Level 0 is the shortest; the levels' entries follow one another in the pool, the longest list first.

    Attributes:
        state: (levels, Q, Q+1) (R, b) when each list was made.
        skin: (levels,) a list holds every coordinate with |z| ≤ skin (|x| + c) there.
        place: (levels, 2) where in the pool it begins and ends.
        tally: see ``TOP`` ff.
        scale: see ``RATIO`` ff.
        bound: (6, Q), see ``TURN`` ff.
        pool: (room, 2) point and coordinate of each entry.
        z: (room,) its z when the list was made.
        hit: (room,) pool entries that can reach zero on [0, horizon].
        line: (room, 2) their value and velocity.
    """

    state: Array
    skin: Array
    place: NDArray[np.int64]
    tally: NDArray[np.int64]
    scale: Array
    bound: Array
    pool: NDArray[np.uint32]
    z: Array
    hit: NDArray[np.int64]
    line: Array


def motion_arrays(dim: int, order: int) -> Motion:
    """Return room for the series up to ``order``."""
    n = order + 1
    return Motion(
        R=np.zeros((n, dim, dim)),
        b=np.zeros((n, dim)),
        energy=np.zeros(n),
        turn=np.zeros((n, dim)),
        order=np.zeros(1, np.int64),
        line=np.zeros((2, n)),
    )


def work_arrays(dim: int, order: int) -> Work:
    """Return scratch for the series up to ``order``."""
    n = order + 1
    Om = np.zeros((n * dim, dim))
    return Work(
        rows=np.zeros((n * dim, dim + 1)),
        columns=np.zeros((n * (dim + 2), dim)),
        B=np.zeros((n * (dim + 2), dim)),
        Om=Om,
        Om_flat=Om.reshape(n, dim * dim),
        Ju=np.zeros((n, dim)),
        u=np.zeros((n, dim)),
        P=np.zeros((dim, dim)),
        state=np.zeros((dim, dim + 1)),
        line=np.zeros(dim + 1),
    )


def pin_arrays(row: NDArray[np.int64], x: Array, mass: Array, inverse: Array, order: int) -> Pins:
    """Return the pinned surfaces with room for their series up to ``order``."""
    n, k = order + 1, row.size
    return Pins(row, x, mass, inverse, np.zeros((n, k)), np.zeros((n, k)), np.zeros((n, k, x.shape[1])))


def near_lists(dim: int, levels: int, room: int) -> Near:
    """Return empty lists with ``room`` entries in all."""
    tally = np.zeros(5, np.int64)
    tally[TOP] = -1
    return Near(
        state=np.zeros((levels, dim, dim + 1)),
        skin=np.zeros(levels),
        place=np.zeros((levels, 2), np.int64),
        tally=tally,
        scale=np.ones(2),
        bound=np.zeros((BOUNDS, dim)),
        pool=np.empty((room, 2), np.uint32),
        z=np.empty(room),
        hit=np.empty(room, np.int64),
        line=np.empty((room, 2)),
    )
