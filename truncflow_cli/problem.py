"""What is to be solved, as arrays: the bridge between a configuration and the flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from truncflow_cli.config.schema import Integrator

Equations = Literal["exact", "printed"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Pattern = NDArray[np.int8]

#: Where a coordinate of a point is: the numbers that stand for it in patterns.
TRUNCATED, UNTRUNCATED, PINNED = 0, 1, 2


@dataclass(frozen=True)
class Problem:
    """An initial value problem for one of the flows.

    Attributes:
        flow: which flow.
        equations: "exact", or "printed" for the paper's (3.25) without its missing term.
        x: (N, Q) training inputs, the points of a cluster next to one another.
        cluster: (N,) index of the cluster of each point, 0-based.
        y: (C, Q) labels.
        y_tilde: (C, Q) pulled-back labels (W^(Q+1))⁻¹ y_j (1.15).
        R0: (L, Q, Q) initial rotations R_ℓ.
        beta0: (L, Q) initial cumulative biases β^(ℓ).
        W0: (Q, Q) initial output weight W_{Q+1} of sections 8 and 9; unused by the other flows.
        s_save: (T,) times to save, increasing, from 0 to ``settings.s_end``.
        settings: how to integrate.
        point_weights: "1/N" or "1/N_j", how the loss of `clustered` weighs points ((9.3) or (2.22)).
    """

    flow: str
    equations: Equations
    x: Array
    cluster: IntArray
    y: Array
    y_tilde: Array
    R0: Array
    beta0: Array
    W0: Array
    s_save: Array
    settings: Integrator
    point_weights: Literal["1/N", "1/N_j"] = "1/N"

    @property
    def dim(self) -> int:
        """Q, the dimension of every layer."""
        return int(self.y.shape[1])

    @property
    def n_clusters(self) -> int:
        """C, the number of clusters."""
        return int(self.y.shape[0])

    @property
    def n_layers(self) -> int:
        """L, the number of hidden layers."""
        return int(self.beta0.shape[0])
