"""By how much the gradient of the loss jumps across the surfaces that points are pinned to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.layered import LayeredAnalysis
from truncflow_cli.problem import Array, IntArray


@dataclass(frozen=True)
class _Pins:
    """Pinned coordinates in one state, and their points.

    Attributes:
        layer, point, coordinate: (P,) what is pinned.
        x, y_tilde: (P, Q) the points, and where they should go.
        size: (P,) how many points their clusters have.
    """

    layer: IntArray
    point: IntArray
    coordinate: IntArray
    x: Array
    y_tilde: Array
    size: IntArray


class Jumps:
    """The jumps of the gradient at the evaluated times of a run.

    Attributes:
        states: the times at which something is pinned, as indices, ascending.
    """

    def __init__(self, ev: LayeredAnalysis) -> None:
        self.states: IntArray = np.unique(ev.pins[:, 0])
        self._ev = ev
        self._sizes = np.array([group.size for group in ev.groups])

    def at(self, m: int) -> Array | None:
        """Return how the gradient changes when one pinned coordinate counts as untruncated, for each of them.

        The result (P, L·Q + L·Q²) has the changes of ∂_β C and of π₋((∂_R C)Rᵀ), one after the other, in the order of
        the pins; None if one point is pinned in two layers: the gradients around are not sums of these then.
        """
        ev = self._ev
        _, layer, point, coordinate = ev.pins[slice(*np.searchsorted(ev.pins[:, 0], (m, m + 1)))].T
        points = point.tolist()
        if len(set(zip(points, layer.tolist(), strict=True))) > len(set(points)):
            return None
        cluster = ev.cluster[point]
        pins = _Pins(layer, point, coordinate, ev.x[point], ev.run.y_tilde[cluster], self._sizes[cluster])
        along_beta = np.zeros((point.size, ev.n_layers, ev.dim))
        along_R = np.zeros((*along_beta.shape, ev.dim))
        state = ev.R[m], ev.beta[m]
        if not ev.own_layer_only[m]:
            _add_jumps(pins, np.arange(point.size), range(ev.n_layers), *state, along_beta, along_R)
        else:
            for k in np.unique(cluster[cluster == layer]):
                here = np.flatnonzero((cluster == k) & (layer == k))
                _add_jumps(pins, here, [int(k)], *state, along_beta, along_R)
        return np.concatenate([along_beta.reshape(point.size, -1), along_R.reshape(point.size, -1)], axis=1)


def _add_jumps(
    pins: _Pins,
    rows: IntArray,
    layers: Sequence[int],
    R: Array,
    beta: Array,
    along_beta: Array,
    along_R: Array,
) -> None:
    """Fill the rows of the jumps along β (P, L, Q) and R (P, L, Q, Q), of pins whose points pass these layers."""
    layer, coordinate = pins.layer[rows], pins.coordinate[rows]
    together = [np.flatnonzero(pins.point[rows] == point) for point in pins.point[rows]]
    t, z_of = pins.x[rows], {}
    for at in layers:
        z = (t + beta[at]) @ R[at].T
        for i, others in enumerate(together):
            z[i, coordinate[others[layer[others] == at]]] = 0.0
        z_of[at] = z
        t = np.maximum(z, 0.0) @ R[at] - beta[at]
    g = (t - pins.y_tilde[rows]) / pins.size[rows, None]
    jump = np.zeros_like(g)
    for at in reversed(layers):
        z, w = z_of[at], jump @ R[at].T
        h = z > 0.0
        hw = h * w
        # In the pinned layer H changes by 1 in one entry, so H w by w_r and no more.
        here = np.flatnonzero(layer == at)
        hw[here, coordinate[here]] += np.einsum("iq,iq->i", R[at][coordinate[here]], g[here])
        along_beta[rows, at] = (hw - w) @ R[at]
        turn = np.einsum("ir,is->irs", np.maximum(z, 0.0), w) + np.einsum("ir,is->irs", hw, z)
        along_R[rows, at] = 0.5 * (turn - turn.swapaxes(1, 2))
        jump = hw @ R[at]
        g = (h * (g @ R[at].T)) @ R[at]
