"""Pinned surfaces that depend on one another: which weights, when more than one choice gives the same velocity.

Where the normals of the surfaces that hold the state are linearly dependent (three points of one line lie on a
surface as soon as two of them do), the velocity is unique but λ is not. All of these surfaces are pinned as long as
some λ strictly inside the box gives that velocity; λ is then kept as far from the edges as possible. When none is
left, those whose λ is forced to an edge leave.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.problem import Array, IntArray

#: A normal that is this near to the span of others, relative to its length, depends on them.
RANK = 1e-9
#: Room between λ and the edges of the box below which there is none.
NO_ROOM = 1e-10
#: A weight that cannot get further than this from an edge is forced to it.
FORCED = 1e-7


def spread(directions: Array, weight: Array) -> tuple[IntArray, Array, Array] | None:
    """Choose weights for surfaces that all stay, where the choice is free.

    directions (m, d), weight (m,) one admissible choice. Returns None if the directions are independent; else
    (which, weight, forced): the indices (k,) of the dependent ones, new weights (m,), and which of the k are forced
    to an edge of the box.
    """

    size = np.linalg.norm(directions, axis=1)
    kernel = _kernel((directions / size[:, None]).T)
    if kernel.shape[1] == 0:
        return None
    kernel = kernel / size[:, None] * size.max()
    which = np.flatnonzero(np.abs(kernel).max(axis=1) > RANK * np.abs(kernel).max())
    moves = kernel[which]
    start = weight[which]
    free = np.ones(which.size, dtype=bool)
    step, room = _centre(start, moves, free)
    if room <= NO_ROOM:
        chosen = start + moves @ step
        for k in np.flatnonzero(np.minimum(chosen, 1.0 - chosen) <= FORCED):
            free[k] = _reach(start, moves, int(k), away_from_one=chosen[k] > 0.5) > FORCED
        if free.any():
            step, _ = _centre(start, moves, free)
    spread_weight = weight.copy()
    spread_weight[which] = np.clip(start + moves @ step, 0.0, 1.0)
    return which, spread_weight, ~free


def _kernel(columns: Array) -> Array:
    """Return an orthonormal basis (m, k) of what ``columns`` (d, m) map to zero."""
    from scipy.linalg import qr, solve_triangular  # here and below, as few runs have pins and it takes long

    m = columns.shape[1]
    R, order = qr(columns, mode="r", pivoting=True, check_finite=False)
    diagonal = np.abs(np.diagonal(R))
    rank = int(np.count_nonzero(diagonal > RANK * diagonal.max(initial=0.0)))
    kernel = np.zeros((m, m - rank))
    if m > rank:
        kernel[order[:rank]] = -solve_triangular(R[:rank, :rank], R[:rank, rank:], check_finite=False)
        kernel[order[rank:]] = np.eye(m - rank)
        kernel = qr(kernel, mode="economic", check_finite=False)[0]
    return kernel


def _centre(start: Array, moves: Array, free: Array) -> tuple[Array, float]:
    """Return the step c that keeps start + moves @ c in the box, its ``free`` entries furthest from the edges."""
    count = moves.shape[1]
    room = free.astype(np.float64)[:, None]
    goal = np.append(np.zeros(count), -1.0)
    found = _least_in_the_box(goal, np.block([[-moves, room], [moves, room]]), start, [(0.0, 0.5)])
    return (np.zeros(count), 0.0) if found is None else (found[:count], float(found[count]))


def _reach(start: Array, moves: Array, k: int, *, away_from_one: bool) -> float:
    """Return how far entry k can get from its edge while all stay in the box."""
    sign = 1.0 if away_from_one else -1.0
    found = _least_in_the_box(sign * moves[k], np.concatenate([-moves, moves]), start, [])
    if found is None:
        return 0.0
    value = start[k] + moves[k] @ found
    return float(1.0 - value if away_from_one else value)


def _least_in_the_box(
    goal: Array, rows: Array, start: Array, more: list[tuple[float, float]]
) -> Array | None:
    """Return the c with the least goal·c for which rows @ c ≤ the room that start (m,) has down and up; None if none.

    ``more`` are bounds of the last entries of c.
    """
    from scipy.optimize import linprog

    room = np.concatenate([start, 1.0 - start])
    bounds = [(None, None)] * (goal.size - len(more)) + more
    found: Array | None = linprog(goal, A_ub=rows, b_ub=room, bounds=bounds, method="highs").x
    return found
