"""How the event loop moves on in s, and how far the next series is made to reach.

Plain functions of floats, for the steps that go through Python; ``step_many.c`` has the same for the compiled loops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array

#: How much further than the last spacing of events the next series is made to reach.
REACH_AFTER_EVENT = 2.0
#: How much further the next series reaches when the last one met no event.
REACH_AFTER_QUIET = 8.0
#: A step much longer than where the next event is expected would only have more candidates to look at.
LONGEST = 4.0
#: The shortest reach, in units of the whole run.
SHORTEST = 1e-14
#: Decimal digits that a coefficient may have: sums of their squares have to be finite.
_DIGITS = 140.0
#: A series of a lower order is no use any more.
_LEAST_ORDER = 6
#: Steps at the pace of the first one that a fast run may need up to its end.
_MOST_STEPS = 1e9


@dataclass(frozen=True)
class StepControl:
    """Where the loop is.

    Attributes:
        s: time reached.
        lost: rounding error of s so far (Kahan).
        reach: how far the next series is made to reach.
    """

    s: float
    lost: float
    reach: float


def later(s: float, lost: float, t: float) -> tuple[float, float]:
    """Return s + t, and the rounding error of the sum to be carried along (Kahan)."""
    step = t - lost
    total = s + step
    return total, (total - s) - step


def next_reach(reach: float, t: float, met_event: bool, s_end: float) -> float:
    """Return how far the next series is made to reach after a step t that ended at an event, or did not."""
    if not met_event:
        return reach * REACH_AFTER_QUIET
    if math.isinf(reach):
        return REACH_AFTER_EVENT * t if t > 0.0 else reach
    return max(0.5 * (reach + REACH_AFTER_EVENT * t), SHORTEST * s_end)


def next_octave(s: float) -> float:
    """Return the least power of two above s; 0 for 0."""
    return math.ldexp(1.0, math.frexp(s)[1]) if s > 0.0 else 0.0


def step_length(accurate: float, reach: float, left: float) -> float:
    """Return how much of a series that is accurate over ``accurate`` is used, with ``left`` to the end of the run."""
    if not math.isinf(reach):
        accurate = min(accurate, LONGEST * reach)
    return min(accurate, left)


def series_order(x: Array, beta: Array, y_tilde: Array, most: int) -> int:
    """Return the order of the series, at most ``most``, for points x (N, Q), biases (L, Q) and labels (C, Q).

    The rotations turn at a rate of the order of |x + β|² (3.25), and the n-th Taylor coefficient of the state grows as
    the n-th power of it: it has to stay within double precision.
    """
    with np.errstate(over="ignore"):
        size = sum(float(max(a.max(initial=0.0), -a.min(initial=0.0))) for a in (x, beta, y_tilde))
        digits = np.log10(max(size * size * x.shape[1], 10.0))
    order = int(min(most, _DIGITS // digits))
    return order if order >= _LEAST_ORDER else most


def shortest_step(s_end: float, order: int, most: int) -> float:
    """Return the length of a first step below which a run of reduced order would not get to ``s_end``."""
    return s_end / _MOST_STEPS if order < most else 0.0
