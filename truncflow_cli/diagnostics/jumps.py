"""By how much the gradient of the loss jumps across the surfaces that points are pinned to, by ``jumps.h``."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.analysis import Evidence
from truncflow_cli.kernels.bundle import Bundle
from truncflow_cli.kernels.library import library
from truncflow_cli.problem import Array, IntArray


@dataclass(frozen=True)
class _PinnedStates(Bundle):
    """The states, with all points, and the pins in them.

    Attributes:
        x, y_tilde: (N, Q), (C, Q).
        R, beta: (M, L, Q, Q), (M, L, Q).
        cluster, sizes: (N,), and how many points each cluster has, (C,).
        pin: (P, 4) state, layer, point, coordinate, ascending.
    """

    x: Array
    y_tilde: Array
    R: Array
    beta: Array
    cluster: IntArray
    sizes: IntArray
    pin: IntArray


@dataclass(frozen=True)
class _Room(Bundle):
    """Room for one point: z (L, Q), t, w, Hw (Q,)."""

    z: Array
    t: Array
    w: Array
    hw: Array


class Jumps:
    """The jumps of the gradient at the evaluated times of a run.

    Attributes:
        states: the times at which something is pinned, as indices, ascending.
    """

    def __init__(self, ev: Evidence) -> None:
        self.states: IntArray = np.unique(ev.pins[:, 0])
        self._alone = ev.own_layer_only
        self._width = ev.n_layers * ev.dim * (1 + ev.dim)
        x, y_tilde, R, beta = (
            np.ascontiguousarray(array, dtype=np.float64) for array in (ev.x, ev.run.y_tilde, ev.R, ev.beta)
        )
        cluster, sizes, pin = (
            np.ascontiguousarray(array, dtype=np.int64)
            for array in (ev.cluster, [group.size for group in ev.groups], ev.pins)
        )
        self._all = _PinnedStates(x, y_tilde, R, beta, cluster, sizes, pin)
        self._room = _Room(np.empty((ev.n_layers, ev.dim)), *np.empty((3, ev.dim)))

    def at(self, m: int) -> Array | None:
        """Return how the gradient changes when one pinned coordinate counts as untruncated, for each of them.

        The result (P, L·Q + L·Q²) has the changes of ∂_β C and of π₋((∂_R C)Rᵀ), one after the other, in the order of
        the pins; None if one point is pinned in two layers: the gradients around are not sums of these then.
        """
        first, beyond = np.searchsorted(self._all.pin[:, 0], (m, m + 1))
        result = np.zeros((int(beyond - first), self._width))
        found = library().truncflow_jumps(
            self._all.struct,
            self._room.struct,
            *map(ctypes.c_int64, (m, int(first), int(beyond), bool(self._alone[m]))),
            ctypes.c_void_p(result.ctypes.data),
        )
        return result if found else None
