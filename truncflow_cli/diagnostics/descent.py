"""The gradient of the loss and the velocity of the flow at the saved states, and what they make of dC/ds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.jumps import Jumps
from truncflow_cli.diagnostics.layered import LayeredAnalysis
from truncflow_cli.diagnostics.passes import BLOCK
from truncflow_cli.problem import Array


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


def descent(ev: LayeredAnalysis) -> Descent:
    """Evaluate both parts at every evaluated time of a `separated` or `general` run.

    The gradient comes from backward passes. The velocity of `separated` comes from (3.22) and (3.25), as
    printed if the run says so; that of `general` is minus its gradient. On pinned surfaces both are the
    least-norm element of the gradients around (Filippov); the printed field is no gradient there and is left
    out, and so are states in which one point is pinned in two layers at once.
    """
    gradient_beta, gradient_R = _gradient(ev)
    velocity_beta, Omega = -gradient_beta, -gradient_R
    alone = ev.own_layer_only
    if alone.all():
        velocity_beta, Omega = (np.stack(parts, axis=1) for parts in zip(*ev.velocity, strict=True))
    elif alone.any():
        for k in range(ev.n_clusters):
            moved, turned = ev.velocity[k]
            velocity_beta[alone, k], Omega[alone, k] = moved[alone], turned[alone]
    if ev.frozen:
        Omega[:] = 0.0
    jumps = Jumps(ev)
    affine = jumps.affine & (not (ev.printed or ev.frozen))
    for count in np.unique(jumps.counts[affine]):
        alike = np.flatnonzero(affine & (jumps.counts == count))
        several = max(1, BLOCK // (int(count) * gradient_R[0].size))
        for chosen in np.split(alike, range(several, alike.size, several)):
            m = jumps.states[chosen]
            element = least_norm(jumps.of(chosen), gradient_beta[m], gradient_R[m])
            gradient_beta[m], gradient_R[m] = element
            velocity_beta[m], Omega[m] = -element[0], -element[1]
    left_out = jumps.states[~affine]
    gradient_beta[left_out], gradient_R[left_out] = np.nan, np.nan
    squares = [np.einsum("tlq,tlq->t", a, a) for a in (gradient_beta, velocity_beta)]
    turns = [np.einsum("tlij,tlij->t", a, a) for a in (gradient_R, Omega)]
    return Descent(
        beta_part=np.einsum("tlq,tlq->tl", gradient_beta, velocity_beta),
        R_part=np.einsum("tlij,tlij->tl", gradient_R, Omega),
        size=np.sqrt(squares[0] + turns[0]) * np.sqrt(squares[1] + turns[1]),
        pinned=int(jumps.states.size),
        left_out=int(left_out.size),
    )


def _gradient(ev: LayeredAnalysis) -> tuple[Array, Array]:
    """Return ∂_β C (M, L, Q), π₋((∂_R C)Rᵀ) (M, L, Q, Q) of the flow's own loss, what is pinned truncated."""
    alone = ev.own_layer_only
    if alone.all():
        own = [(passed.gradient_beta[:, 0], passed.gradient_R[:, 0]) for passed in ev.own]
        return np.stack([part for part, _ in own], axis=1), np.stack([part for _, part in own], axis=1)
    shape = (ev.s.size, ev.n_layers, ev.dim)
    along_beta, along_R = np.zeros(shape), np.zeros((*shape, ev.dim))
    for k in range(ev.n_clusters):
        if alone.any():
            along_beta[alone, k] = ev.own[k].gradient_beta[alone, 0]
            along_R[alone, k] = ev.own[k].gradient_R[alone, 0]
        along_beta[~alone] += ev.composed[k].gradient_beta[~alone]
        along_R[~alone] += ev.composed[k].gradient_R[~alone]
    return along_beta, along_R


def least_norm(jumps: Array, along_beta: Array, along_R: Array) -> tuple[Array, Array]:
    """Return the least-norm element of the gradients around each of some states on pinned surfaces.

    jumps (S, P, L·Q + L·Q²) are those across the surfaces; along_beta (S, L, Q), along_R (S, L, Q, Q) the
    gradient with all of them truncated. Each weight λ ∈ [0, 1] adds its part of the jump across its surface.
    """
    n_states = jumps.shape[0]
    columns = jumps.swapaxes(1, 2)
    start = np.concatenate([part.reshape(n_states, -1) for part in (along_beta, along_R)], axis=1)
    weights = -(np.linalg.pinv(columns, rcond=1e-11) @ start[:, :, None])[:, :, 0]
    outside = (weights.min(axis=1) < -1e-9) | (weights.max(axis=1) > 1.0 + 1e-9)
    for i in np.flatnonzero(outside):
        # Imported where it is needed: a run without pins is certified without it, and sooner.
        from scipy.optimize import lsq_linear

        weights[i] = lsq_linear(columns[i], -start[i], bounds=(0.0, 1.0), method="bvls").x
    element = start + (columns @ weights[:, :, None])[:, :, 0]
    cut = along_beta[0].size
    return element[:, :cut].reshape(along_beta.shape), element[:, cut:].reshape(along_R.shape)
