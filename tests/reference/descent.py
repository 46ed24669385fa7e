"""The crudest approximation of the flow: explicit gradient descent on the forward pass, h(0) = 0, no events.

It knows nothing of surfaces: a sliding motion comes out as chatter of the step's size, so that it is off by
a few steps there and everywhere. It is the check of the reference integrator, not of the solver.
"""

from __future__ import annotations

import numpy as np

from reference.network import (
    Network,
    loss_and_gradient,
    pre_activations,
    retract,
    unpack,
    velocity_of_state,
)

#: A z of this size is zero up to rounding; h(0) = 0.
ZERO = 1e-13


def plain_pattern(net: Network, state: np.ndarray) -> np.ndarray:
    """Return h (L, N, Q) of the forward pass."""
    beta, R = unpack(net, state)
    t, h = net.x, np.empty((net.n_layers, *net.x.shape))
    for layer in range(net.n_layers):
        z = (t + beta[layer]) @ R[layer].T
        h[layer] = z > ZERO
        t = (h[layer] * z) @ R[layer] - beta[layer]
    return h


def descend(net: Network, state: np.ndarray, s_end: float, step: float) -> np.ndarray:
    """Return the state at s_end after steps of size ``step`` along minus the gradient, R retracted."""
    for _ in range(round(s_end / step)):
        tangent = -loss_and_gradient(net, state, plain_pattern(net, state))[1]
        state = retract(net, state + step * velocity_of_state(net, state, tangent))
    return state


def near_surfaces(net: Network, state: np.ndarray, width: float) -> np.ndarray:
    """Return which |z| (L, N, Q) are below ``width``: where descent chatters."""
    return np.abs(pre_activations(net, state[None], plain_pattern(net, state))[0]) < width
