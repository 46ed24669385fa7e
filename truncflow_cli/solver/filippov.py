"""What happens on a surface: pass through, stay (pin), or leave; THEORY of Filippov for gradient flows.

On a surface z_k = 0 the field jumps by κ_k ∇z_k from the truncated (λ_k = 0) to the untruncated side (λ_k = 1): the
loss is continuous, so its gradient can only jump along the surface's normal.

* κ_k < 0: the kink of the loss is convex. The flow is steepest descent with the least-norm element of the Clarke
  subdifferential, that is, λ minimises |v_0 + Σ λ_k κ_k ∇z_k|² over the box 0 ≤ λ_k ≤ 1. Where λ_k lies strictly
  between, ż_k = 0 and the surface is pinned; λ_k = 1 has ż_k ≥ 0, λ_k = 0 has ż_k ≤ 0.
* κ_k ≥ 0: the kink is concave and cannot hold the state; a coordinate that arrives goes through.

Where one point lies on surfaces of several layers, the field is multilinear in its λ. Its neighbouring gradients then
still span the normals' plane only, so the least-norm element of their hull has ż_k = 0 on the surfaces that hold, as
the multilinear λ has; the two are found by linearising about the weights until they stay.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from truncflow_cli.flows.interface import Change, EventRow, LocalField, PiecewiseFlow, Surfaces
from truncflow_cli.problem import Array, BoolArray, IntArray
from truncflow_cli.solver.bounded_lsq import least_squares
from truncflow_cli.solver.degenerate_multipliers import spread

#: Up to this many surfaces all sides are tried to begin with, where several continuations may be consistent.
ALL_SIDES = 3
#: Rounds of settling and linearising anew, for points that lie on surfaces of several layers at once.
MAX_LINEARISATIONS = 25
#: Speed of a coordinate, in units of its rounding error's scale, below which it stays where it is.
STAYS = 1e-10
#: The same, for a coordinate that moves against the side it was given.
AGAINST = 1e-12
#: Jump of the field, relative to the field, below which a surface has no kink.
FLAT = 1e-14
#: Rounds of settling and finding that other points coincide now.
MAX_REGROUPINGS = 10
#: A weight this close to 0 or 1 counts as having reached it (weights are located to about 1e-13).
LAMBDA_EDGE = 1e-11
#: The same for a weight that has been located at its bound: it has come to leave.
LAMBDA_EDGE_LEAVING = 1e-7


def settle_flow(flow: PiecewiseFlow, change: Change | None) -> list[EventRow]:
    """Settle the surfaces that ``flow`` lies on after ``change`` (None: at the start); return the events."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite the next series meets, and says
        surfaces = flow.surfaces(change)
        at_once = change is not None and change.t <= 0.0
        return settle_surfaces(flow, surfaces, at_start=change is None, at_once=at_once)


def settle_surfaces(
    flow: PiecewiseFlow, surfaces: Surfaces, *, at_start: bool, at_once: bool = False
) -> list[EventRow]:
    """Settle ``surfaces`` and what becomes of them; return the events.

    ``at_once``: the one that leaves does so at the very instant at which it was settled before.
    """
    if surfaces.side.size == 0:
        return []
    settled = None if at_start and surfaces.descend is not None else settle(surfaces)
    descended = settled is None and surfaces.descend is not None
    if settled is None:
        # Many surfaces of several layers at once: plain descent shows the sides, which then only have to be held.
        side = surfaces.side if surfaces.descend is None else surfaces.descend()
        settled = hold(replace(surfaces, side=side))
    for _ in range(MAX_REGROUPINGS):
        regrouped = flow.regroup(*settled)
        if regrouped is None:
            break
        settled = hold(regrouped) if descended else settle(regrouped) or hold(regrouped)
    return flow.apply(*(_held_back(surfaces, *settled) if at_once else settled))


def _held_back(surfaces: Surfaces, side: IntArray, weight: Array) -> tuple[IntArray, Array]:
    """Pin what first order leaves at a bound of its weight and higher orders push back across its surface.

    A coordinate that leaves the side it has just been given, and is given it again, does not move to first order, and
    turns back to higher: if the kink is convex it is held, with a weight that starts at its bound. So is a pinned one
    whose weight is at a bound at that instant, until it is its weight that leaves.
    """
    if side.shape != surfaces.side.shape:  # points have come to coincide meanwhile
        return side, weight
    local = surfaces.field(weight)
    speed, scale = _speeds(local, _velocity(local, weight))
    leaving = surfaces.leaving != 0
    back = np.where(surfaces.side == 2, ~leaving, leaving & (side == surfaces.side))
    held = back & _convex(local) & (np.abs(speed) <= STAYS * scale)
    return np.where(held, 2, side), weight


def settle(surfaces: Surfaces) -> tuple[IntArray, Array] | None:
    """Return (side, weight), each (m,): where each surface goes from here; side 2 is pinned with that weight.

    None where the field is not affine in the weights and no consistent choice has been found.
    """
    side, leaving = surfaces.side, surfaces.leaving != 0
    weight = np.where(side == 2, surfaces.weight, side.astype(np.float64))
    prior = surfaces.field(weight)
    speed = prior.normals @ _velocity(prior, weight)
    crosses = (side != 2) & (leaving | np.where(side == 1, speed < 0.0, speed > 0.0))
    passed = np.where(crosses, 1.0 - weight, weight)
    weight = np.where(crosses & ~_convex(prior), passed, weight)
    many = 2 * weight.size + 2
    if surfaces.descend is None:
        fields = [(prior, _settle_affine(prior, weight, many))]
    else:
        about, beyond = surfaces.field(weight), surfaces.field(passed)
        starts = [(prior, weight, many), (about, weight, many), (beyond, passed, many), (about, weight, 1)]
        if weight.size <= ALL_SIDES:
            for sides in product((0.0, 1.0), repeat=weight.size):
                starts.append((surfaces.field(np.array(sides)), np.array(sides), 1))
        found = [_settle(surfaces, *start) for start in starts]
        fields = [(surfaces.field(chosen), chosen) for chosen in found if chosen is not None]
    if not fields:
        return None
    # Of several consistent choices, the one along which the loss falls fastest.
    local, chosen = max(fields, key=lambda field: float(np.linalg.norm(_velocity(*field))))
    edge = np.where(leaving & (side == 2), LAMBDA_EDGE_LEAVING, LAMBDA_EDGE)
    return _sides(local, chosen, edge)


def hold(surfaces: Surfaces) -> tuple[IntArray, Array]:
    """Return (side, weight), each (m,), with the surfaces on the sides that they are on, or held where side is 2."""
    held = surfaces.side == 2
    weight = np.where(held, 0.5, surfaces.side.astype(np.float64))
    for _ in range(MAX_LINEARISATIONS):
        local = surfaces.field(weight)
        let_go = held & ~_convex(local)
        held &= ~let_go
        weight = np.where(let_go, 0.0, weight)  # h(0) = 0
        if not held.any():
            break
        before = weight.copy()
        _balance(local, weight, held)
        if not let_go.any() and np.abs(weight - before).max() <= LAMBDA_EDGE:
            break
    # Slow surfaces may have been taken for ones that stay: nearly right, so that few changes are left.
    settled = _settle(surfaces, surfaces.field(weight), weight, 1)
    weight = weight if settled is None else settled
    return _sides(surfaces.field(weight), weight, np.full(weight.size, LAMBDA_EDGE))


def _sides(local: LocalField, weight: Array, edge: Array) -> tuple[IntArray, Array]:
    """Return the sides (m,) that weights within ``edge`` of 0 or 1 stand for, and the weights of the others."""
    side = np.full(weight.size, 2, dtype=np.int64)
    side[weight <= edge] = 0
    side[weight >= 1.0 - edge] = 1
    # Those that the others hold in place are pinned too, as long as the weights leave room for it.
    speed, scale = _speeds(local, _velocity(local, weight))
    stays = np.flatnonzero(_convex(local) & (np.abs(speed) <= STAYS * scale))
    found = spread(local.directions[stays], weight[stays]) if stays.size > 1 else None
    if found is not None:
        which, spread_weight, forced = found
        dependent, weight = stays[which], weight.copy()
        weight[stays] = spread_weight
        side[dependent] = np.where(forced, np.round(weight[dependent]).astype(np.int64), 2)
    return side, np.where(side == 2, weight, side.astype(np.float64))


def _convex(local: LocalField) -> BoolArray:
    """Return which kinks of the loss are convex, κ_k < 0; one that is flat to rounding (all behind it dead) is not."""
    size = np.linalg.norm(local.directions, axis=1)
    flat = FLAT * max(float(np.linalg.norm(local.velocity)), float(size.max(initial=0.0)))
    convex = np.einsum("kd,kd->k", local.normals, local.directions) < 0.0
    return np.asarray(convex & (size > flat))


def _velocity(local: LocalField, weight: Array) -> Array:
    return local.velocity + weight @ local.directions


def _speeds(local: LocalField, velocity: Array) -> tuple[Array, Array]:
    """Return the ż_k (m,) that a velocity (d,) makes, and what their rounding errors are relative to."""
    return local.normals @ velocity, np.linalg.norm(local.normals, axis=1) * np.linalg.norm(velocity)


def _balance(local: LocalField, weight: Array, which: BoolArray) -> Array:
    """Set the weights ``which`` (m,) to those of least velocity, the others as they are; return that velocity (d,)."""
    velocity = local.velocity + weight[~which] @ local.directions[~which]
    if which.any():
        weight[which] = least_norm_weights(velocity, local.directions[which], weight[which])
    return np.asarray(velocity + weight[which] @ local.directions[which])


def _settle(surfaces: Surfaces, local: LocalField, weight: Array, changes: int) -> Array | None:
    """Return the weights (m,) that the flow takes where the field is not affine in them; None if none were found.

    It is linearised anew after every ``changes`` changes of side, beginning with ``local``.
    """
    for _ in range(MAX_LINEARISATIONS + 4 * weight.size // changes):
        before = weight
        weight = _settle_affine(local, weight, changes)
        if np.abs(weight - before).max(initial=0.0) <= LAMBDA_EDGE:
            return weight
        local = surfaces.field(weight)
    return None


def _settle_affine(local: LocalField, weight: Array, changes: int) -> Array:
    """Return the weights that the flow takes where the field is ``local``, starting from ``weight`` (m,).

    At most ``changes`` surfaces with a concave kink change sides.
    """
    weight = weight.copy()
    convex = _convex(local)
    weight[~convex] = np.round(weight[~convex])
    for change in range(changes + 1):
        speed, scale = _speeds(local, _balance(local, weight, convex))
        against = np.where(weight > 0.5, -speed, speed) - AGAINST * scale
        wrong = int(np.argmax(np.where(convex, -np.inf, against)))
        if convex[wrong] or not against[wrong] > 0.0 or change == changes:
            break
        weight[wrong] = 1.0 - weight[wrong]
    return weight


def least_norm_weights(velocity: Array, directions: Array, guess: Array) -> Array:
    """Return λ in [0, 1]^m that minimises |velocity + λ @ directions|.

    velocity (d,), directions (m, d), guess (m,): among equally good λ one near ``guess`` is preferred.
    """
    size = np.einsum("kd,kd->k", directions, directions)
    if size.size == 1:
        return np.asarray(np.clip(-(directions @ velocity) / size, 0.0, 1.0))
    # Columns of unit length: surfaces of very different weight are then told apart equally well.
    scale = np.sqrt(size)
    columns = (directions / scale[:, None]).T
    target = -(velocity + guess @ directions)
    step = least_squares(columns, target, -guess * scale, (1.0 - guess) * scale)
    return np.asarray(np.clip(guess + step / scale, 0.0, 1.0))
