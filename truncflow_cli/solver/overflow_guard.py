"""Data so large that the rotations turn fast: series that stay within double precision, and ends out of reach.

The rotations turn at a rate of the order of |x + β|² (3.25), and the n-th Taylor coefficient of the state grows as the
n-th power of it.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.problem import Array

#: Decimal digits that a coefficient may have: sums of their squares have to be finite.
_DIGITS = 140.0
#: A series of a lower order is no use any more.
_LEAST_ORDER = 6
#: Steps at the pace of the first one that a fast run may need up to its end.
_MOST_STEPS = 1e9


def series_order(x: Array, beta: Array, y_tilde: Array, most: int) -> int:
    """Return the order of the series, at most ``most``, for points x (N, Q), biases (L, Q) and labels (C, Q)."""
    with np.errstate(over="ignore"):
        size = sum(float(max(a.max(initial=0.0), -a.min(initial=0.0))) for a in (x, beta, y_tilde))
        digits = np.log10(max(size * size * x.shape[1], 10.0))
    order = int(min(most, _DIGITS // digits))
    return order if order >= _LEAST_ORDER else most


def shortest_step(s_end: float, order: int, most: int) -> float:
    """Return the length of a first step below which a run of reduced order would not get to ``s_end``."""
    return s_end / _MOST_STEPS if order < most else 0.0
