"""The loss of a cluster by a forward pass over its points, without the moments that the flow itself works with."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.kernels.jit import kernel

#: Points summed up before their sum is added to the total, so that rounding grows with neither number.
BLOCK = 512


@kernel
def forward_loss(x, weight, R, b, u):
    """Return Σ_i ½ w_i |σ(R x_i + b) − u|² over the first weight.size rows of x."""
    dim = b.size
    columns = R.T.copy()
    z = np.empty(dim)
    total = 0.0
    for first in range(0, weight.size, BLOCK):
        block = 0.0
        for i in range(first, min(first + BLOCK, weight.size)):
            for r in range(dim):
                z[r] = b[r]
            for a in range(dim):
                value = x[i, a]
                for r in range(dim):
                    z[r] += columns[a, r] * value
            square = 0.0
            for r in range(dim):
                off = max(z[r], 0.0) - u[r]
                square += off * off
            block += weight[i] * square
        total += block
    return 0.5 * total
