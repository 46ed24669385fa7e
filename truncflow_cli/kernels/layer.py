"""What the compiled code of `separated` works on, bundled by what it is, and what it is asked to do."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.kernels.bundle import Bundle
from truncflow_cli.kernels.library import library

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Rounding error of a coordinate z, in units of |x| + |b|.
NOISE = 32 * float(np.finfo(np.float64).eps)
#: Most near lists that there can be.
LEVELS = 10
#: The next crossing is first looked for within this share of the reach.
SOON = 0.75

#: What to do, see ``separated.h``.
EXPAND, CROSS, WATCH, AHEAD, SUM, COUNT, POLISH = range(7)
#: Entries of the clock: time, its rounding error, reach, dissipated energy, start of the last step, end of the run,
#: where to stop, the length of the present series or step, and how far the next crossing is first looked for.
S, LOST, REACH, ENERGY, BEFORE, S_END, UNTIL, LENGTH, NEARBY = range(9)
CLOCK = 9
#: Entries of the counts, as ``Counters``; events in the log, whether the next step is unusual, samples that
#: have been taken, and whether some s = 2^k has been passed so slowly that this may be rest.
STEPS, ORDERS, CANDIDATES, ROOTS, EVENTS, UNUSUAL, SAMPLED, SLOWED = range(8)
COUNTS = 8


@dataclass(frozen=True, eq=False)
class Points(Bundle):
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


@dataclass(frozen=True, eq=False)
class Moments(Bundle):
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
    updates: Ints


@dataclass(frozen=True, eq=False)
class Motion(Bundle):
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
    order: Ints
    line: Array


@dataclass(frozen=True, eq=False)
class Work(Bundle):
    """Scratch of the series: blocks of all orders, one after the other.

    Attributes:
        rows: (P+1, Q, Q+1) blocks (R, b).
        columns: (P+1, Q+2, Q) their transposes, and u.
        B: (P+1, Q, Q+2) blocks (B, S).
        Om: (P+1, Q, Q).
        Ju, u: (P+1, Q) J⊥u and u.
        P: (Q, Q).
        state: (Q, Q+1).
        line: (Q+1,).
    """

    rows: Array
    columns: Array
    B: Array
    Om: Array
    Ju: Array
    u: Array
    P: Array
    state: Array
    line: Array


@dataclass(frozen=True, eq=False)
class Pins(Bundle):
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

    row: Ints
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


@dataclass(frozen=True, eq=False)
class Near(Bundle):
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
    place: Ints
    tally: Ints
    scale: Array
    bound: Array
    pool: NDArray[np.uint32]
    z: Array
    hit: Ints
    line: Array


@dataclass(frozen=True, eq=False)
class Accuracy(Bundle):
    """What the length of a step depends on.

    Attributes:
        with_zz: whether Ω has its term −½ z zᵀ (the printed one has not).
        tolerance: share of the state that one step may be off.
        floor: size of the state below which it counts as this large.
        spread: largest distance of an own point to the mean.
    """

    with_zz: bool
    tolerance: float
    floor: float
    spread: float


@dataclass(frozen=True, eq=False)
class Log(Bundle):
    """Room for what has been passed: time, row of the points, coordinate and pattern after, for each event."""

    s: Array
    point: Ints
    row: Ints
    side: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class State(Bundle):
    """The state, room for the next one, and the moments' m before the last event.

    Attributes:
        R, b: (Q, Q), (Q,).
        R_next, b_next: the same.
        untruncated: (Q,) untruncated own points in each coordinate along the last step.
    """

    R: Array
    b: Array
    R_next: Array
    b_next: Array
    untruncated: Array


@dataclass(frozen=True, eq=False)
class Samples(Bundle):
    """The trajectory at K saved times.

    Attributes:
        s: (K,) the times, increasing.
        R, b, beta: (K, Q, Q), (K, Q), (K, Q), where beta = Rᵀ b.
        energy, loss: (K,), (K,).
        untruncated: (K, Q) untruncated own points in each coordinate.
    """

    s: Array
    R: Array
    b: Array
    beta: Array
    energy: Array
    loss: Array
    untruncated: Array


def sample_arrays(s: Array, dim: int) -> Samples:
    """Return room for samples at these times."""
    k = s.size
    return Samples(
        s=np.ascontiguousarray(s),
        R=np.empty((k, dim, dim)),
        b=np.empty((k, dim)),
        beta=np.empty((k, dim)),
        energy=np.empty(k),
        loss=np.empty(k),
        untruncated=np.empty((k, dim)),
    )


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
    return Work(
        rows=np.zeros((n, dim, dim + 1)),
        columns=np.zeros((n, dim + 2, dim)),
        B=np.zeros((n, dim, dim + 2)),
        Om=np.zeros((n, dim, dim)),
        Ju=np.zeros((n, dim)),
        u=np.zeros((n, dim)),
        P=np.zeros((dim, dim)),
        state=np.zeros((dim, dim + 1)),
        line=np.zeros(dim + 1),
    )


def pin_arrays(row: Ints, x: Array, mass: Array, inverse: Array, order: int) -> Pins:
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


def act(
    task: int,
    state: State,
    clock: Array,
    points: Points,
    moments: Moments,
    motion: Motion,
    work: Work,
    pins: Pins,
    near: Near,
    accuracy: Accuracy,
    log: Log,
    samples: Samples,
    counts: Ints,
) -> int:
    """Let the compiled code do something, and return what it says, see ``separated.h``."""
    return int(
        library().truncflow_separated(
            ctypes.c_int64(task),
            state.struct,
            ctypes.c_void_p(clock.ctypes.data),
            points.struct,
            moments.struct,
            motion.struct,
            work.struct,
            pins.struct,
            near.struct,
            accuracy.struct,
            log.struct,
            samples.struct,
            ctypes.c_void_p(counts.ctypes.data),
        )
    )
