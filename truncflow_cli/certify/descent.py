"""The gradient of the loss and the velocity of the flow at the saved states, and what they make of dC/ds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.certify.evidence import Evidence
from truncflow_cli.certify.passes import skew
from truncflow_cli.model.problem import Array, IntArray


@dataclass(frozen=True)
class Descent:
    """The two parts of dC/ds (3.27), layer by layer.

    Attributes:
        beta_part: (M, L) (∂_β C)·∂_s β, (3.28).
        R_part: (M, L) Tr((∂_R C)ᵀ ∂_s R), (3.29).
        size: (M,) |gradient| |velocity|, which neither part can exceed.
        pinned: how many of the M times lie on pinned surfaces.
        left_out: how many of those were not evaluated (NaN).
    """

    beta_part: Array
    R_part: Array
    size: Array
    pinned: int
    left_out: int


def descent(ev: Evidence) -> Descent:
    """Evaluate both parts at every evaluated time of a `separated` or `general` run.

    The gradient comes from backward passes. The velocity of `separated` comes from (3.22) and (3.25), as
    printed if the run says so; that of `general` is minus its gradient. On pinned surfaces both are the
    least-norm element of the gradients around (Filippov); the printed field is no gradient there and is left
    out, and so are states in which one point is pinned in two layers at once.
    """
    gradient_beta, gradient_R = _gradient(ev)
    velocity_beta, Omega = -gradient_beta, -gradient_R
    alone = ev.own_layer_only
    if alone.any():
        for k in range(ev.n_clusters):
            moved, turned = ev.velocity[k]
            velocity_beta[alone, k], Omega[alone, k] = moved[alone], turned[alone]
    if ev.frozen:
        Omega[:] = 0.0
    states = np.unique(ev.pins[:, 0])
    left_out = 0
    for m in states:
        rows = ev.pins[ev.pins[:, 0] == m, 1:]
        element = (
            None if ev.printed or ev.frozen else least_norm(ev, int(m), rows, gradient_beta[m], gradient_R[m])
        )
        if element is None:
            left_out += 1
            gradient_beta[m], gradient_R[m] = np.nan, np.nan
        else:
            gradient_beta[m], gradient_R[m] = element
            velocity_beta[m], Omega[m] = -element[0], -element[1]
    squares = [np.einsum("tlq,tlq->t", a, a) for a in (gradient_beta, velocity_beta)]
    turns = [np.einsum("tlij,tlij->t", a, a) for a in (gradient_R, Omega)]
    return Descent(
        beta_part=np.einsum("tlq,tlq->tl", gradient_beta, velocity_beta),
        R_part=np.einsum("tlij,tlij->tl", gradient_R, Omega),
        size=np.sqrt(squares[0] + turns[0]) * np.sqrt(squares[1] + turns[1]),
        pinned=int(states.size),
        left_out=left_out,
    )


def _gradient(ev: Evidence) -> tuple[Array, Array]:
    """Return ∂_β C (M, L, Q), π₋((∂_R C)Rᵀ) (M, L, Q, Q) of the flow's own loss, what is pinned truncated."""
    shape = (ev.s.size, ev.n_layers, ev.dim)
    along_beta, along_R = np.zeros(shape), np.zeros((*shape, ev.dim))
    alone = ev.own_layer_only
    for k in range(ev.n_clusters):
        if alone.any():
            along_beta[alone, k] = ev.own[k].gradient_beta[alone, 0]
            along_R[alone, k] = ev.own[k].gradient_R[alone, 0]
        if not alone.all():
            along_beta[~alone] += ev.composed[k].gradient_beta[~alone]
            along_R[~alone] += ev.composed[k].gradient_R[~alone]
    return along_beta, along_R


def least_norm(
    ev: Evidence, m: int, rows: IntArray, along_beta: Array, along_R: Array
) -> tuple[Array, Array] | None:
    """Return the least-norm element of the gradients around a state on pinned surfaces.

    rows (P, 3) are the pinned surfaces (layer, point, coordinate); along_beta (L, Q), along_R (L, Q, Q) the
    gradient with all of them truncated. Each weight λ ∈ [0, 1] adds its part of the jump across its surface.
    None if one point is pinned in two layers: the gradients around are not affine in the weights then.
    """
    layer_of: dict[int, int] = {}
    if any(layer_of.setdefault(int(point), int(layer)) != layer for layer, point, _ in rows):
        return None
    columns = np.stack([_jump(ev, m, *map(int, row)) for row in rows], axis=1)
    start = np.concatenate([along_beta.ravel(), along_R.ravel()])
    weights = np.linalg.lstsq(columns, -start, rcond=1e-11)[0]
    if weights.min() < -1e-9 or weights.max() > 1.0 + 1e-9:
        # Imported where it is needed: a run without pins is certified without it, and sooner.
        from scipy.optimize import lsq_linear

        weights = lsq_linear(columns, -start, bounds=(0.0, 1.0), method="bvls").x
    element = start + columns @ weights
    cut = along_beta.size
    return element[:cut].reshape(along_beta.shape), element[cut:].reshape(along_R.shape)


def _jump(ev: Evidence, m: int, layer: int, point: int, coordinate: int) -> Array:
    """Return by how much the gradient changes when a coordinate on its surface counts as untruncated."""
    cluster = int(ev.cluster[point])
    stack = [cluster] if ev.own_layer_only[m] else list(range(ev.n_layers))
    last = stack.index(layer) if layer in stack else -1
    along_beta, along_R = np.zeros((ev.n_layers, ev.dim)), np.zeros((ev.n_layers, ev.dim, ev.dim))
    if last < 0:
        return np.concatenate([along_beta.ravel(), along_R.ravel()])
    held = {(int(a), int(r)) for _, a, i, r in ev.pins[ev.pins[:, 0] == m] if i == point}
    t, z_of = ev.x[point], []
    for l_ in stack:
        z = ev.R[m, l_] @ (t + ev.beta[m, l_])
        z[[r for a, r in held if a == l_]] = 0.0
        z_of.append(z)
        t = ev.R[m, l_].T @ np.maximum(z, 0.0) - ev.beta[m, l_]
    g = t - ev.run.y_tilde[cluster]
    for position in reversed(range(last + 1, len(stack))):
        R = ev.R[m, stack[position]]
        g = R.T @ np.where(z_of[position] > 0.0, R @ g, 0.0)
    R = ev.R[m, layer]
    change = np.zeros(ev.dim)
    change[coordinate] = (R @ g)[coordinate] / ev.groups[cluster].size
    along_beta[layer] = R.T @ change
    along_R[layer] = skew(np.outer(change, z_of[last]))
    back = R.T @ change
    for position in reversed(range(last)):
        l_, z = stack[position], z_of[position]
        w = ev.R[m, l_] @ back
        hw = np.where(z > 0.0, w, 0.0)
        along_beta[l_] = ev.R[m, l_].T @ (hw - w)
        along_R[l_] = skew(np.outer(np.maximum(z, 0.0), w) + np.outer(hw, z))
        back = ev.R[m, l_].T @ hw
    return np.concatenate([along_beta.ravel(), along_R.ravel()])
