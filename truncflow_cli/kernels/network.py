"""What the compiled code of `general` works on, bundled by what it is, and what it is asked to do."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.kernels.bundle import Bundle
from truncflow_cli.kernels.library import library

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

#: What to do, see ``general.h``.
EXPAND, CROSS, ADVANCE, AHEAD, GATHER, MOVE, FIELD, POLISH = range(8)
#: The next crossing is first looked for within this share of the reach.
SOON = 0.75
#: Rank-one updates of the cells' sums after which they are summed anew, so that rounding does not pile up.
REFRESH = 4096
#: Entries of the clock: time, its rounding error, reach, dissipated energy, start of the last step, end of the run,
#: where to stop, the length of the present series or step, and how far the next crossing is first looked for.
S, LOST, REACH, ENERGY, BEFORE, S_END, UNTIL, LENGTH, NEARBY = range(9)
CLOCK = 9
#: Entries of the counts, as ``Counters``; events in the log, whether the next step is unusual, and samples
#: that have been taken.
STEPS, ORDERS, CANDIDATES, ROOTS, EVENTS, UNUSUAL, SAMPLED = range(7)
COUNTS = 8

#: Entries of ``Cells.tally``: how many cells there are, rank-one updates since all was summed, columns of a node, and
#: columns of all nodes, which is how far rows of ``Room`` lie apart.
LEAVES, UPDATES, FRAME, WIDTH = range(4)
#: Columns by which a row is longer than it has to be: rows 4 KiB apart would share one place in the cache.
PADDING = 8
#: Code of a coordinate that is pin 0; those of the others follow.
FIRST_PIN = 2
#: Entries of ``Watch.way``: how far a layer has gone, up to where deadlines are listed, a bound over the present step,
#: and what of it the orders from the second on contribute, in the linear and the affine part.
GONE, HORIZON, BOUND, REST_TURN, REST_SHIFT = range(5)
#: Rounding error of a way, in units of rounding errors of a coordinate.
SLACK = 8.0


@dataclass(frozen=True, eq=False)
class Cloud(Bundle):
    """The points.

    Attributes:
        x: (M, Q) positions.
        length: (M,) |x_i|.
        weight: (M,) share of their cluster.
        inputs: (M,) how many training inputs each stands for.
        target: (M, Q) ỹ of each.
        label: (M,) its cluster.
        noise: (M,) rounding error of their coordinates.
        pattern: (M, L, Q) int8, where each coordinate is.
        code: (M, L, Q) the same, with ``FIRST_PIN`` + k for pin k.
        cell: (M,) which cell each is in.
    """

    x: Array
    length: Array
    weight: Array
    inputs: Array
    target: Array
    label: Ints
    noise: Array
    pattern: NDArray[np.int8]
    code: NDArray[np.int32]
    cell: Ints


@dataclass(frozen=True, eq=False)
class Cells(Bundle):
    """The cells, in the order of their patterns, with room for more.

    Attributes:
        root: (room,) which root each hangs under: 0, or its point if points are not taken together.
        code: (room, L, Q) their patterns, as in ``Cloud``.
        points: (room,) how many points each has.
        S: (K, K, room).
        Y: (Q, K, room).
        tally: see ``LEAVES`` ff.
        truncated: (L, Q) training inputs that are truncated, or pinned, in each coordinate.
    """

    root: Ints
    code: NDArray[np.int32]
    points: Ints
    S: Array
    Y: Array
    tally: Ints
    truncated: Array


@dataclass(frozen=True, eq=False)
class Tree(Bundle):
    """The nodes above the cells, for depths 0 (roots) to L (cells).

    Attributes:
        nodes: (L+1,) how many.
        first: (L+2,) where the columns of each depth begin.
        above: (L+1, room) which node of the depth before each hangs under.
        node: (L+1, room) which node each cell hangs under.
        open: (L+1, Q, room) 1.0 where a coordinate of the layer before is untruncated, else 0.0.
        held: (entries, 4) depth, node, coordinate and pin of each pinned coordinate of a node, the deepest first.
        tally: (1,) how many of those there are.
    """

    nodes: Ints
    first: Ints
    above: Ints
    node: Ints
    open: Array
    held: Ints
    tally: Ints


@dataclass(frozen=True, eq=False)
class Course(Bundle):
    """Taylor coefficients of the state along the present piece; the first axis is the order, up to P.

    Attributes:
        R, b, energy: (P+1, L, Q, Q), (P+1, L, Q), (P+1,).
        Om, c: (P+1, L, Q, Q), (P+1, L, Q) Ω and c.
        M, Rt: (P+1, L−1, Q, Q) M_ℓ and R_ℓᵀ (room for one if L = 1).
        order: (1,) the order in use.
    """

    R: Array
    b: Array
    energy: Array
    Om: Array
    c: Array
    M: Array
    Rt: Array
    order: Ints


@dataclass(frozen=True, eq=False)
class Room(Bundle):
    """Memory for the columns of all nodes.

    Attributes:
        Z, H: (room,) for z_ℓ as the nodes of depth ℓ have it, and H_ℓ z_ℓ, of all orders, see ``columns.h``.
        T, V: (room,) for T_ℓ of the nodes of depth ℓ, and V_ℓ.
        work: (Q, columns), and in any case 2 Q² numbers.
        pinned: (room,) for the rows λ T_r of the coordinates in ``Tree.held``.
        X: (Q, columns of the roots) what the columns of the roots are images of.
    """

    Z: Array
    H: Array
    T: Array
    V: Array
    work: Array
    pinned: Array
    X: Array


@dataclass(frozen=True, eq=False)
class Held(Bundle):
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


@dataclass(frozen=True, eq=False)
class Watch(Bundle):
    """The deadlines of all points in all layers.

    Attributes:
        due: (L, M).
        soon: (L, M) the points with deadlines up to the horizon, in order.
        size: (L,) how many those are.
        way: (L, 5), see ``GONE`` ff.
        speed: (P+1, L, 2) bounds of each order's coefficients, of the linear and the affine part.
        scale: (2,) κ, and the rounding error of a way.
        hit: (L M, 2) layer and point of those that the step may bring to zero.
        line: (L M, Q, 2) the value and velocity of their coordinates.
        hits: (1,) how many those are.
    """

    due: Array
    soon: Ints
    size: Ints
    way: Array
    speed: Array
    scale: Array
    hit: Ints
    line: Array
    hits: Ints


@dataclass(frozen=True, eq=False)
class Accuracy(Bundle):
    """What the length of a step depends on.

    Attributes:
        tolerance: share of the state that one step may be off.
        floor: size of the state below which it counts as this large.
        spread: largest distance of a point to the mean.
    """

    tolerance: float
    floor: float
    spread: float


@dataclass(frozen=True, eq=False)
class State(Bundle):
    """The state, room for the next one, and what was truncated before the last event.

    Attributes:
        R, b: (L, Q, Q), (L, Q).
        R_next, b_next: the same.
        truncated: (L, Q) training inputs truncated in each coordinate along the last step.
    """

    R: Array
    b: Array
    R_next: Array
    b_next: Array
    truncated: Array


@dataclass(frozen=True, eq=False)
class Passed(Bundle):
    """Room for what has been passed: time, row of the points, layer, coordinate and pattern after, for each event."""

    s: Array
    point: Ints
    layer: Ints
    row: Ints
    side: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Samples(Bundle):
    """The trajectory at K saved times.

    Attributes:
        s: (K,) the times, increasing.
        R, b, beta: (K, L, Q, Q), (K, L, Q), (K, L, Q), where beta_ℓ = R_ℓᵀ b_ℓ.
        energy, loss: (K,), (K, C).
        truncated: (K, L, Q) training inputs that are truncated in each coordinate.
    """

    s: Array
    R: Array
    b: Array
    beta: Array
    energy: Array
    loss: Array
    truncated: Array


def sample_arrays(s: Array, layers: int, dim: int, clusters: int) -> Samples:
    """Return room for samples at these times."""
    k = s.size
    return Samples(
        s=np.ascontiguousarray(s),
        R=np.empty((k, layers, dim, dim)),
        b=np.empty((k, layers, dim)),
        beta=np.empty((k, layers, dim)),
        energy=np.empty(k),
        loss=np.empty((k, clusters)),
        truncated=np.empty((k, layers, dim)),
    )


def act(
    task: int,
    state: State,
    clock: Array,
    cloud: Cloud,
    cells: Cells,
    tree: Tree,
    course: Course,
    room: Room,
    held: Held,
    watch: Watch,
    accuracy: Accuracy,
    log: Passed,
    samples: Samples,
    counts: Ints,
) -> int:
    """Let the compiled code do something, and return what it says, see ``general.h``."""
    return int(
        library().truncflow_general(
            ctypes.c_int64(task),
            state.struct,
            ctypes.c_void_p(clock.ctypes.data),
            cloud.struct,
            cells.struct,
            tree.struct,
            course.struct,
            room.struct,
            held.struct,
            watch.struct,
            accuracy.struct,
            log.struct,
            samples.struct,
            ctypes.c_void_p(counts.ctypes.data),
        )
    )
