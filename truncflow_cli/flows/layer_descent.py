"""Plain gradient descent of one layer of the `separated` flow, for instants at which its surfaces do not settle."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.moments import field, moments
from truncflow_cli.flows.points import LayerPoints
from truncflow_cli.network_field import Pass
from truncflow_cli.patterns import UNTRUNCATED
from truncflow_cli.problem import Array, Pattern
from truncflow_cli.solver.descent import Descent, plain_descent


def own_descent(
    data: LayerPoints,
    R: Array,
    b: Array,
    pattern: Pattern,
    surfaces: list[tuple[int, int]],
    noise: Array,
    size: float,
    *,
    printed: bool,
) -> Descent:
    """Return where descent comes from R (Q, Q), b (Q,), along the field of Theorem 3.2; see ``plain_descent``.

    Args:
        data: the points; only the layer's own act.
        R: the rotation.
        b: R(β + x̄).
        pattern: (M, Q) where each coordinate is.
        surfaces: row and coordinate of those that may be crossed.
        noise: (n_own,) rounding errors of the coordinates.
        size: of the data (a length).
        printed: whether to follow the paper's (3.25) as printed.
    """
    own = data.n_own
    on = np.zeros((own, 1, data.dim), dtype=bool)
    for i, r in surfaces:
        on[i, 0, r] = True
    x, weight = data.x[:own], data.multiplicity / data.total

    def moving(state: Pass, h: Array, R: Array, b: Array) -> tuple[Array, Array]:
        Ju, Om = field(R[0], b[0], data.y_tilde, *moments(x, weight, h[:, 0]), printed=printed)
        return -Ju[None], Om[None]

    untruncated = pattern[:own, None] == UNTRUNCATED
    keys = [(i, 0, r) for i, r in surfaces]
    return plain_descent(x, size, moving, R[None], b[None], untruncated, on, keys, noise)
