"""Motion along pinned surfaces, and how much room there is before one of them has to be left."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.optimize import linprog

from reference.network import (
    Network,
    loss_and_gradient,
    pre_activations,
    surface_gradient,
    velocity_of_state,
)
from reference.surfaces import Shared, jumps, normals, shared_surfaces, with_weights

#: Weights this close to 0 or 1 are at the bound: rounding of the small linear problems is far below.
WEIGHT_TOLERANCE = 1e-9


def slide(net: Network, state: np.ndarray, h: np.ndarray, pinned: list[Shared]) -> np.ndarray:
    """Return the velocity that keeps pinned surfaces at zero: -grad C made orthogonal to their normals."""
    h = with_weights(h, pinned, np.zeros(len(pinned)))
    d = -loss_and_gradient(net, state, h)[1]
    if pinned:
        N = normals(net, state, h, pinned)
        d = d - N.T @ np.linalg.lstsq(N.T, d, rcond=1e-10)[0]
    return d


def room(net: Network, state: np.ndarray, h: np.ndarray, pinned: list[Shared]) -> tuple[float, np.ndarray]:
    """Return the least distance of the pinned weights from 0 and 1, and the weights.

    Where the weights are not unique, the greatest such distance over all of them. A point pinned in two layers
    has the weights of the convex hull of its neighbouring gradients, and there is no room left, either, as soon
    as a surface can be left so that the motion agrees with it, for that motion is the steeper one.
    """
    if not one_layer_each(pinned):
        in_hull, weights = hull_room(net, state, h, pinned)
        return min(in_hull, room_to_stay(net, state, h, pinned)), weights
    h = with_weights(h, pinned, np.zeros(len(pinned)))
    base = loss_and_gradient(net, state, h)[1]
    D = jumps(net, state, h, pinned)
    target = -(base + slide(net, state, h, pinned))
    if np.linalg.matrix_rank(D, tol=1e-9 * max(np.abs(D).max(), 1e-300)) < len(pinned):
        weights = roomiest(D, target)
    else:
        weights = np.linalg.lstsq(D.T, target, rcond=None)[0]
    return float(min(weights.min(), (1.0 - weights).min())), weights


def room_to_stay(net: Network, state: np.ndarray, h: np.ndarray, pinned: list[Shared]) -> float:
    """Return minus the greatest speed at which one pinned surface, left to a side, moves to that side.

    It is infinite if there is no such motion: a surface that stays at zero on either side is not left.
    """
    held = np.zeros(h.shape, bool)
    for shared in pinned:
        shared.put(held, True)
    fastest = -np.inf
    for shared in pinned:
        for side in (0.0, 1.0):
            others, pattern = held.copy(), with_weights(h, pinned, np.zeros(len(pinned)))
            shared.put(others, False)
            shared.put(pattern, side)
            rest = shared_surfaces(net, others, (pattern > 0) | others)
            normal = surface_gradient(net, state, pattern, shared.surface)
            outward = (2 * side - 1) * float(normal @ slide(net, state, pattern, rest))
            simple = not rest or one_layer_each(rest)
            if outward > fastest and (not rest or (simple and room(net, state, pattern, rest)[0] >= 0)):
                fastest = outward
    return -fastest if fastest > WEIGHT_TOLERANCE else np.inf


def hull_room(
    net: Network, state: np.ndarray, h: np.ndarray, pinned: list[Shared]
) -> tuple[float, np.ndarray]:
    """Return the same for the convex hull of the gradients in all cells around the state.

    The room is the greatest t such that -velocity is a combination of them with no coefficient below t. Cells are
    counted block by block: surfaces of different blocks are crossed independently of one another.
    """
    zero = with_weights(h, pinned, np.zeros(len(pinned)))
    base = loss_and_gradient(net, state, zero)[1]
    columns, owners, members = [], [], []
    blocks = linked_blocks(net, state, h, pinned)
    for owner, block in enumerate(blocks):
        for signs in cells(net, state, zero, [pinned[k] for k in block]):
            full = zero.copy()
            for sign, k in zip(signs, block, strict=True):
                pinned[k].put(full, float(sign))
            columns.append(loss_and_gradient(net, state, full)[1] - base)
            owners.append(owner)
            members.append({k for sign, k in zip(signs, block, strict=True) if sign})
    G = np.array(columns).T
    target = -(base + slide(net, state, h, pinned))
    left, size, _ = np.linalg.svd(G, full_matrices=False)
    left = left[:, size > 1e-9 * size.max()]
    n = G.shape[1]
    one = np.array([[float(owner == b) for owner in owners] for b in range(len(blocks))])
    found = linprog(
        np.r_[np.zeros(n), -1.0],
        A_ub=np.c_[-np.eye(n), np.ones(n)],
        b_ub=np.zeros(n),
        A_eq=np.r_[np.c_[left.T @ G, np.zeros(left.shape[1])], np.c_[one, np.zeros(len(one))]],
        b_eq=np.r_[left.T @ target, np.ones(len(one))],
        bounds=[(None, None)] * (n + 1),
    )
    if found.x is None:  # an apex of the hull: not even a combination with negative coefficients
        return -1.0, np.full(len(pinned), 0.5)
    weights = [sum(found.x[c] for c in range(n) if k in members[c]) for k in range(len(pinned))]
    return float(found.x[-1]), np.array(weights)


def linked_blocks(net: Network, state: np.ndarray, h: np.ndarray, pinned: list[Shared]) -> list[list[int]]:
    """Return the pinned surfaces in blocks: with a point in common, or with linearly dependent normals."""
    N = normals(net, state, with_weights(h, pinned, np.zeros(len(pinned))), pinned)
    _, size, right = np.linalg.svd(N.T)
    null = right[(size > 1e-9 * size.max()).sum() :]  # combinations of normals that vanish
    blocks: list[set[int]] = []
    joins = [set(np.flatnonzero(np.abs(row) > 1e-7).tolist()) for row in _sparse_rows(null)]
    for a, first in enumerate(pinned):
        joins.append({a})
        joins += [{a, b} for b in range(a) if set(first.points) & set(pinned[b].points)]
    for join in joins:
        touching = [block for block in blocks if block & join]
        blocks = [block for block in blocks if not block & join]
        blocks.append(join.union(*touching))
    return [sorted(block) for block in blocks]


def _sparse_rows(rows: np.ndarray) -> np.ndarray:
    """Return the reduced row echelon form, so that each row tells of few columns."""
    rows = rows.copy()
    done = 0
    for column in range(rows.shape[1]):
        if done == len(rows):
            break
        pivot = done + int(np.argmax(np.abs(rows[done:, column])))
        if abs(rows[pivot, column]) < 1e-7:
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] /= rows[done, column]
        others = np.arange(len(rows)) != done
        rows[others] -= np.outer(rows[others, column], rows[done])
        done += 1
    return rows


#: Directions in which the cells around a state are looked for, and how far.
DIRECTIONS, NEARBY = 1500, 1e-6


def cells(net: Network, state: np.ndarray, h: np.ndarray, pinned: list[Shared]) -> list[tuple[int, ...]]:
    """Return the sign patterns (1 above, 0 below) of the pinned surfaces that occur around the state.

    A point that is pinned in one layer moves its surfaces in later ones by kinks, and surfaces may depend on one
    another, so that not all patterns occur; those that do are found by looking in many directions.
    """
    if len({shared.layer for shared in pinned}) == 1 and len(pinned) <= 2 and len(pinned[0].points) == 1:
        return list(itertools.product((0, 1), repeat=len(pinned)))
    rng = np.random.default_rng(0)
    N = normals(net, state, h, pinned)
    mix = rng.normal(size=(DIRECTIONS, len(pinned))) * 10.0 ** rng.uniform(-1.5, 0, (DIRECTIONS, len(pinned)))
    tangents = mix @ N
    states = state + NEARBY * np.array([velocity_of_state(net, state, t) for t in tangents])
    signs = np.zeros((DIRECTIONS, len(pinned)), dtype=int)
    patterns = np.repeat(h[None], DIRECTIONS, axis=0)
    for layer in range(net.n_layers):  # a layer's signs decide what the next one sees
        here = [k for k, shared in enumerate(pinned) if shared.layer == layer]
        if not here:
            continue
        z = pre_activations(net, states, patterns)
        for k in here:
            signs[:, k] = z[:, layer, pinned[k].points[0], pinned[k].coordinate] > 0
            patterns[:, layer, list(pinned[k].points), pinned[k].coordinate] = signs[:, k, None]
    return sorted(set(map(tuple, signs.tolist())))


def one_layer_each(active: list[Shared]) -> bool:
    layers: dict[int, set[int]] = {}
    for shared in active:
        for point in shared.points:
            layers.setdefault(point, set()).add(shared.layer)
    return all(len(found) == 1 for found in layers.values())


def roomiest(D: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return weights in [t, 1 - t] with the given weighted sum of the rows of D, t as large as can be."""
    n = len(D)
    basis = np.linalg.svd(D.T, full_matrices=False)
    keep = basis[1] > 1e-10 * basis[1].max()
    A_eq = np.c_[(basis[0].T @ D.T)[keep], np.zeros(keep.sum())]
    A_ub = np.r_[np.c_[-np.eye(n), np.ones(n)], np.c_[np.eye(n), np.ones(n)]]
    b_ub = np.r_[np.zeros(n), np.ones(n)]
    found = linprog(
        np.r_[np.zeros(n), -1.0],
        A_ub=A_ub,
        b_ub=b_ub,
        A_eq=A_eq,
        b_eq=(basis[0].T @ total)[keep],
        bounds=[(None, None)] * (n + 1),
    )
    return found.x[:n]
