"""A layer that cuts its cluster with one face and leaves everything else alone.

Some point of the cluster must lie outside the convex hull of what is to be left alone (``others``); a
half-space {n·x > c} that holds all the others then becomes one row of R, and the other faces are put where
they truncate nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.config.construct.hulls import TOUCHING, gap
from truncflow_cli.config.construct.rotations import with_row
from truncflow_cli.config.errors import Fault
from truncflow_cli.problem import Array, BoolArray

#: The faces that truncate nothing are at least this share of the data's extent away from every point.
_CLEAR = 0.25
#: Neighbours at less than this share of the data's extent have no face put between them.
_ROOM = 1e-9
#: Without a margin that is asked for, the others keep this share of the largest there is.
_KEPT = 0.25
#: After this many nearest-point problems the farthest point found so far is good enough; if none is outside
#: the hull yet, the search goes on to its end.
_ENOUGH_SEARCHES = 300


@dataclass(frozen=True)
class Layer:
    """One constructed layer.

    Attributes:
        R: (Q, Q).
        beta: (Q,).
        margin: least distance of any point from a face that it must stay clear of; infinite if there is none.
    """

    R: Array
    beta: Array
    margin: float


def cut(own: Array, others: Array, margin: float | None) -> Layer:
    """Return a layer that truncates some of ``own`` (n, Q), not all if it can, and none of ``others`` (m, Q).

    ``margin`` is the least distance of the others, if there are any, from the faces; None: a quarter of the largest
    there is, or more.

    Raises:
        Fault: there is no such half-space, or none with this margin; the message says why.
    """
    everything = np.concatenate([own, others])
    extent = float(np.linalg.norm(everything - everything.mean(axis=0), axis=1).max()) or 1.0
    if len(others) == 0:
        normal, limit = _widest(own), np.inf
        ahead = limit
    else:
        normal, kept = _normal(own, others, margin)
        ahead = float((others @ normal).min())
        limit = ahead - kept
    face = _face(np.sort(own @ normal), limit, extent)
    R, row = with_row(normal)
    achieved = ahead - face
    clear = max(_CLEAR * extent, margin or 0.0, min(achieved, extent))
    offset = clear - (everything @ R.T).min(axis=0)
    offset[row] = -face
    return Layer(R, R.T @ offset, achieved if len(normal) == 1 else min(achieved, clear))


def _widest(own: Array) -> Array:
    """Return the direction in which a cluster that is alone extends most."""
    direction = np.linalg.svd(own - own.mean(axis=0))[2][0]
    return np.asarray(direction if direction[np.abs(direction).argmax()] > 0 else -direction)


def _normal(own: Array, others: Array, wanted: float | None) -> tuple[Array, float]:
    """Return the unit normal of a half-space around ``others`` that not all of ``own`` is in, and its margin.

    The whole cluster's gap to the others is taken where it is wide enough, since every point can be cut then;
    else that of the single point that is farthest away, turned so that more points can be cut with the same
    margin.
    """
    margin = wanted or 0.0
    between = gap(own, others)
    if between.length > 0:
        normal = between.vector / between.length
        largest = float((others @ normal).min() - (own @ normal).min())
        if largest > margin:
            return normal, (_KEPT * largest if wanted is None else wanted)
    vector = _farthest(own, others)
    length = float(np.linalg.norm(vector))
    if length == 0:
        why = "every one of its points lies in the convex hull of the others"
        raise Fault(f"{why}, so no face can cut it off them")
    if length <= margin:
        most = f"the margin can be at most {length:.4g}"
        raise Fault(f"{most}, the farthest that one of its points is from the others' hull")
    kept = _KEPT * length if wanted is None else wanted
    return _turned_to_more(vector / length, own, others, kept), kept


def _turned_to_more(normal: Array, own: Array, others: Array, margin: float) -> Array:
    """Turn ``normal`` to the widest gap of the points it can cut with this margin, while they get more."""
    count = 0
    while True:
        outside = own[own @ normal < float((others @ normal).min()) - margin]
        if not count < len(outside) <= len(own) // 2:
            return normal
        count = len(outside)
        widest = gap(outside, others)
        normal = widest.vector / widest.length


def _farthest(own: Array, others: Array) -> Array:
    """Return the shortest vector to the others' hull from the point of ``own`` that is farthest from it.

    A point is at most as far as from any point of the hull seen so far, and inside if it is in a simplex of
    ``others`` seen so far: few of the points need a nearest-point problem of their own.
    """
    bound = np.linalg.norm(own - others.mean(axis=0), axis=1)
    best = np.zeros(own.shape[1])
    for searches in range(len(own)):
        index = int(bound.argmax())
        enough = searches >= _ENOUGH_SEARCHES and best.any()
        if enough or bound[index] <= float(np.linalg.norm(best)) * (1 + 1e-9):
            break
        found = gap(own[index : index + 1], others)
        if found.length > float(np.linalg.norm(best)):
            best = found.vector
        bound = np.minimum(bound, np.linalg.norm(own - (own[index] + found.vector), axis=1))
        bound[_in_simplex(own, found.others)] = 0.0
        bound[index] = 0.0
    return best


def _in_simplex(points: Array, corners: Array) -> BoolArray:
    """Say which points lie in the simplex with these corners; none does if it is not of full dimension."""
    dim, edges = points.shape[1], (corners[1:] - corners[0]).T
    if len(corners) != dim + 1 or np.linalg.matrix_rank(edges) < dim:
        return np.zeros(len(points), dtype=bool)
    shares = np.linalg.solve(edges, (points - corners[0]).T)
    return np.asarray((shares >= -TOUCHING).all(axis=0) & (shares.sum(axis=0) <= 1 + TOUCHING))


def _face(along: Array, limit: float, extent: float) -> float:
    """Return where to put the face: up to half of the cluster behind it, the others a margin ahead.

    ``along`` (n,) are the sorted positions of the cluster's points along the normal; ``limit`` is how far the face may
    go, so that the others keep their margin; ``extent`` the size of the data, for a face that nothing bounds.
    """
    first = float(along[0])
    limit = first + extent if np.isinf(limit) else limit
    upper = np.minimum(np.append(along[1:], np.inf), limit)
    # The face lies half-way between neighbours, and never on a point; equal points are behind it together.
    room = np.flatnonzero(upper - along > _ROOM * extent)
    if len(room) == 0:
        return 0.5 * (first + limit)
    behind = room[np.abs(room + 1 - max(len(along) // 2, 1)).argmin()]
    return 0.5 * float(along[behind] + upper[behind])
