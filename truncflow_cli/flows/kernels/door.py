"""What Python may ask of the compiled code of `separated`, through one function.

Each function that Python can call is a program of its own to the compiler, which has everything in it that it calls.
One door for all of them means that the series, the near lists and the roots are compiled once.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.kernels.ahead import (
    CANDIDATES,
    ENERGY,
    EVENTS,
    LENGTH,
    NEARBY,
    REACH,
    ROOTS,
    expand_state,
    run_ahead,
)
from truncflow_cli.flows.kernels.crossings import first_crossing, foreign_crossings
from truncflow_cli.flows.kernels.jit import kernel
from truncflow_cli.flows.kernels.separated import count_point, orthonormalise, sum_moments

#: Foreign crossings in one step beyond which it is taken in Python.
FOREIGN = 16

#: What to do: see ``act``.
EXPAND, CROSS, WATCH, AHEAD, SUM, COUNT, POLISH = range(7)


@kernel
def act(task, state, clock, points, moments, motion, work, pins, near, accuracy, log, counts):
    """Do one of these and return what is said of it; ``clock`` and ``counts`` hold its numbers.

    - EXPAND the solution about the state, to be accurate over clock[REACH]: clock[LENGTH] is how far it is.
    - CROSS: find the first own coordinate to leave its side within clock[LENGTH], first looking within clock[NEARBY];
      clock[LENGTH] becomes the time, and the hit is returned (-1: none; -2: the near lists need more room).
    - WATCH the foreign coordinates within clock[LENGTH]: return how many cross, listed in ``log`` (times, and near
      entries as points).
    - AHEAD: see ``run_ahead``.
    - SUM the moments from scratch.
    - COUNT the first counts[EVENTS] points and rows of ``log`` clock[LENGTH] = ±1 times in the moments.
    - POLISH: make R orthogonal to rounding.
    """
    if task == EXPAND:
        clock[LENGTH] = expand_state(
            state, clock[ENERGY], points, moments, motion, work, pins, accuracy, clock[REACH]
        )
    elif task == CROSS:
        clock[LENGTH], which = first_crossing(
            points, motion, clock[LENGTH], clock[NEARBY], near, counts[CANDIDATES : ROOTS + 1]
        )
        return which
    elif task == WATCH:
        return foreign_crossings(points, motion, clock[LENGTH], near, log.s, log.point)
    elif task == AHEAD:
        times, entries, seen = np.empty(FOREIGN), np.empty(FOREIGN, np.int64), np.zeros(2, np.int64)
        return run_ahead(
            state,
            clock,
            points,
            moments,
            motion,
            work,
            pins,
            near,
            accuracy,
            log,
            counts,
            times,
            entries,
            seen,
        )
    elif task == SUM:
        sum_moments(points, moments)
    elif task == COUNT:
        for k in range(counts[EVENTS]):
            count_point(points, log.point[k], log.row[k], clock[LENGTH], moments)
    elif task == POLISH:
        orthonormalise(state.R)
    return 0
