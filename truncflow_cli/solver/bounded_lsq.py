"""Least squares in a box, by an active-set method that starts from a guess.

From one event to the next hardly any surface changes its state, so that the guess is the answer but for a few
entries; and of hundreds of pinned surfaces only those few cost anything. (scipy's lsq_linear, method bvls, reaches the
same residual to 1e-15, dependent columns included, but takes 0.1 s to be imported, six times as long for 150 columns
and ten times for 400.)
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.problem import Array, BoolArray

#: Singular values below this, relative to the largest, count as zero: dependent columns.
RANK = 1e-12
#: A gradient below this, relative to the sizes it is made of, pushes no entry off its bound.
FLAT = 1e-15
#: An entry that gets this close to a bound, relative to its range, is on it.
ON_BOUND = 1e-14
#: Entries that are pushed off their bound at least this much as strongly as the first leave it with it.
SEVERAL = 0.3
#: Share of its length that the rest has to lose for that.
PROGRESS = 1e-3
#: Rounds, per entry, after which the answer so far has to do.
ROUNDS = 4


def least_squares(columns: Array, target: Array, low: Array, high: Array) -> Array:
    """Return x in [low, high] that minimises |columns @ x - target|; of several, one near 0.

    Args:
        columns: (d, m), of unit length.
        target: (d,).
        low: (m,), at most 0.
        high: (m,), at least 0.
    """
    x = np.zeros(low.size)
    push = columns.T @ target
    free = (low < high) & ((low < 0.0) | (push > 0.0)) & ((high > 0.0) | (push < 0.0))
    free = _descend(columns, target, low, high, x, free)
    size = float(np.linalg.norm(target))
    before = np.inf
    for _ in range(ROUNDS * low.size + 10):
        rest = target - columns @ x
        push = columns.T @ rest
        flat = FLAT * (size + float(np.abs(x).sum()))
        outward = ~free & np.where(x >= high, push < -flat, push > flat) & (low < high)
        if not outward.any():
            break
        # Several at once, as long as that gets anywhere; the one that is pushed most always does.
        push = np.where(outward, np.abs(push), 0.0)
        length = float(np.linalg.norm(rest))
        share = SEVERAL if length < before * (1.0 - PROGRESS) else 1.0
        before = length
        free |= push >= share * push.max()
        free = _descend(columns, target, low, high, x, free)
    return x


def _descend(columns: Array, target: Array, low: Array, high: Array, x: Array, free: BoolArray) -> BoolArray:
    """Go to the least squares of the free entries, in place, fixing those that meet a bound; return the others."""
    free = free.copy()
    while free.any():
        index = np.flatnonzero(free)
        rest = target - columns @ x
        step = _solve(columns[:, index], rest)
        goal = x[index] + step
        beyond = (goal > high[index]) | (goal < low[index])
        if not beyond.any():
            x[index] = goal
            break
        bound = np.where(step > 0.0, high[index], low[index])
        moved = np.where(beyond, bound, goal) - x[index]
        if np.linalg.norm(rest - columns[:, index] @ moved) <= (1.0 - PROGRESS) * np.linalg.norm(rest):
            met = beyond
        else:  # only as far as the first bound: downhill all the way
            share = np.where(beyond, (bound - x[index]) / np.where(beyond, step, 1.0), np.inf)
            least = max(float(share.min()), 0.0)
            moved = least * step
            met = beyond & (np.abs(x[index] + moved - bound) <= ON_BOUND * (high - low)[index])
            met[np.argmin(share)] = True
        x[index] = np.where(met, bound, x[index] + moved)
        free[index[met]] = False
    return free


def _solve(columns: Array, target: Array) -> Array:
    """Return the shortest y that minimises |columns @ y - target|, by a complete orthogonal decomposition."""
    from scipy.linalg import lstsq  # here, as few runs have pins and it takes long to import

    return np.asarray(lstsq(columns, target, cond=RANK, lapack_driver="gelsy", check_finite=False)[0])
