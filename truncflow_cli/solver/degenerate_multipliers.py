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
    free = np.ones(which.size)
    furthest = np.append(np.zeros(moves.shape[1]), -1.0)
    step, room = _best(furthest, start, moves, free)
    if room <= NO_ROOM:
        chosen = start + moves @ step
        for k in np.flatnonzero(np.minimum(chosen, 1.0 - chosen) <= FORCED):
            away = 1.0 if chosen[k] > 0.5 else -1.0
            reach, _ = _best(np.append(away * moves[k], 0.0), start, moves, np.zeros(which.size))
            reached = start[k] + moves[k] @ reach
            free[k] = (1.0 - reached if away > 0.0 else reached) > FORCED
        if free.any():
            step, _ = _best(furthest, start, moves, free)
    spread_weight = weight.copy()
    spread_weight[which] = np.clip(start + moves @ step, 0.0, 1.0)
    return which, spread_weight, free == 0.0


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


def _best(goal: Array, start: Array, moves: Array, free: Array) -> tuple[Array, float]:
    """Return the step c (n,) and the room r ≤ ½ with the least goal·(c, r), for goal (n + 1,); zeros if there is none.

    start + moves @ c stays in the box, and its ``free`` entries (1, the others 0) as far as r from the edges.
    """
    from scipy.optimize import linprog

    rows = np.block([[-moves, free[:, None]], [moves, free[:, None]]])
    bounds = [(None, None)] * moves.shape[1] + [(0.0, 0.5)]
    found = linprog(
        goal, A_ub=rows, b_ub=np.concatenate([start, 1.0 - start]), bounds=bounds, method="highs"
    ).x
    found = np.zeros(goal.size) if found is None else found
    return found[:-1], float(found[-1])
