"""Whether a coordinate of `general` that has come to zero simply goes through: alone, and clearly.

All is evaluated at the state where the step ends, for the one point that crosses; the formulas are those of
``model.network``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from truncflow_cli.flows.kernels.cells import Array
from truncflow_cli.flows.kernels.deadlines import coordinate, rest_of
from truncflow_cli.flows.kernels.jit import part, plain
from truncflow_cli.flows.kernels.polynomial import derivative
from truncflow_cli.flows.kernels.separated import UNTRUNCATED

#: A kink that turns a coordinate back is left to Python, and so is one that does so but for this share of the jump.
CLEAR = 0.01
#: The same for a coordinate that hardly moves, relative to the speed of the state.
SLOW = 1e-9
#: A field below this, relative to the state, may be at rest.
MAY_REST = 1e-11


class Accuracy(NamedTuple):
    """What the length of a step depends on.

    Attributes:
        tolerance: share of the state that one step may be off.
        floor: size of the state below which it counts as this large.
        spread: largest distance of a point to the mean.
    """

    tolerance: float
    floor: float
    spread: float


class State(NamedTuple):
    """The state, room for the next one, and what was truncated before the last event.

    Attributes:
        R, b: (L, Q, Q), (L, Q).
        R_next, b_next: the same.
        truncated: (L, Q) training inputs truncated in each coordinate along the last step.
    """

    R: Array
    b: Array
    R_next: Array
    b_next: Array
    truncated: Array


@part
def passes(state, t, entry, course, cloud, cells, tree, cols, watch, accuracy):
    """Return whether this coordinate, at zero at t, clearly goes through, alone, and the flow goes on after it."""
    dim = state.b.shape[1]
    i = watch.hit[entry // dim, 1]
    l = watch.hit[entry // dim, 0]  # noqa: E741
    r = entry % dim
    z = np.empty(state.b.shape)
    if not alone(state, t, entry, course, cloud, watch, z):
        return False
    pass_point(state, i, cloud, z)
    w_r = push_on(state, i, l, r, cloud, z)
    normal = square_of_gradient(state, i, l, r, cloud, z)
    # ż_r(untruncated) − ż_r(truncated) = −(m/N) w_r |∇z_r|²
    jump = -cloud.weight[i] * w_r * normal
    c = np.empty(course.order[0] + 1)
    side = cloud.pattern[i, l, r]
    sign = -1.0 if side == UNTRUNCATED else 1.0
    for n in range(c.size):
        c[n] = sign * coordinate(n, l, r, i, cloud, cells, tree, cols)
    before = derivative(c, t)
    after = before + jump  # downwards: −(ż − jump); upwards: ż + jump
    power = max(derivative(course.energy[: course.order[0] + 1], t), 0.0)
    margin = CLEAR * abs(jump) + SLOW * np.sqrt(power * normal)
    if not (before > margin and after > margin):
        return False
    # The field after the event is at least as large as its part along ∇z_r.
    largest = accuracy.spread
    for a in range(state.b.shape[0]):
        for q in range(dim):
            largest = max(largest, abs(state.b_next[a, q]))
    return after > MAY_REST * largest * max(1.0, largest) * np.sqrt(normal)


@plain
def alone(state, t, entry, course, cloud, watch, z):
    """Return whether no other coordinate is zero, to rounding, where this one crosses."""
    dim = state.b.shape[1]
    for hit in range(watch.hits[0]):
        l = watch.hit[hit, 0]  # noqa: E741
        i = watch.hit[hit, 1]
        noise = 4 * cloud.noise[i]
        rest = rest_of(hit, cloud, watch)
        passed = False
        for r in range(dim):
            if hit * dim + r == entry:
                continue
            if abs(watch.line[hit, r, 0] + watch.line[hit, r, 1] * t) > rest + noise:
                continue
            if not passed:
                pass_point(state, i, cloud, z)
                passed = True
            if abs(z[l, r]) <= noise:
                return False
    return True


@part
def pass_point(state, i, cloud, z):
    """Fill z (L, Q) with the coordinates of point i at the next state."""
    layers, dim = z.shape
    before = np.empty(dim)
    for a in range(dim):
        before[a] = cloud.x[i, a]
    for l in range(layers):  # noqa: E741
        for r in range(dim):
            total = state.b_next[l, r]
            for a in range(dim):
                total += state.R_next[l, r, a] * before[a]
            z[l, r] = total
        back(state, i, l, cloud, z[l], state.b_next[l], before)


@plain
def back(state, i, l, cloud, z, b, t):  # noqa: E741
    """Fill t (Q,) with R_ℓᵀ (H z − b)."""
    dim = t.size
    for a in range(dim):
        t[a] = 0.0
    for r in range(dim):
        value = -b[r]
        if cloud.pattern[i, l, r] == UNTRUNCATED:
            value += z[r]
        for a in range(dim):
            t[a] += state.R_next[l, r, a] * value


@part
def push_on(state, i, l, r, cloud, z):  # noqa: E741
    """Return w_{ℓ,r} of point i at the next state."""
    layers, dim = z.shape
    last = layers - 1
    w = np.empty(dim)
    g = np.empty(dim)
    for q in range(dim):
        total = -state.b_next[last, q]
        for a in range(dim):
            total -= state.R_next[last, q, a] * cloud.target[i, a]
        if cloud.pattern[i, last, q] == UNTRUNCATED:
            total += z[last, q]
        w[q] = total
    zero = np.zeros(dim)
    for m in range(last, l, -1):
        back(state, i, m, cloud, w, zero, g)
        for q in range(dim):
            w[q] = 0.0
            for a in range(dim):
                w[q] += state.R_next[m - 1, q, a] * g[a]
    return w[r]


@part
def square_of_gradient(state, i, l, r, cloud, z):  # noqa: E741
    """Return |∇z_{ℓ,r}|² of point i at the next state, see ``model.network.adjoint``."""
    dim = z.shape[1]
    total = 1.0
    for j in range(dim):
        if j != r:
            total += 0.5 * z[l, j] ** 2
    g = np.empty(dim)
    q = np.empty(dim)
    zero = np.zeros(dim)
    for a in range(dim):
        g[a] = state.R_next[l, r, a]
    for m in range(l - 1, -1, -1):
        for k in range(dim):
            q[k] = 0.0
            for a in range(dim):
                q[k] += state.R_next[m, k, a] * g[a]
            if cloud.pattern[i, m, k] != UNTRUNCATED:
                total += q[k] ** 2
        for k in range(dim):
            for j in range(k):
                h_k = 1.0 if cloud.pattern[i, m, k] == UNTRUNCATED else 0.0
                h_j = 1.0 if cloud.pattern[i, m, j] == UNTRUNCATED else 0.0
                skew = (h_k - h_j) * (q[k] * z[m, j] + q[j] * z[m, k])
                total += 0.5 * skew**2
        back(state, i, m, cloud, q, zero, g)
    return total
