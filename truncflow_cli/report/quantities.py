"""What figures and the page both draw of a flow's arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.output_weight import RANK_SHARE
from truncflow_cli.flows.registry import Flow
from truncflow_cli.problem import Array, BoolArray
from truncflow_cli.report.flow_stories import second_moment
from truncflow_cli.report.summary import norms
from truncflow_cli.run_data import Run

#: Arrays that have pictures of their own.
PICTURED = frozenset({"beta", "R", "truncated_fraction", "B", "W"})

#: Whether a picture suits a flow.
Condition = Callable[[Flow], bool]


def has(*arrays: str) -> Condition:
    """Return the condition that a flow has all these arrays along its trajectory."""
    return lambda flow: set(arrays) <= {array.name for array in flow.arrays}


def has_only(*arrays: str) -> Condition:
    """Return the condition that a flow has these arrays and no others."""
    return lambda flow: set(arrays) == {array.name for array in flow.arrays}


def any_flow(flow: Flow) -> bool:
    """Suit every flow."""
    return True


def norms_of(run: Run) -> dict[str, Array]:
    """Return ‖name‖ (Frobenius) of each array along the saved times, (T,), that no picture is about."""
    return {name: values for name, values in norms(run).items() if name.strip("‖") not in PICTURED}


@dataclass(frozen=True)
class Modes:
    """Along an eigenvector v of A = XXᵀ/N, (W(s) − W_∞)v = e^{−λs}(W(0) − W_∞)v (9.10).

    Attributes:
        rates: (Q,) eigenvalues of A, ascending.
        vectors: (Q, Q) eigenvectors, as columns.
        limit: (Q, Q) W_∞ = Y_ext X⁺ (9.12), plus W(0) on the kernel of XXᵀ, where nothing moves.
        moving: (Q,) which modes have a rate above zero.
    """

    rates: Array
    vectors: Array
    limit: Array
    moving: BoolArray

    def left(self, W: Array) -> Array:
        """Return |(W − W_∞)v| of each mode, (T, Q), for W (T, Q, Q)."""
        return np.asarray(np.linalg.norm((W - self.limit) @ self.vectors, axis=1))


def modes_of(run: Run) -> Modes:
    """Return the modes of a run of `clustered`."""
    asked = run.settings.get("point_weights")
    rates, vectors = np.linalg.eigh(second_moment(run.x, run.cluster, asked))
    counts = np.bincount(run.cluster)[run.cluster] if asked == "1/N_j" else max(1, run.n_points)
    K = run.y[run.cluster].T @ (run.x / np.reshape(counts, (-1, 1)))
    moving = rates > RANK_SHARE * max(float(rates[-1]), 0.0)
    inverse = np.divide(1.0, rates, out=np.zeros_like(rates), where=moving)
    assert run.W is not None, "a flow with W"
    limit = (K @ vectors * inverse) @ vectors.T + run.W[0] @ (vectors * ~moving) @ vectors.T
    return Modes(rates, vectors, limit, np.asarray(moving))
