"""Which way a gradient flow of a piecewise smooth loss goes from a point where some z_{l,i,r} are zero.

Every active surface (a zero z, shared by points that coincide) has a weight lambda in [0, 1] in place of h.
The flow is d = -grad C(lambda) with, for each surface: z-dot <= 0 where lambda = 0, z-dot >= 0 where lambda
= 1 and z-dot = 0 between. Where all kinks are convex this is the least-norm element of the subdifferential,
found as a bounded least-squares problem; surfaces at concave kinks have lambda = 0 unless that contradicts
their motion (h(0) = 0).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

from reference.descent import descend, plain_pattern
from reference.network import Network, loss_and_gradient, pre_activations
from reference.sliding import WEIGHT_TOLERANCE, room, roomiest, slide
from reference.surfaces import Shared, jumps, normals, shared_surfaces, with_weights

#: Speeds below this (times the size of the vectors) are zero.
SPEED_TOLERANCE = 1e-11
MAX_SWEEPS = 200


class AmbiguousError(Exception):
    """No consistent selection was found by the iteration."""


@dataclass(frozen=True)
class Selection:
    """Outcome: the pattern (L, N, Q), 0 on pinned surfaces, and which are pinned (L, N, Q).

    ``choices`` is the number of consistent selections that were found, counted by their different speeds.
    """

    h: np.ndarray
    pinned: np.ndarray
    choices: int


#: Up to this many active surfaces, all assignments of {truncated, untruncated, pinned} are tried.
ENUMERABLE = 5
#: More than that, but up to this many, are tried if nothing else gives a consistent selection.
EXHAUSTIBLE = 8
#: Velocities whose norms agree to this count as equally steep.
EQUALLY_STEEP = 1e-9


def select(
    net: Network, state: np.ndarray, h: np.ndarray, pinned: np.ndarray, active: np.ndarray, start: bool
) -> Selection:
    """Return the consistent selection for the active surfaces (L, N, Q), given the pattern held before.

    Where all kinks are convex there is one. Else, at the ``start`` of a run, h(0) = 0 decides: the one that
    explicit descent takes from there, or else the one with the fewest untruncated surfaces; later the one
    in which the loss falls fastest, as for curves of maximal slope.

    Raises:
        AmbiguousError: none was found.
    """
    before = np.where(pinned, 2, h).astype(int)
    count = len(shared_surfaces(net, active, (h > 0) | pinned))
    found: dict[bytes, tuple[int, float, int, int, np.ndarray]] = {}

    def consider(statuses: Iterable[np.ndarray]) -> None:
        for status in statuses:
            key = status.tobytes()
            if key in found:
                continue
            verdict, steepness = consistency(net, state, status, active)
            if verdict:
                ups, changes = (status == 1)[active].sum(), (status != before)[active].sum()
                found[key] = (verdict, steepness, int(ups), int(changes), status)

    if start:
        for germ in descent_germs(net, state, before, active):
            if consistency(net, state, germ, active)[0]:
                return Selection((germ == 1).astype(float), germ == 2, 1)
    consider(guesses(net, state, before, active))
    if count <= ENUMERABLE or (not found and count <= EXHAUSTIBLE):
        consider(assignments(net, before, active))
    if not found:
        raise AmbiguousError(f"no consistent selection of {count} active surfaces")
    sure = [item for item in found.values() if item[0] == 2] or list(found.values())
    if start:
        best = min(sure, key=lambda item: item[2:4])
    else:
        steepest = max(item[1] for item in sure)
        best = min((item for item in sure if item[1] > steepest - EQUALLY_STEEP), key=lambda item: item[3])
    different = {round(speed, 8) for _, speed, *_ in found.values()}
    return Selection((best[-1] == 1).astype(float), best[-1] == 2, len(different))


def descent_germs(
    net: Network, state: np.ndarray, before: np.ndarray, active: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the statuses that explicit gradient descent with h(0) = 0 settles into, by tiny steps.

    Pinned surfaces chatter by a step's size, so that their mean speeds are of the order of one over the
    number of steps; what is the right order is left to the check of consistency.
    """
    step, count = 1e-9, 3000
    moved = descend(net, state, count * step, step)
    speeds = pre_activations(net, moved[None], plain_pattern(net, moved))[0] / (count * step)
    for level in (3.0, 10.0, 1.0, 30.0, 0.3):
        status = np.where(speeds > 0, 1, 0)
        status[np.abs(speeds) < level / count] = 2
        status = np.where(active, status, before)
        stuck = shared_surfaces(net, active & (status == 2), status > 0)
        if stuck:  # where the layers behind are dead there is no kink, and nothing that would hold a surface
            half = np.where(status == 2, 0.5, status)
            flat = np.abs(jumps(net, state, half, stuck)).max(axis=1) < 1e-14
            for shared in itertools.compress(stuck, flat):
                status[shared.layer, list(shared.points), shared.coordinate] = 0
        yield status


def guesses(net: Network, state: np.ndarray, before: np.ndarray, active: np.ndarray) -> Iterator[np.ndarray]:
    """Yield likely statuses: all reached go through; and what the iteration makes of various starts."""
    through = np.where(active & (before < 2), 1 - before, before)
    yield through
    for status in (before, through, np.where(active, 0, before), np.where(active, 1, before)):
        swept = sweep(net, state, status, active)
        if swept is not None:
            yield swept


def assignments(net: Network, before: np.ndarray, active: np.ndarray, layer: int = 0) -> Iterator[np.ndarray]:
    """Yield statuses (L, N, Q) (0 truncated, 1 untruncated, 2 pinned), all choices for active surfaces.

    Layer by layer, because which points share a surface depends on the layers before.
    """
    if layer == net.n_layers:
        yield before
        return
    mask = np.zeros_like(active)
    mask[layer] = active[layer]
    surfaces = shared_surfaces(net, mask, before > 0)
    for choice in itertools.product((0, 1, 2), repeat=len(surfaces)):
        status = before.copy()
        for shared, value in zip(surfaces, choice, strict=True):
            status[layer, list(shared.points), shared.coordinate] = value
        yield from assignments(net, status, active, layer + 1)


def consistency(net: Network, state: np.ndarray, status: np.ndarray, active: np.ndarray) -> tuple[int, float]:
    """Return 2 if the motion under these statuses keeps to them, 1 if only just, else 0; and its speed."""
    h, on = (status == 1).astype(float), status > 0
    stuck = shared_surfaces(net, active & (status == 2), on)
    moving = shared_surfaces(net, active & (status != 2), on)
    if any(len({int(status[c.layer, i, c.coordinate]) for i in c.points}) > 1 for c in stuck + moving):
        return 0, 0.0
    tangent = slide(net, state, h, stuck)
    speed = float(np.linalg.norm(tangent))
    if moving:
        N = normals(net, state, h, moving)
        outward = (N @ tangent) * np.array([2 * h[shared.surface] - 1 for shared in moving])
        zero = SPEED_TOLERANCE * (1.0 + speed) * (1.0 + np.linalg.norm(N, axis=1))
        if (outward < -zero).any():
            return 0, 0.0
    if stuck:
        left, weights = room(net, state, h, stuck)
        if left < WEIGHT_TOLERANCE:
            return 0, 0.0
        full = with_weights(h, stuck, weights)
        if ((jumps(net, state, full, stuck) * normals(net, state, full, stuck)).sum(axis=1) <= 0).any():
            return 0, 0.0  # a concave kink repels
    return (2 if not moving or (outward > zero).all() else 1), speed


def sweep(net: Network, state: np.ndarray, status: np.ndarray, active: np.ndarray) -> np.ndarray | None:
    """Return the statuses found by iteration: least-norm weights at convex kinks, flips at concave ones."""
    for _ in range(2 + net.n_layers):
        surfaces = shared_surfaces(net, active, status > 0)
        weights = _iterate(net, state, (status == 1).astype(float), surfaces)
        if weights is None:
            return None
        updated = status.copy()
        for shared, weight in zip(surfaces, weights, strict=True):
            inside = WEIGHT_TOLERANCE < weight < 1 - WEIGHT_TOLERANCE
            updated[shared.layer, list(shared.points), shared.coordinate] = 2 if inside else round(weight)
        if (updated == status).all():
            break
        status = updated
    return status


def _iterate(net: Network, state: np.ndarray, h: np.ndarray, active: list[Shared]) -> np.ndarray | None:
    weights = np.array([h[shared.surface] for shared in active])
    for _ in range(MAX_SWEEPS):
        full = with_weights(h, active, weights)
        D, N = jumps(net, state, full, active), normals(net, state, full, active)
        convex = (D * N).sum(axis=1) > 0
        updated = weights.copy()
        if convex.any():
            base = loss_and_gradient(net, state, full)[1] - weights[convex] @ D[convex]
            updated[convex] = _least_norm_box(D[convex], base)
        full = with_weights(h, active, updated)
        N = normals(net, state, full, active)
        tangent = -loss_and_gradient(net, state, full)[1]
        speeds = N @ tangent
        zero = SPEED_TOLERANCE * (1.0 + np.linalg.norm(tangent)) * (1.0 + np.linalg.norm(N, axis=1))
        flips = ~convex & np.where(updated > 0.5, speeds < -zero, speeds > zero)
        updated[flips] = 1.0 - np.round(updated[flips])
        if not flips.any() and np.abs(updated - weights).max() < 1e-12:
            still = convex & (np.abs(speeds) <= zero)
            if still.any() and np.linalg.matrix_rank(D[still], tol=1e-9 * np.abs(D).max()) < still.sum():
                weights[still] = roomiest(D[still], weights[still] @ D[still])  # not unique: the most room
            return weights
        weights = updated
    return None


def _least_norm_box(D: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Return the weights in [0, 1] that minimise |base + weights D|."""
    free = np.linalg.lstsq(D.T, -base, rcond=1e-12)[0]
    if free.min() >= 0.0 and free.max() <= 1.0:
        return free
    return lsq_linear(D.T, -base, bounds=(0.0, 1.0), method="bvls", tol=1e-15, max_iter=500).x
