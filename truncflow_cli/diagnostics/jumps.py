"""By how much the gradient of the loss jumps across the surfaces that points are pinned to."""

from __future__ import annotations

import numpy as np

from truncflow_cli.diagnostics.layered import LayeredAnalysis
from truncflow_cli.problem import Array, BoolArray, IntArray


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
        """Return those of several ``states`` with the same number of pins, by their indices: (S', P, L·Q + L·Q²)."""
        ev = self._ev
        pins = ev.pins[(self._starts[indices][:, None] + np.arange(self.counts[indices[0]])).ravel()]
        along_beta = np.zeros((len(pins), ev.n_layers, ev.dim))
        along_R = np.zeros((*along_beta.shape, ev.dim))
        state, layer, point, _ = pins.T
        alone, own = ev.own_layer_only[state], ev.cluster[point] == layer
        through_all, through_own = np.flatnonzero(~alone), np.flatnonzero(alone & own)
        every = np.tile(np.arange(ev.n_layers), (through_all.size, 1))
        for rows, layers in ((through_all, every), (through_own, layer[through_own, None])):
            if rows.size:
                along_beta[rows], along_R[rows] = _jumps(ev, pins[rows], layers)
        parts = [part.reshape(indices.size, -1, part[0].size) for part in (along_beta, along_R)]
        return np.concatenate(parts, axis=2)


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
