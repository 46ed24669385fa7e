"""A layer that truncates its whole cluster in every coordinate, and leaves everything else alone.

The faces through an apex must put the cluster P into one orthant and the others O into the opposite one. With
the apex half-way, row r of R has the margin ½ (min over O − max over P of R_r·x), so a rotation is wanted all
of whose rows separate P from O: all differences o − p lie in one rotated orthant. They do if they fit into
the circular cone of half-angle arcsin(1/√Q) around its axis, which is the start; from there (and from turns
about the axis) the least of the row margins is climbed, each step a linear program in the infinitesimal
rotation.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.config.construct.hulls import gap
from truncflow_cli.config.construct.mixed import Layer
from truncflow_cli.config.construct.rotations import polished, with_axis
from truncflow_cli.config.errors import Fault
from truncflow_cli.config.streams import random_rotation
from truncflow_cli.problem import Array

#: Every step of a climb costs a linear program in Q(Q−1)/2 unknowns: many climbs are made up to the first
#: dimension, a short one up to the second, and none above it.
_MAX_DIM_TO_SEARCH = 6
_MAX_DIM_TO_CLIMB = 24
_TURNS = 6
_MAX_CLIMBS = 60
_MAX_SHORT_CLIMBS = 8
#: A climb ends when it rises less than this share of the data's size, with steps shorter than this.
_WORTH_A_STEP = 1e-6
_SHORTEST_REACH = 1e-4
#: A face is only moved for the points nearest to it; the step is short enough for the others not to matter,
#: or refused.
_NEAREST = 40
_CLEAR = 0.25
#: The axis of the cone is sought among all pairs up to this many, else among points extreme in random
#: directions.
_MAX_PAIRS = 200_000
_PROBES = 300


def collapse(
    own: Array, others: Array, margin: float | None, rng: np.random.Generator, share: float = 0.5
) -> Layer:
    """Return a layer that has all of its cluster, ``own`` (n, Q), in S⁻ and all ``others`` (m, Q), if any, in S⁺.

    Args:
        own, others: see above.
        margin: least distance of all points from the faces; None: the largest found.
        rng: for the turns about the axis that the search starts from.
        share: where the apex is put between the cluster (0) and the others (1), seen from each face.

    Raises:
        Fault: it cannot be, or no rotation was found; the message says which, and the margin.
    """
    dim = own.shape[1]
    if len(others) == 0:
        extent = float(np.linalg.norm(own - own.mean(axis=0), axis=1).max()) or 1.0
        clear = max(_CLEAR * extent, margin or 0.0)
        return Layer(np.eye(dim), -(own.max(axis=0) + clear), clear)
    between = gap(own, others)
    if between.length == 0:
        raise Fault("its convex hull and that of the others meet, so no face has them on different sides")
    # Each coordinate of R d is at least 2 m for all differences d, so the shortest has |d| >= 2 m √Q.
    at_most = 0.5 * between.length / dim**0.5
    wanted = 0.0 if margin is None else margin
    if wanted > at_most:
        raise Fault(f"the margin can be at most {at_most:.4g} (its distance from the others' hull over 2√Q)")
    R, found = _best_rotation(own, others, between.vector / between.length, rng)
    # An apex off the middle has the smaller part of 2 m on its narrower side.
    least = 2.0 * min(share, 1.0 - share) * found
    if found <= 0 or least < wanted:
        raise Fault(_why_not(own, others, R, found, least, wanted))
    apex = (1.0 - share) * (own @ R.T).max(axis=0) + share * (others @ R.T).min(axis=0)
    return Layer(R, -R.T @ apex, least)


def _why_not(own: Array, others: Array, R: Array, found: float, least: float, wanted: float) -> str:
    if found > 0:
        return f"the largest margin found is {least:.4g}, less than the {wanted:g} asked for"
    p, q = own[np.unique((own @ R.T).argmax(axis=0))], others[np.unique((others @ R.T).argmin(axis=0))]
    differences = (q[:, None] - p[None]).reshape(-1, own.shape[1])
    differences = differences / np.linalg.norm(differences, axis=1, keepdims=True)
    widest = float(np.degrees(np.arccos(np.clip((differences @ differences.T).min(), -1.0, 1.0))))
    if widest > 90.0:
        return f"directions from its points to the others differ by {widest:.3g}°, and no orthant is wider than 90°"
    sides = "no rotation was found whose faces all have it and the others on different sides"
    return f"{sides} (best margin {found:.3g})"


def row_margins(R: Array, own: Array, others: Array) -> Array:
    """Return half the gap from ``own`` to ``others`` along each row of R, (Q,); negative: overlap."""
    return np.asarray(0.5 * ((others @ R.T).min(axis=0) - (own @ R.T).max(axis=0)))


def _best_rotation(own: Array, others: Array, axis: Array, rng: np.random.Generator) -> tuple[Array, float]:
    """Return the rotation with the largest least row margin that was found, and that margin."""
    dim = len(axis)
    center = others.mean(axis=0)
    own, others = own - center, others - center
    n_turns = _TURNS if 2 < dim <= _MAX_DIM_TO_SEARCH else 0
    turns = [np.eye(dim)] + [_turn_about(axis, rng) for _ in range(n_turns)]
    starts = [with_axis(_cone_axis(own, others, rng))] + [with_axis(axis) @ turn for turn in turns]
    found = (_climbed(start, own, others) for start in starts)
    return max(((R, float(row_margins(R, own, others).min())) for R in found), key=lambda pair: pair[1])


def _cone_axis(own: Array, others: Array, rng: np.random.Generator) -> Array:
    """Return the axis of the narrowest circular cone around all directions from ``own`` to ``others``.

    It goes through the least-norm point of the hull of the unit vectors. Of large sets, only points that are
    extreme in some of many directions are looked at.
    """
    if len(own) * len(others) > _MAX_PAIRS:
        directions = rng.standard_normal((own.shape[1], _PROBES))
        own = own[np.unique((own @ directions).argmax(axis=0))]
        others = others[np.unique((others @ directions).argmax(axis=0))]
    differences = (others[:, None] - own[None]).reshape(-1, own.shape[1])
    units = differences / np.linalg.norm(differences, axis=1, keepdims=True)
    inner = gap(np.zeros((1, own.shape[1])), units)
    axis = inner.vector if inner.length > 0 else units.mean(axis=0)
    return np.asarray(axis / np.linalg.norm(axis))


def _turn_about(axis: Array, rng: np.random.Generator) -> Array:
    """Return a random rotation that keeps ``axis``."""
    to_diagonal = with_axis(axis)
    diagonal_frame = np.linalg.svd(np.full((1, len(axis)), 1.0))[2]
    turn = np.eye(len(axis))
    turn[1:, 1:] = random_rotation(rng, len(axis) - 1)
    within = diagonal_frame.T @ turn @ diagonal_frame
    return np.asarray(to_diagonal.T @ within @ to_diagonal)


def _climbed(R: Array, own: Array, others: Array) -> Array:
    """Raise the least row margin by small rotations, each from a linear program, until it rises no more."""
    dim = len(R)
    climbs = _MAX_CLIMBS if dim <= _MAX_DIM_TO_SEARCH else _MAX_SHORT_CLIMBS
    reach = 0.3
    margin = float(row_margins(R, own, others).min())
    scale = float(np.abs(np.concatenate([own, others])).max()) or 1.0
    for _ in range(climbs if 1 < dim <= _MAX_DIM_TO_CLIMB else 0):
        step = _best_step(R, own / scale, others / scale, reach)
        if step is None:
            break
        candidate = polished(R + step @ R)
        risen = float(row_margins(candidate, own, others).min())
        if risen > margin + _WORTH_A_STEP * scale:
            R, margin, reach = candidate, risen, min(1.5 * reach, 0.5)
        else:
            reach /= 3.0
            if reach < _SHORTEST_REACH:
                break
    return R


def _best_step(R: Array, own: Array, others: Array, reach: float) -> Array | None:
    """Return the antisymmetric A, |A_ij| <= reach, that makes the least margin of (1 + A) R largest.

    Unknowns: the entries of A above the diagonal, a threshold for each row, and the margin m. For each row r:
    z_r + Σ_j A_rj z_j − threshold_r >= m for the others, <= −m for the cluster.
    None if the program has no solution to rounding.
    """
    from scipy.optimize import linprog

    dim = len(R)
    upper = np.triu_indices(dim, 1)
    n_turns = len(upper[0])
    rows, bounds = [], []
    for r in range(dim):
        for points, sign in ((others, 1.0), (own, -1.0)):
            z = points @ R.T
            z = z[np.argsort(sign * z[:, r])[:_NEAREST]]
            row = np.zeros((len(z), n_turns + dim + 1))
            above, below = upper[0] == r, upper[1] == r
            row[:, :n_turns][:, above] = sign * z[:, upper[1][above]]
            row[:, :n_turns][:, below] = -sign * z[:, upper[0][below]]
            row[:, n_turns + r] = -sign
            row[:, -1] = -1.0
            rows.append(-row)
            bounds.append(sign * z[:, r])
    objective = np.zeros(n_turns + dim + 1)
    objective[-1] = -1.0
    limits = [(-reach, reach)] * n_turns + [(None, None)] * (dim + 1)
    solution = linprog(
        objective, A_ub=np.concatenate(rows), b_ub=np.concatenate(bounds), bounds=limits, method="highs"
    )
    if solution.x is None:
        return None
    step = np.zeros((dim, dim))
    step[upper] = solution.x[:n_turns]
    return step - step.T
