"""The numerical work of `separated` and `general`; see ``interface``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from truncflow_cli.kernels.interface import Array


def cluster_losses(x: Array, weight: Array, total: float, y_tilde: Array, R: Array, b: Array) -> Array:
    """Return ½ mean_i |σ(R x_i + b) − (b + Rỹ)|² of a cluster in several states (T,), its part of the loss (3.18).

    Args:
        x: (M, Q) positions of the own points, and others after them.
        weight: (own,) multiplicities of the own points.
        total: their sum.
        y_tilde: (Q,) ỹ.
        R, b: (T, Q, Q), (T, Q).
    """
    from truncflow_cli.kernels import series  # not before it is needed: the command line starts without numpy

    return series.cluster_losses(x, weight, total, y_tilde, R, b)
