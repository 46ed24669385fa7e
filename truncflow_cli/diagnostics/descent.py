"""The gradient of the loss and the velocity of the flow at the saved states, and what they make of dC/ds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.layered import LayeredAnalysis
from truncflow_cli.diagnostics.passes import BLOCK
from truncflow_cli.problem import Array, BoolArray, IntArray


@dataclass(frozen=True)
class Descent:
    """The two parts of dC/ds (3.27), layer by layer.

    Attributes:
        beta_part: (M, L) (∂_β C)·∂_s β, (3.28).
        R_part: (M, L) Tr((∂_R C)ᵀ ∂_s R), (3.29).
        size: (M,) |gradient| |velocity|, which neither part can exceed.
        pinned: how many of the M times lie on pinned surfaces.
        left_out: how many of those were not evaluated (NaN).
    """

    beta_part: Array
    R_part: Array
    size: Array
    pinned: int
    left_out: int


def descent(ev: LayeredAnalysis) -> Descent:
    """Evaluate both parts at every evaluated time of a `separated` or `general` run.

    The gradient comes from backward passes. The velocity of `separated` comes from (3.22) and (3.25), as
    printed if the run says so; that of `general` is minus its gradient. On pinned surfaces both are the
    least-norm element of the gradients around (Filippov); the printed field is no gradient there and is left
    out, and so are states in which one point is pinned in two layers at once.
    """
    gradient_beta, gradient_R = _gradient(ev)
    velocity_beta, Omega = -gradient_beta, -gradient_R
    alone = ev.own_layer_only
    if alone.all():
        velocity_beta, Omega = (np.stack(parts, axis=1) for parts in zip(*ev.velocity, strict=True))
    elif alone.any():
        for k in range(ev.n_clusters):
            moved, turned = ev.velocity[k]
            velocity_beta[alone, k], Omega[alone, k] = moved[alone], turned[alone]
    if ev.frozen:
        Omega[:] = 0.0
    jumps = Jumps(ev)
    affine = jumps.affine & (not (ev.printed or ev.frozen))
    chosen = np.flatnonzero(affine)
    several = max(1, BLOCK // (int(jumps.counts.max(initial=1)) * gradient_R[0].size))
    for part in np.split(chosen, range(several, chosen.size, several)) if chosen.size else ():
        m = jumps.states[part]
        element = least_norm(jumps.of(part), gradient_beta[m], gradient_R[m])
        gradient_beta[m], gradient_R[m] = element
        velocity_beta[m], Omega[m] = -element[0], -element[1]
    left_out = jumps.states[~affine]
    gradient_beta[left_out], gradient_R[left_out] = np.nan, np.nan
    squares = [np.einsum("tlq,tlq->t", a, a) for a in (gradient_beta, velocity_beta)]
    turns = [np.einsum("tlij,tlij->t", a, a) for a in (gradient_R, Omega)]
    return Descent(
        beta_part=np.einsum("tlq,tlq->tl", gradient_beta, velocity_beta),
        R_part=np.einsum("tlij,tlij->tl", gradient_R, Omega),
        size=np.sqrt(squares[0] + turns[0]) * np.sqrt(squares[1] + turns[1]),
        pinned=int(jumps.states.size),
        left_out=int(left_out.size),
    )


def _gradient(ev: LayeredAnalysis) -> tuple[Array, Array]:
    """Return ∂_β C (M, L, Q), π₋((∂_R C)Rᵀ) (M, L, Q, Q) of the flow's own loss, what is pinned truncated."""
    alone = ev.own_layer_only
    if alone.all():
        own = [(passed.gradient_beta[:, 0], passed.gradient_R[:, 0]) for passed in ev.own]
        return np.stack([part for part, _ in own], axis=1), np.stack([part for _, part in own], axis=1)
    shape = (ev.s.size, ev.n_layers, ev.dim)
    along_beta, along_R = np.zeros(shape), np.zeros((*shape, ev.dim))
    for k in range(ev.n_clusters):
        if alone.any():
            along_beta[alone, k] = ev.own[k].gradient_beta[alone, 0]
            along_R[alone, k] = ev.own[k].gradient_R[alone, 0]
        along_beta[~alone] += ev.composed[k].gradient_beta[~alone]
        along_R[~alone] += ev.composed[k].gradient_R[~alone]
    return along_beta, along_R


def least_norm(jumps: Array, along_beta: Array, along_R: Array) -> tuple[Array, Array]:
    """Return the least-norm element of the gradients around each of some states on pinned surfaces.

    jumps (S, P, L·Q + L·Q²) are those across the surfaces, or zero; along_beta (S, L, Q), along_R (S, L, Q, Q) the
    gradient with all of them truncated. Each weight λ ∈ [0, 1] adds its part of the jump across its surface.
    """
    n_states = jumps.shape[0]
    columns = jumps.swapaxes(1, 2)
    start = np.concatenate([part.reshape(n_states, -1) for part in (along_beta, along_R)], axis=1)
    weights = -(np.linalg.pinv(columns, rcond=1e-11) @ start[:, :, None])[:, :, 0]
    outside = (weights.min(axis=1) < -1e-9) | (weights.max(axis=1) > 1.0 + 1e-9)
    for i in np.flatnonzero(outside):
        # Imported where it is needed: a run without pins is certified without it, and sooner.
        from scipy.optimize import lsq_linear

        weights[i] = lsq_linear(columns[i], -start[i], bounds=(0.0, 1.0), method="bvls").x
    element = start + (columns @ weights[:, :, None])[:, :, 0]
    cut = along_beta[0].size
    return element[:, :cut].reshape(along_beta.shape), element[:, cut:].reshape(along_R.shape)


class Jumps:
    """The jumps of the gradient at the evaluated times of a run.

    Attributes:
        states: (S,) the times at which something is pinned, as indices, ascending.
        counts: (S,) how many coordinates are pinned there.
        affine: (S,) bool, whether the gradients around are sums of the jumps: not if one point is pinned in two layers.
    """

    def __init__(self, ev: LayeredAnalysis) -> None:
        self.states, self._starts, self.counts = np.unique(
            ev.pins[:, 0], return_index=True, return_counts=True
        )
        self.affine: BoolArray = np.ones(self.states.size, dtype=bool)
        if self.states.size:
            in_layers = np.unique(ev.pins[:, :3], axis=0)[:, [0, 2]]
            points, several = np.unique(in_layers, axis=0, return_counts=True)
            self.affine = ~np.isin(self.states, points[several > 1, 0])
        self._ev = ev

    def at(self, m: int) -> Array | None:
        """Return how the gradient changes when one pinned coordinate counts as untruncated, for each of them.

        The result (P, L·Q + L·Q²) has the changes of ∂_β C and of π₋((∂_R C)Rᵀ), one after the other, in the order of
        the pins; None if they are not affine.
        """
        i = int(np.searchsorted(self.states, m))
        return self.of(np.array([i]))[0] if self.affine[i] else None

    def of(self, indices: IntArray) -> Array:
        """Return those of several ``states`` by their indices: (S', P, L·Q + L·Q²), zero beyond the pins of a state."""
        ev = self._ev
        counts = self.counts[indices]
        there = np.arange(counts.max()) < counts[:, None]
        pins = ev.pins[(self._starts[indices][:, None] + np.arange(counts.max()))[there]]
        along_beta = np.zeros((len(pins), ev.n_layers, ev.dim))
        along_R = np.zeros((*along_beta.shape, ev.dim))
        state, layer, point, _ = pins.T
        alone, own = ev.own_layer_only[state], ev.cluster[point] == layer
        through_all, through_own = np.flatnonzero(~alone), np.flatnonzero(alone & own)
        every = np.tile(np.arange(ev.n_layers), (through_all.size, 1))
        for rows, layers in ((through_all, every), (through_own, layer[through_own, None])):
            if rows.size:
                along_beta[rows], along_R[rows] = _jumps(ev, pins[rows], layers)
        found = np.zeros((*there.shape, ev.n_layers * ev.dim * (1 + ev.dim)))
        found[there] = np.concatenate([part.reshape(len(pins), -1) for part in (along_beta, along_R)], axis=1)
        return found


def _jumps(ev: LayeredAnalysis, pins: IntArray, layers: IntArray) -> tuple[Array, Array]:
    """Return the jumps along β (P, L, Q) and R (P, L, Q, Q) across pins (P, 4) of points that pass layers (P, S)."""
    each = np.arange(len(pins))
    along_beta = np.zeros((each.size, ev.n_layers, ev.dim))
    along_R = np.zeros((*along_beta.shape, ev.dim))
    state, layer, point, coordinate = pins.T
    # What else of the same point is pinned at that time.
    places, place = np.unique(pins[:, [0, 2]], axis=0, return_inverse=True)
    place = place.ravel()
    held = np.zeros((len(places), ev.n_layers, ev.dim), dtype=bool)
    held[place, layer, coordinate] = True
    cluster = ev.cluster[point]
    t, passed = ev.x[point], []
    for at in layers.T:
        R, beta = ev.R[state, at], ev.beta[state, at]
        z = np.where(held[place, at], 0.0, _times(t + beta, R))
        t = _back(np.maximum(z, 0.0), R) - beta
        passed.append((at, R, z))
    g = (t - ev.run.y_tilde[cluster]) / np.array([group.size for group in ev.groups])[cluster, None]
    jump = np.zeros_like(g)
    for at, R, z in reversed(passed):
        w, w_of_g = _times(jump, R), _times(g, R)
        h = z > 0.0
        hw = h * w
        # In the pinned layer H changes by 1 in one entry, so H w by w_r and no more.
        here = each[layer == at]
        hw[here, coordinate[here]] += w_of_g[here, coordinate[here]]
        along_beta[each, at] = _back(hw - w, R)
        turn = np.maximum(z, 0.0)[:, :, None] * w[:, None, :] + hw[:, :, None] * z[:, None, :]
        along_R[each, at] = 0.5 * (turn - turn.swapaxes(1, 2))
        jump, g = _back(hw, R), _back(h * w_of_g, R)
    return along_beta, along_R


def _times(t: Array, R: Array) -> Array:
    """Return R t of points t (P, Q), each under its own R (P, Q, Q)."""
    return np.asarray((R @ t[:, :, None])[:, :, 0])


def _back(t: Array, R: Array) -> Array:
    """Return Rᵀt of points t (P, Q)."""
    return np.asarray((t[:, None, :] @ R)[:, 0])
