"""Taylor series in plain numpy: how far they can be trusted, where they first cross zero, and the state along them.

This is the readable form of ``series_length.c``, ``polynomial.c`` and ``dense_output.c``, which are tested against it.
"""

from __future__ import annotations

from functools import cache
from math import comb, inf

import numpy as np

from truncflow_cli.kernels.interface import Array, Coefficients, Ints, States, StepsTaken
from truncflow_cli.network_field import forward_pass
from truncflow_cli.saved_state import Saved, State
from truncflow_cli.solver.step_control import StepControl

#: The terms of a series fall fast where each is at most this share of the one before.
FALLING = 0.1
#: Halvings of a step after which a crossing is located to the last bit.
MAX_DEPTH = 60
#: Newton's steps of a bisection, and of the way back to zero, at most.
BISECTIONS, STEPS_BACK = 120, 30
#: A step of Newton's method that is shorter than this share of t leads to the root, but for rounding.
LAST_STEP = 1e-10
#: Rounds of Newton and Schulz: the state is orthogonal but for the series' error, which each of them squares.
POLISHING = 4


class TrustedLength:
    """How far a series can be trusted, from the sizes of its terms as they come in."""

    def __init__(self, tolerance: float, reach: float, highest: int) -> None:
        self.length = 0.0
        self._tolerance, self._reach, self._highest = tolerance, reach, highest
        self._sizes = [inf, inf]
        self._pull = inf

    def enough(self, n: int, size: float, pull: float) -> bool:
        """Hear that term n+1 has this size, and term n of the pinned weights ``pull``; return whether to stop here.

        ``length`` is then what the series is accurate over, -1 where it is not finite.
        """
        earlier, before = self._sizes[-2:]
        if not np.isfinite(size):
            self.length = -1.0
            return True
        if n >= 1:
            h = _accurate(size, before, earlier, n, self._tolerance)
            # The weights are derivatives of the state, as it were, and converge one order later.
            if pull > 0.0:
                h = min(h, (self._tolerance / pull) ** (1.0 / n))
            if n >= 2 and self._pull > 0.0:
                h = min(h, (self._tolerance / self._pull) ** (1.0 / (n - 1)))
            self.length = h
        self._sizes.append(size)
        self._pull = pull
        return n + 1 >= self._highest or (n >= 2 and self.length >= self._reach)


def _accurate(last: float, before: float, earlier: float, n: int, tolerance: float) -> float:
    """Return the length up to which a series is accurate whose terms n+1, n and n-1 have these sizes.

    That is where the last two terms are at ``tolerance`` (Jorba and Zou 2005), and where only the last one is, if by
    then the terms fall so fast that those left out are a small share of it.
    """
    h = float((tolerance / last) ** (1.0 / (n + 1))) if last > 0.0 else inf
    if not before > 0.0:
        return h
    alone = h
    h = min(h, float((tolerance / before) ** (1.0 / n)))
    if n < 2:
        return h
    # Where the last term happens to be small, the one before stands in for it.
    radius = earlier / before
    alone = min(alone, (tolerance * radius / before) ** (1.0 / (n + 1)))
    if last > 0.0:
        radius = min(radius, before / last, (earlier / last) ** 0.5)
    return float(max(h, min(alone, FALLING * radius)))


def cauchy(left: Array, right: Array) -> Array:
    """Return Σ_m left_m right_(n−m) of blocks left (n+1, a, c), right (n+1, c, b): coefficient n of the product."""
    return np.asarray(np.tensordot(left, right[::-1], axes=([0, 2], [0, 1])))


# -- the first crossing --------------------------------------------------------------------------------------------


def first_exit(c: Array, h: float, noise: float) -> float:
    """Return when a coordinate Σ c_n tⁿ that ought to stay positive leaves its side on [0, h]; -1.0 if it does not.

    A coordinate that only touches zero, or dips below it by less than ``noise`` (its rounding error), has not left. One
    that starts below zero by rounding has left only once it falls below where it started. The time returned is that of
    the root itself, not of the passage through -noise.
    """
    below = first_below(c, h, min(0.0, float(c[0])) - noise)
    if below < 0.0:
        return -1.0
    if c[0] <= 0.0 and first_below(-c, below, -noise) < 0.0:
        return 0.0  # from on the surface: it has come down to zero at the start, unless it rose in between
    t = below
    for _ in range(STEPS_BACK):
        value, slope = _value_and_slope(c, t)
        if slope >= 0.0 or value >= 0.0:
            break
        step = t - value / slope
        if step == t:
            break
        if step <= 0.0:
            return 0.0
        t = step
    return t


def first_below(c: Array, h: float, level: float) -> float:
    """Return the first t in [0, h] at which Σ c_n tⁿ falls below ``level``, or -1.0 where it never does.

    In the Bernstein basis of a stretch the polynomial lies in the convex hull of its coefficients: a stretch whose
    coefficients all lie above ``level`` has no crossing, however many roots there may be elsewhere. The search goes
    through the step from left to right by halving, so that no root is missed.
    """
    powers = h ** np.arange(c.size)
    if c[0] + np.minimum(c[1:], 0.0) @ powers[1:] >= level:
        return -1.0
    if c[0] < level:
        return 0.0
    left, right = _halves(c.size)
    waiting = [(0.0, h, _to_bernstein(c.size) @ (c * powers))]
    while waiting:
        start, width, b = waiting.pop()
        if b.min() >= level:
            continue
        if b[0] < level:
            return start
        if (np.diff(b) <= 0.0).all() or width <= h * 2.0**-MAX_DEPTH:
            end = start + width
            if _value_and_slope(c, end)[0] >= level:
                return end
            return _bisect(c, start, end, start + width * ((b[0] - level) / (b[0] - b[-1])), level)
        waiting.append((start + 0.5 * width, 0.5 * width, right @ b))
        waiting.append((start, 0.5 * width, left @ b))
    return -1.0


@cache
def _to_bernstein(size: int) -> Array:
    """Return the matrix from c_k h^k to coefficients in the Bernstein basis of [0, h]: C(i,k)/C(p,k)."""
    return np.array([[comb(i, k) / comb(size - 1, k) for k in range(size)] for i in range(size)])


@cache
def _halves(size: int) -> tuple[Array, Array]:
    """Return the matrices from the Bernstein coefficients of a stretch to those of its halves (de Casteljau)."""
    left = np.array([[comb(i, j) / 2.0**i for j in range(size)] for i in range(size)])
    return left, np.ascontiguousarray(left[::-1, ::-1])


def _value_and_slope(c: Array, t: float) -> tuple[float, float]:
    value = slope = 0.0
    for coefficient in c[::-1].tolist():
        slope = slope * t + value
        value = value * t + coefficient
    return value, slope


def _bisect(c: Array, low: float, high: float, t: float, level: float) -> float:
    """Return where a polynomial that falls through ``level`` between low and high does so (Newton, guarded, from t)."""
    if not low < t < high:
        t = 0.5 * (low + high)
    for _ in range(BISECTIONS):
        value, slope = _value_and_slope(c, t)
        value -= level
        low, high = (t, high) if value >= 0.0 else (low, t)
        step = t - value / slope if slope != 0.0 else low
        if not low < step < high:
            step = 0.5 * (low + high)
        elif abs(step - t) <= LAST_STEP * step:
            return step
        if step == t or not low < step < high:
            break
        t = step
    return t


def first_of(series: Array, noise: Array, h: float) -> tuple[float, int, int]:
    """Return the first time in [0, h] at which one of many coordinates leaves its positive side, and which that is.

    Args:
        series: (p+1, k) their coefficients.
        noise: (k,) their rounding errors.
        h: how far to look.

    Returns:
        The time (h if there is none), the index (-1 if there is none), and how many crossings were located.
    """
    level = np.minimum(series[0], 0.0) - noise
    orders = np.arange(series.shape[0])[:, None]

    def can_cross(which: Ints, until: float) -> Ints:
        lowest: Array = series[0, which] + (np.minimum(series[1:, which], 0.0) * until ** orders[1:]).sum(
            axis=0
        )
        crossing: Ints = which[~(lowest >= level[which])]
        return crossing

    best, first, roots = h, -1, 0
    waiting = can_cross(np.arange(series.shape[1]), h)
    with np.errstate(divide="ignore", invalid="ignore"):
        soon = np.abs(series[0, waiting]) / np.maximum(-series[1, waiting], 0.0)
    waiting = waiting[np.argsort(soon, kind="stable")]
    while waiting.size:
        which, waiting = int(waiting[0]), waiting[1:]
        t = first_exit(series[:, which], best, float(noise[which]))
        if t >= 0.0 and (t < best or first < 0):
            best, first, roots = t, which, roots + 1
            waiting = can_cross(waiting, best)
    return best, first, roots


def every_exit(c: Array, sign: float, h: float, noise: float) -> list[float]:
    """Return when Σ c_n tⁿ, which has this sign, changes sides on [0, h], each time."""
    times: list[float] = []
    t = 0.0
    while True:
        step = first_exit(sign * _shifted(c, t), h - t, noise)
        if step < 0.0:
            return times
        t, sign = t + step, -sign
        times.append(t)
        if not t < h:
            return times


def _shifted(c: Array, start: float) -> Array:
    """Return the series c about ``start`` (repeated Horner division)."""
    moved = c.copy()
    if start > 0.0:
        for low in range(c.size - 1):
            for n in range(c.size - 2, low - 1, -1):
                moved[n] += start * moved[n + 1]
    return moved


# -- the state -----------------------------------------------------------------------------------------------------


def orthonormal(R: Array) -> Array:
    """Return the polar factors of nearly orthogonal R (..., Q, Q) (Newton and Schulz)."""
    unit = np.eye(R.shape[-1])
    for _ in range(POLISHING):
        defect = np.swapaxes(R, -1, -2) @ R - unit
        if not np.abs(defect).max(initial=0.0) > 4e-16 * len(unit):
            break
        R = R - 0.5 * (R @ defect)
    return R


def cluster_losses(x: Array, weight: Array, total: float, y_tilde: Array, R: Array, b: Array) -> Array:
    """Return ½ mean_i |σ(R x_i + b) − (b + Rỹ)|² (3.18), see ``kernels.cluster_losses``: one layer, one cluster."""
    label = np.zeros(weight.size, np.int64)
    return network_losses(x[: weight.size], weight / total, y_tilde, label, 1, R[:, None], b[:, None])[:, 0]


def network_losses(
    x: Array, weight: Array, target: Array, label: Ints, clusters: int, R: Array, b: Array
) -> Array:
    """Return (1/N_j) Σ_i ½ |τ^(L)∘…∘τ^(1)(x) − ỹ_j|² of each cluster (T, C) (2.26)."""
    loss = np.empty((len(b), clusters))
    for k in range(len(b)):
        off = forward_pass(x, R[k], b[k], lambda _, z: z > 0.0).output - target
        loss[k] = np.bincount(label, 0.5 * weight * np.einsum("ia,ia->i", off, off), clusters)
    return loss


class ReferenceKernel:
    """What the numpy kernels of both flows share; see ``kernels.interface.Kernel``.

    Attributes:
        path: the present series, with an axis for the layers.
        lam: (p, k) series of the pinned surfaces' λ.
    """

    path: Coefficients
    lam: Array
    refreshes = 0

    def __init__(self, R: Array, b: Array) -> None:
        self.R, self.b = np.array(R, dtype=np.float64), b
        self.energy = 0.0

    def orthonormalise(self) -> None:
        """See ``Kernel``."""
        self.R[:] = orthonormal(self.R)

    def moved(self) -> None:
        """See ``Kernel``: nothing is kept that depends on where the state has been."""

    @property
    def order(self) -> int:
        """See ``Kernel``."""
        return self.path.energy.size - 1

    def weights(self) -> Array:
        """See ``Kernel``."""
        return self.lam

    def coefficients(self) -> Coefficients:
        """See ``Kernel``: each series has arrays of its own."""
        return self.path

    def advance(self, t: float) -> None:
        """See ``Kernel``."""
        at = self.evaluate(self.path, np.array([t]))
        self.R[:], self.b[:] = at.R.reshape(self.R.shape), at.b.reshape(self.b.shape)
        self.energy = float(at.energy[0])

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> StepsTaken | None:
        """See ``Kernel``: single steps only."""
        return None

    def evaluate(self, series: Coefficients, t: Array) -> States:
        """See ``Kernel``."""
        R, b, energy = (_horner(c, t) for c in (series.R, series.b, series.energy))
        R = orthonormal(R)
        return States(R, b, np.einsum("tlra,tlr->tla", R, b), energy)

    def first_exit(self, c: Array, h: float, noise: float) -> float:
        """See ``Kernel``."""
        return first_exit(c, h, noise)

    def sums(self) -> State:
        """See ``Kernel``: the arrays that a subclass sums up, if any."""
        return {}

    def restore_sums(self, saved: Saved) -> None:
        """See ``Kernel``."""
        for name, array in self.sums().items():
            array[:] = saved.array(name, str(array.dtype), array.shape)

    def caches(self) -> State:
        """See ``Kernel``: nothing is kept for speed."""
        return {}

    def restore_caches(self, saved: Saved) -> None:
        """See ``Kernel``."""


def _horner(c: Array, t: Array) -> Array:
    """Return Σ c_n tⁿ (T, …) of coefficients (p+1, …) at times (T,)."""
    t = t.reshape(-1, *(1,) * (c.ndim - 1))
    value = np.repeat(c[-1:], len(t), axis=0)
    for coefficient in c[-2::-1]:
        value = value * t + coefficient
    return value
