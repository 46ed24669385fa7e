"""Where a polynomial first leaves its side of zero: isolation in the Bernstein basis, no root is missed.

A surface coordinate along a step is a polynomial z(t) = c_0 + c_1 t + … + c_p t^p on [0, h]. In the Bernstein
basis of [0, h] the polynomial lies in the convex hull of its coefficients, so a part of the step whose coefficients
all lie on the right side contains no crossing, however many roots there may be elsewhere.
"""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.kernels.jit import kernel, part, plain

#: Halvings of the step after which a crossing is located to the last bit.
MAX_DEPTH = 60
#: The part of the step that is left then.
LAST_PART = 2.0**-MAX_DEPTH


@plain
def evaluate(c, t):
    """Return Σ c_n tⁿ (Horner)."""
    value = c[c.size - 1]
    for n in range(c.size - 2, -1, -1):
        value = value * t + c[n]
    return value


@plain
def derivative(c, t):
    """Return Σ n c_n t^(n-1)."""
    value = 0.0
    for n in range(c.size - 1, 0, -1):
        value = value * t + n * c[n]
    return value


@plain
def reach_below(c, h):
    """Return a lower bound of Σ c_n tⁿ on [0, h] that costs one pass: c_0 + Σ min(c_n, 0) hⁿ."""
    bound = c[0]
    power = 1.0
    for n in range(1, c.size):
        power *= h
        if c[n] < 0.0:
            bound += c[n] * power
    return bound


@part
def _bernstein(c, h, result):
    """Fill ``result`` with the coefficients in the Bernstein basis of [0, h]: B_i = Σ_k C(i,k)/C(p,k) c_k h^k."""
    p = c.size - 1
    scaled = np.empty(p + 1)
    factor = 1.0
    for k in range(p + 1):
        scaled[k] = c[k] * factor
        factor *= h * (k + 1) / (p - k) if k < p else 1.0  # h^k / C(p, k)
    for i in range(p + 1):
        binomial = 1.0
        total = 0.0
        for k in range(i + 1):
            total += binomial * scaled[k]
            binomial *= (i - k) / (k + 1)
        result[i] = total


@plain
def _halve(left, right):
    """De Casteljau: ``left`` holds the coefficients on an interval; split them into its two halves."""
    p = left.size - 1
    for i in range(p + 1):
        right[i] = left[i]
    for level in range(1, p + 1):
        # right[0 .. p-level] becomes one level of the triangle; its first entry belongs to the left half.
        for i in range(p + 1 - level):
            right[i] = 0.5 * (right[i] + right[i + 1])
        left[level] = right[0]
    # The last entries of the levels, bottom to top, are what is left standing in ``right``.


@part
def first_below(c, h, level):
    """Return the first t in [0, h] at which Σ c_n tⁿ falls below ``level``, or -1.0 where it never does.

    The search goes through the step from left to right by halving; parts whose Bernstein coefficients stay
    at or above ``level`` are passed over.
    """
    p = c.size - 1
    if reach_below(c, h) >= level:
        return -1.0
    stack = np.empty((MAX_DEPTH + 2, p + 1))
    starts = np.empty(MAX_DEPTH + 2)
    widths = np.empty(MAX_DEPTH + 2)
    _bernstein(c, h, stack[0])
    starts[0] = 0.0
    widths[0] = h
    top = 0
    while top >= 0:
        b = stack[top]
        lowest = b[0]
        falling = True
        for i in range(1, p + 1):
            lowest = min(lowest, b[i])
            if b[i] > b[i - 1]:
                falling = False
        if lowest >= level:
            top -= 1
            continue
        if b[0] < level:
            return starts[top]
        if falling or widths[top] <= h * LAST_PART or top >= MAX_DEPTH:
            return _bisect(c, starts[top], starts[top] + widths[top], level)
        width = 0.5 * widths[top]
        _halve(b, stack[top + 1])
        # The right half waits below the left one.
        for i in range(p + 1):
            b[i], stack[top + 1, i] = stack[top + 1, i], b[i]
        starts[top + 1] = starts[top]
        widths[top + 1] = width
        starts[top] += width
        widths[top] = width
        top += 1
    return -1.0


@plain
def _bisect(c, low, high, level):
    """Return where a polynomial that falls through ``level`` between ``low`` and ``high`` does so (Newton, guarded)."""
    if evaluate(c, high) >= level:
        return high
    t = 0.5 * (low + high)
    for _ in range(120):
        value = evaluate(c, t) - level
        if value >= 0.0:
            low = t
        else:
            high = t
        slope = derivative(c, t)
        step = t - value / slope if slope != 0.0 else low
        if not (low < step < high):
            step = 0.5 * (low + high)
        if step == t or step <= low or step >= high:
            break
        if abs(step - t) <= 1e-17 * abs(step):
            t = step
            break
        t = step
    return t


@part
def first_exit(c, h, noise):
    """Return when a coordinate that ought to stay positive leaves its side, or -1.0 if it does not within [0, h].

    A coordinate that only touches zero, or dips below it by less than ``noise`` (its rounding error), has not
    left. One that starts below zero by rounding has left only once it falls below where it started. The time
    returned is that of the root itself, not of the passage through ``-noise``.
    """
    level = min(0.0, c[0]) - noise
    below = first_below(c, h, level)
    if below < 0.0:
        return -1.0
    if c[0] <= 0.0:
        # From on the surface: where it last came down to zero, which is the start unless it rose in between.
        rise = first_below(-c, below, -noise)
        if rise < 0.0:
            return 0.0
    t = below
    for _ in range(30):
        value = evaluate(c, t)
        slope = derivative(c, t)
        if slope >= 0.0 or value >= 0.0:
            break
        step = t - value / slope
        if step == t:
            break
        if step <= 0.0:
            return 0.0
        t = step
    return t


@kernel
def weight_exit(c, h, noise):
    """Return ``first_exit``; for Python, which looks after the weights of pinned surfaces."""
    return first_exit(c, h, noise)
