"""The gradient of the loss and the velocity of the flow at the saved states, and what they make of dC/ds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.jumps import Jumps
from truncflow_cli.diagnostics.layered import LayeredAnalysis
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
    left_out = 0
    for m in jumps.states:
        element = (
            None if ev.printed or ev.frozen else least_norm(jumps.at(int(m)), gradient_beta[m], gradient_R[m])
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
        pinned=int(jumps.states.size),
        left_out=left_out,
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


def least_norm(jumps: Array | None, along_beta: Array, along_R: Array) -> tuple[Array, Array] | None:
    """Return the least-norm element of the gradients around a state on pinned surfaces.

    jumps (P, L·Q + L·Q²) are those across the surfaces (``Jumps.at``); along_beta (L, Q), along_R (L, Q, Q) the
    gradient with all of them truncated. Each weight λ ∈ [0, 1] adds its part of the jump across its surface.
    None if the gradients around are not affine in the weights, and no jumps are known.
    """
    if jumps is None:
        return None
    columns = jumps.T
    start = np.concatenate([along_beta.ravel(), along_R.ravel()])
    weights = np.linalg.lstsq(columns, -start, rcond=1e-11)[0]
    if weights.min() < -1e-9 or weights.max() > 1.0 + 1e-9:
        # Imported where it is needed: a run without pins is certified without it, and sooner.
        from scipy.optimize import lsq_linear

        weights = lsq_linear(columns, -start, bounds=(0.0, 1.0), method="bvls").x
    element = start + columns @ weights
    cut = along_beta.size
    return element[:cut].reshape(along_beta.shape), element[cut:].reshape(along_R.shape)
