"""Proposition 4.2 in corrected form: constants for which its hypotheses are proved, and what follows.

Write b̃ = R(β + ỹ) and z_i = R(x_i − ỹ) + b̃. Along the flow (4.23)

    ∂_s b̃ = Ω b̃ − J⊥ b̃,   0 ≤ J⊥ ≤ 1,   ‖Ω‖ ≤ ½ m₁ |b̃| + ¼ m₂

with m₁, m₂ the first and second absolute moments of the points in mixed sectors: for one point the commutator
[H, M] has the blocks ±H M H⊥, and |Hz||H⊥u| + |Hu||H⊥z| ≤ |z||u|, |Hz||H⊥z| ≤ ½|z|² by Cauchy-Schwarz. Ω is
antisymmetric, so |b̃| never grows, and as long as ∫‖Ω‖ ≤ η₂ variation of constants in each coordinate keeps

    |b̃_r| within [0, b̃_r(0)] up to η₂ |b̃(0)|,   |b̃| ≤ |b̃(0)|,   ‖R − R(0)‖ ≤ η₂.

Over this neighbourhood, which takes the place of the ball in (4.14)-(4.17), Cauchy-Schwarz bounds every
coordinate: |R_r(x_i − ỹ) − R_r(0)(x_i − ỹ)| ≤ η₂ |x_i − ỹ|. So it is known which points are truncated
everywhere in it, and which may be in a mixed sector: that gives η₀, m₁, m₂, and a γ such that |b̃| ≤ γ|b̃(0)|
puts the whole cluster into S⁻. If the η₂ assumed is at least the one these give,

    |b̃(s)| ≤ e^{−(1−η₀)s} |b̃(0)|,   s₁ ≤ log(1/γ)/(1 − η₀),
    ∫‖Ω‖ ≤ ½ m₁ |b̃(0)| (1 − γ)/(1 − η₀) + ¼ m₂ log(1/γ)/(1 − η₀) ≤ η₂,

the circle closes. The least such η₂ is found by iteration from 0 upwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.passes import blocks
from truncflow_cli.problem import Array, IntArray

#: Iterations from η₂ = 0; each counts further points in, so it settles or fails early.
ROUNDS = 200
#: ‖R − R(0)‖ is never larger than this: beyond it nothing is known of R.
ANY_ROTATION = 2.0


@dataclass(frozen=True)
class Concentration:
    """The constants of Prop. 4.2 for one cluster, or why there are none.

    Attributes:
        met: whether the hypotheses are proved.
        reason: what fails, where they are not; empty otherwise.
        eta0: at most this share of the points is anywhere untruncated in a given coordinate.
        eta2: the radius of the neighbourhood in R, which the rotation cannot leave before s₁.
        m1: first absolute moment of the points that may be in a mixed sector (a length).
        m2: second moment (a length squared).
        gamma: |β + ỹ| ≤ γ |β(0) + ỹ| puts the whole cluster into S⁻ (may exceed 1: it is there already).
        s1: bound on the time when the whole cluster is truncated.
        distance: |β(0) + ỹ|.
    """

    met: bool
    reason: str
    eta0: float
    eta2: float
    m1: float
    m2: float
    gamma: float
    s1: float
    distance: float


def concentration(
    x: Array, y_tilde: Array, R: Array, beta: Array, *, turns: bool = True, index: IntArray | None = None
) -> Concentration:
    """Find the constants of Prop. 4.2 for a cluster and the state in which it starts.

    x (n, Q), y_tilde (Q,), R (Q, Q), beta (Q,); ``turns`` is False where the rotation is frozen (Ω = 0);
    ``index`` (n,) is what the points are called in the reason, by default their rows.
    """
    seen = _seen_from_label(x, y_tilde, R)
    start = R @ (beta + y_tilde)
    distance = float(np.linalg.norm(start))
    names = np.arange(x.shape[0]) if index is None else index
    eta2 = 0.0
    for _ in range(ROUNDS):
        found = _constants(seen, start, distance, eta2, names)
        if not found.met or not turns:
            return found
        needed = 0.0
        if found.s1 > 0.0:
            rate = 1.0 - found.eta0
            needed = 0.5 * found.m1 * distance * (1.0 - found.gamma) / rate + 0.25 * found.m2 * found.s1
        if needed <= eta2:
            return found
        # A little above, so that rounding does not keep it going for ever.
        eta2 = needed * (1.0 + 1e-9)
        if eta2 >= ANY_ROTATION:
            break
    reason = (
        f"R may turn too far, η2 = {eta2:.3g}: too much may lie in the mixed sectors "
        f"(m1 = {found.m1:.3g}, m2 = {found.m2:.3g})"
    )
    return Concentration(False, reason, found.eta0, eta2, found.m1, found.m2, found.gamma, found.s1, distance)


@dataclass(frozen=True)
class _Part:
    """Points of a block: |x − ỹ| (m,) and R(x − ỹ) (m, Q), and which is the first of them."""

    first: int
    lengths: Array
    rotated: Array


def _seen_from_label(x: Array, y_tilde: Array, R: Array) -> Callable[[], Iterable[_Part]]:
    """Return what gives the blocks of points x (n, Q), at least one: again and again, unless it is a single one."""

    def part(points: slice) -> _Part:
        off = x[points] - y_tilde
        return _Part(points.start, np.linalg.norm(off, axis=1), off @ R.T)

    parts = [points for _, points in blocks(1, *x.shape)] or [slice(0, 0)]
    if len(parts) == 1:
        only = part(parts[0])
        return lambda: (only,)
    return lambda: map(part, parts)


def _constants(
    seen: Callable[[], Iterable[_Part]], start: Array, distance: float, eta2: float, names: IntArray
) -> Concentration:
    """Return the constants over the neighbourhood of radius η₂; ``met`` if each is in its range."""
    up = np.minimum(np.maximum(start, 0.0), distance) + eta2 * distance
    down = np.maximum(np.minimum(start, 0.0), -distance) - eta2 * distance
    untruncated = np.zeros(start.size)
    moments = np.zeros(2)
    least, worst = np.inf, (0, 0)
    for part in seen():
        slack = eta2 * part.lengths[:, None]
        highest, lowest = part.rotated + up + slack, part.rotated + down - slack
        untruncated += (highest > 0.0).sum(axis=0)
        mixed = (highest > 0.0).any(axis=1) & (lowest <= 0.0).any(axis=1)
        size = np.linalg.norm(np.maximum(np.abs(highest[mixed]), np.abs(lowest[mixed])), axis=1)
        size = np.minimum(size, part.lengths[mixed] + distance)
        moments += [size.sum(), (size**2).sum()]
        # |b̃_r| up to the least of these leaves every coordinate of every point at z ≤ 0.
        depth = -(part.rotated + slack)
        if depth.size and depth.min() < least:
            i, r = np.unravel_index(int(np.argmin(depth)), depth.shape)
            least, worst = float(depth[i, r]), (part.first + int(i), int(r))
    n = max(1, names.size)
    eta0, (m1, m2) = float(untruncated.max(initial=0.0)) / n, (moments / n).tolist()
    everywhere = not untruncated.any()
    gamma = np.inf if everywhere else (least / distance if distance > 0.0 else 0.0)
    reason = ""
    if gamma <= 0.0:
        where = f"point {names[worst[0]]} is untruncated in coordinate {worst[1]}"
        if eta2 > 0.0:
            where = where.replace("is untruncated", f"may be untruncated, once R has turned by {eta2:.3g},")
        reason = f"at β = −ỹ {where}, by {-least:.3g}: γ = 0"
    elif eta0 >= 1.0 and gamma < 1.0:
        reason = "a coordinate in which every point may be untruncated: η0 = 1"
    s1 = 0.0 if gamma >= 1.0 else (np.inf if reason else float(np.log(1.0 / gamma) / (1.0 - eta0)))
    return Concentration(not reason, reason, eta0, eta2, m1, m2, float(gamma), s1, distance)
