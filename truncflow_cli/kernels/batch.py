"""A step over many crossings at once, each located afterwards, see ``batched.h``."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.kernels.bundle import Bundle
from truncflow_cli.kernels.layer import (
    Accuracy,
    Array,
    Ints,
    Moments,
    Motion,
    Near,
    Points,
    State,
    Work,
)
from truncflow_cli.kernels.library import library

#: Degree d of the moments along a step.
DEGREE = 4
#: What a step came to: done; the near lists, or the list of crossings, need more room; the sweeps do not agree.
DONE, LISTS_FULL, CROSSINGS_FULL, ASTRAY = range(4)
#: Entries of ``Batch.scalars``: length of the step, what the trajectory is off by inside it, tolerance for that.
LENGTH, INSIDE, TOLERANCE = range(3)
#: Entries of ``Batch.tally``: crossings, candidates looked at, sweeps, orders.
CROSSINGS, CANDIDATES, SWEPT, ORDERS = range(4)


@dataclass(frozen=True, eq=False)
class Batch(Bundle):
    """A step's crossings, and the moments along it.

    Attributes:
        m: (d+2, Q, Q+1) coefficients of the moments m in powers of s/h; the last row is the next Legendre coefficient.
        M: (d+2, Q, Q, Q+1) the same for M.
        q: (P+1, Q) coefficients of R ỹ.
        m_rate, M_rate: (Q, Q+1), (Q, Q, Q+1) how fast the moments changed over the last step.
        before: (2, Q, Q+1) state at the middle and at the end, by the sweep before.
        scalars: see ``LENGTH`` ff.
        tally: see ``CROSSINGS`` ff.
        time: (room,) when each crossing takes place.
        entry: (room,) its pool entry in the near lists.
        side: (room,) the pattern after it.
    """

    m: Array
    M: Array
    q: Array
    m_rate: Array
    M_rate: Array
    before: Array
    scalars: Array
    tally: Ints
    time: Array
    entry: Ints
    side: NDArray[np.int8]


def batch_arrays(dim: int, order: int, room: int) -> Batch:
    """Return room for a step with up to ``room`` crossings."""
    return Batch(
        m=np.zeros((DEGREE + 2, dim, dim + 1)),
        M=np.zeros((DEGREE + 2, dim, dim, dim + 1)),
        q=np.zeros((order + 1, dim)),
        m_rate=np.zeros((dim, dim + 1)),
        M_rate=np.zeros((dim, dim, dim + 1)),
        before=np.zeros((2, dim, dim + 1)),
        scalars=np.zeros(3),
        tally=np.zeros(4, np.int64),
        time=np.empty(room),
        entry=np.empty(room, np.int64),
        side=np.empty(room, np.int8),
    )


def batch_step(
    state: State,
    energy: float,
    points: Points,
    moments: Moments,
    motion: Motion,
    work: Work,
    near: Near,
    accuracy: Accuracy,
    batch: Batch,
) -> int:
    """Take one step of at most ``batch.scalars[LENGTH]``, which becomes its length; return how it went.

    When DONE, ``state.R_next`` and ``b_next`` are the state at the end, ``motion`` is the trajectory, and the crossings
    are listed in ``batch`` in no order; patterns and moments are those after the step.
    """
    return int(
        library().truncflow_batch_step(
            state.struct,
            ctypes.c_double(energy),
            points.struct,
            moments.struct,
            motion.struct,
            work.struct,
            near.struct,
            accuracy.struct,
            batch.struct,
        )
    )
