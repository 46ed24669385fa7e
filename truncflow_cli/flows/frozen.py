"""Flow `separated` with R fixed (section 4.3): the coordinates decouple and each is solved in closed form.

In one coordinate let b = −(Rβ)_r, x_i = (R x_i)_r, y = (Rỹ)_r and n = #{x_i ≤ b}. Between events

    d(y − b)/ds = −(n/N)(y − b)                                                          (4.46)

so that b moves monotonically towards y, and passes from one point to the next in the time (N/n) log of the ratio of
the distances to y, (4.49). For y > b it rises and truncates points; for y < b (not in the paper) it falls and releases
them, and stops in finite time when the last one has been released.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.events import EventLog, event_log
from truncflow_cli.flows.event_rows import LayerEventRows
from truncflow_cli.flows.points import LayerPoints
from truncflow_cli.kernels import cluster_losses
from truncflow_cli.kernels.interface import Crossings
from truncflow_cli.problem import TRUNCATED, UNTRUNCATED, Array, IntArray
from truncflow_cli.saved_state import State
from truncflow_cli.solver.piece import Counters

#: Rounding error of a coordinate, in units of |x| + |b|: points this close to b at the start lie on it.
NOISE = 32 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Coordinate:
    """The motion of one coordinate's b: n is constant from each knot to the next.

    Attributes:
        y: where b tends to.
        s: (K,) knots, beginning with 0.
        b: (K,) b at the knots.
        rate: (K,) n/N from each knot on.
        energy: (K,) ∫ (∂_s b)² up to each knot.
        rest: when b came to rest (inf: never, it only tends to y).
    """

    y: float
    s: Array
    b: Array
    rate: Array
    energy: Array
    rest: float

    def position(self, s: Array) -> tuple[Array, Array, Array]:
        """Return b, the dissipated energy and n/N at times s (T,)."""
        k = np.searchsorted(self.s, s, side="right") - 1
        rate, start = self.rate[k], self.b[k]
        moved = (self.y - start) * -np.expm1(-rate * (s - self.s[k]))
        b = start + moved
        energy = self.energy[k] + 0.5 * rate * moved * ((self.y - start) + (self.y - b))
        return b, energy, rate

    def reaches(self, x: Array) -> Array:
        """Return when b comes to the positions x (M,) strictly ahead of it; inf where it never does."""
        times = np.full(x.shape, np.inf)
        up = np.sign(self.y - self.b[0])
        ahead = np.flatnonzero((up * x > up * self.b[0]) & (up * x < up * self.y))
        k = np.searchsorted(up * self.b, up * x[ahead]) - 1
        moving = self.rate[k] > 0.0
        ahead, k = ahead[moving], k[moving]
        ratio = (x[ahead] - self.b[k]) / (self.y - self.b[k])
        times[ahead] = self.s[k] - np.log1p(-ratio) / self.rate[k]
        return times


def coordinate(
    x: Array, multiplicity: Array, b: float, y: float, noise: Array
) -> tuple[Coordinate, Array, IntArray]:
    """Solve one coordinate; return (motion, time at which each point crosses (inf: never), pattern at s = 0).

    x (M,) positions, multiplicity (M,); points within ``noise`` (M,) of b lie on it, and h(0) = 0 there.
    """
    total = float(multiplicity.sum())
    pattern = np.where(x - b > noise, UNTRUNCATED, TRUNCATED)
    truncated = pattern == TRUNCATED
    n = float(multiplicity[truncated].sum())
    crossing = np.full(x.size, np.inf)
    if n == 0.0 or y == b:
        return (
            Coordinate(y, np.zeros(1), np.array([b]), np.array([n / total]), np.zeros(1), 0.0),
            crossing,
            pattern,
        )
    up = 1.0 if y > b else -1.0  # b rises and truncates points, or falls and releases them
    ahead = np.flatnonzero((truncated == (up < 0.0)) & (up * x < up * y))
    positions, knot = np.unique(up * x[ahead], return_inverse=True)
    # A point on the surface at the start is passed at once.
    at = np.append(b, up * np.maximum(positions, up * b))
    counts = np.bincount(knot, multiplicity[ahead], positions.size)
    rate = np.append(n, n + up * np.cumsum(counts)) / total
    gap = y - at
    s = np.append(0.0, np.cumsum(-np.log1p(-np.diff(at) / gap[:-1]) / rate[:-1]))
    energy = np.append(0.0, np.cumsum(0.5 * rate[:-1] * (gap[:-1] ** 2 - gap[1:] ** 2)))
    crossing[ahead] = s[1:][knot]
    rest = float(s[-1]) if rate[-1] == 0.0 else np.inf
    return Coordinate(y, s, at, rate, energy, rest), crossing, pattern


class FrozenLayer:
    """A cluster under its own layer with R fixed, solved for all s at once."""

    def __init__(self, data: LayerPoints, R: Array, beta: Array) -> None:
        self.data = data
        self.R = R
        self.counters = Counters()
        own = data.n_own
        self._b0 = R @ (beta + data.center)
        b, y = -self._b0, R @ data.y_tilde
        positions = data.x @ R.T
        noise = NOISE * (data.length[:, None] + np.abs(b))
        self.pattern = np.empty(positions.shape, np.int8)
        self.crossing = np.full(positions.shape, np.inf)
        self.coordinates = []
        for r in range(data.dim):
            motion, self.crossing[:own, r], self.pattern[:own, r] = coordinate(
                positions[:own, r], data.multiplicity, b[r], y[r], noise[:own, r]
            )
            self.coordinates.append(motion)
            offset = positions[own:, r] - b[r]
            self.pattern[own:, r] = np.where(offset > noise[own:, r], UNTRUNCATED, TRUNCATED)
            on = np.abs(offset) <= noise[own:, r]
            self.crossing[own:, r] = motion.reaches(positions[own:, r])
            falls_off = on & (y[r] < b[r]) & (motion.rest > 0.0)
            self.crossing[own:, r][on] = np.where(falls_off[on], 0.0, np.inf)
        self._z0 = positions[own:] + self._b0

    def events(self, s_end: float) -> EventLog:
        """Return all events up to ``s_end``, in order."""
        log = LayerEventRows(self.data, self.pattern[:, None])
        start = event_log([(0.0, *row) for row in log.separation_at_start(self._z0) + log.at_start()])
        i, r = np.nonzero(self.crossing <= s_end)
        times = self.crossing[i, r]
        order = np.lexsort((r, i, times))
        i, r, times = i[order], r[order], times[order]
        side = np.where(self.pattern[i, r] == TRUNCATED, UNTRUNCATED, TRUNCATED).astype(np.int8)
        rest = max(motion.rest for motion in self.coordinates)
        end = event_log([(rest, *row) for row in log.rest()] if rest <= s_end else [])
        events = np.concatenate([start, log.passed(Crossings(times, i, np.zeros_like(i), r, side)), end])
        return events[np.argsort(events["s"], kind="stable")]

    def state(self) -> State:
        """See ``flows.interface.DenseOutput.state``: nothing, the problem says it all."""
        return {}

    def sample(self, s: Array) -> dict[str, Array]:
        """See ``flows.interface.DenseOutput.sample``."""
        data, size = self.data, s.size
        self.counters.evaluations += size
        moved = [motion.position(s) for motion in self.coordinates]
        b = -np.stack([part[0] for part in moved], axis=1)
        R = np.broadcast_to(self.R, (size, *self.R.shape)).copy()
        losses = cluster_losses(
            data.x, data.multiplicity, data.total, data.y_tilde, R, np.ascontiguousarray(b)
        )
        return {
            "beta": (b @ self.R - data.center)[:, None, :],
            "R": R[:, None],
            "loss_cluster": losses[:, None],
            "energy": np.sum([part[1] for part in moved], axis=0),
            "truncated_fraction": np.stack([part[2] for part in moved], axis=1)[:, None, :],
        }
