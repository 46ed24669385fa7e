"""Hypothesis (8.1) along a run: the composed map sends all of cluster ℓ to −β^(ℓ).

It does so where layer ℓ truncates the cluster fully, which puts it at −β^(ℓ), and every later layer leaves
that point alone. With t_i the point that reaches layer ℓ from x_i, this is g_ℓ ≤ 0 for

    g_ℓ = max( max_{i ∈ ℓ, r} (R_ℓ (t_i + β^(ℓ)))_r ,  max_{k > ℓ, r} −(R_k (β^(k) − β^(ℓ)))_r )

less what rounding can put a point on a surface off it. R does not move (8.4); the β^(ℓ) are the columns of B.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from truncflow_cli.events import Kind
from truncflow_cli.flows.collapsed_step import EPS, Step
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.truncation import Closest, composed, coordinates

#: A row of an event log: s, kind, layer, point, coordinate, cluster, side.
Row = tuple[float, int, int, int, int, int, int]

#: A point this near to a surface, relative to the coordinates, counts as on it, which is to the good.
ROUNDING = 32.0 * EPS
#: Parts into which an interval is cut at once, because their ends are evaluated together.
PARTS = 8
#: A change of sign and back within this part of a step may go unseen.
FINEST = 1.0 / 256.0


@dataclass(frozen=True)
class Watch:
    """The data and rotations that (8.1) is evaluated on.

    Attributes:
        x: (N, Q) points.
        extent: largest entry of x.
        members: for each cluster the rows of its points; empty if nothing is to be watched.
        R: (C, Q, Q) rotations, as many layers as clusters.
    """

    x: Array
    extent: float
    members: tuple[IntArray, ...]
    R: Array

    def level(self, cluster: int, B: Array) -> Closest:
        """Return the surface that decides whether ``cluster`` is collapsed, with margin −g_ℓ, for biases B (Q, C).

        Its point is a row of x, or −1 for the cluster's common image −β^(ℓ) in a later layer.
        """
        beta, rows = B.T, self.members[cluster]
        t = composed(self.x[rows], self.R[:cluster], beta[:cluster])
        own = coordinates(t, self.R[cluster], beta[cluster])
        later = np.einsum("kqp,kp->kq", self.R[cluster + 1 :], beta[cluster] - beta[cluster + 1 :])
        i, r = highest(own)
        k, q = highest(later)
        slack = ROUNDING * (self.extent + float(np.abs(B).max()))
        if later.size and (not own.size or later[k, q] > own[i, r]):
            return Closest(slack - float(later[k, q]), cluster + 1 + k, -1, q)
        return Closest(slack - float(own[i, r]), cluster, int(rows[i]), r) if own.size else Closest(np.inf)

    def initial_events(self, B: Array) -> list[Row]:
        """Return an `uncollapse` at s = 0 for each cluster that is not collapsed there."""
        levels = [self.level(cluster, B) for cluster in range(len(self.members))]
        return [event(0.0, Kind.UNCOLLAPSE, k, level) for k, level in enumerate(levels) if level.margin < 0.0]

    def events(self, step: Step) -> list[Row]:
        """Return the events during ``step``, in order; their time is the first number on the far side.

        An `uncollapse` names the surface that was crossed first, a `collapse` the one crossed back last.
        """
        rows: list[Row] = []
        if not self.members:
            return rows
        speeds = step.speed_bound()
        for cluster in range(len(self.members)):
            # τ moves its image by at most |Δt| + 2 |Δβ| and R stretches nothing.
            own, beyond = 2.0 * speeds[:cluster].sum(), speeds[cluster:].max()
            speed = float(speeds[cluster] + max(own, beyond))

            def g(s: Array, cluster: int = cluster) -> list[float]:
                return [-self.level(cluster, B).margin for B in step.at(s - step.start.s)[0]]

            ends = tuple(-self.level(cluster, B).margin for B in (step.start.B, step.end.B))
            lost = ends[0] > 0.0
            for a, b in sign_changes(g, (step.start.s, step.stop), ends, speed):
                before, after = (self.level(cluster, B) for B in step.at(np.array([a, b]) - step.start.s)[0])
                lost = not lost  # not by the margin after, which may be 0 to the last bit
                kind = Kind.UNCOLLAPSE if lost else Kind.COLLAPSE
                rows.append(event(b, kind, cluster, after if lost else before))
        return sorted(rows)


def watch(x: Array, cluster: IntArray, R: Array, n_clusters: int) -> Watch:
    """Return what to watch (8.1) on: nothing without points or with other than one layer a cluster."""
    watched = len(x) > 0 and len(R) == n_clusters
    members = tuple(np.flatnonzero(cluster == k) for k in range(n_clusters)) if watched else ()
    return Watch(x, float(np.abs(x).max(initial=0.0)), members, R)


def event(s: float, kind: Kind, cluster: int, surface: Closest) -> Row:
    """Return the event of ``cluster`` leaving −β, or of all of it being there again, through ``surface``."""
    return s, kind, surface.layer, surface.point, surface.coordinate, cluster, -1


def sign_changes(
    g: Callable[[Array], list[float]], interval: tuple[float, float], ends: tuple[float, ...], speed: float
) -> Iterator[tuple[float, float]]:
    """Yield, in order, the (before, after), a few ulp apart, between which g > 0 becomes false or true.

    g is a continuous function, evaluated at several times at once, on ``interval``, with the values ``ends`` there;
    ``speed`` is a bound on |dg/ds|: where that rules a change out nobody looks.
    """
    finest = FINEST * (interval[1] - interval[0])

    def search(s: Array, values: list[float]) -> Iterator[tuple[float, float]]:
        for a, b, g_a, g_b in zip(s[:-1], s[1:], values[:-1], values[1:], strict=True):
            changes = (g_a > 0.0) != (g_b > 0.0)
            if b - a > finest and (changes or abs(g_a) + abs(g_b) <= speed * (b - a)):
                cuts = np.linspace(a, b, PARTS + 1)
                yield from search(cuts, [g_a, *g(cuts[1:-1]), g_b])
            elif changes:
                yield located(g, float(a), float(b), g_a > 0.0)

    return search(np.array(interval), list(ends))


def located(g: Callable[[Array], list[float]], a: float, b: float, positive: bool) -> tuple[float, float]:
    """Return the first (before, after) in which g > 0 turns from ``positive``, as it is at a and not at b."""
    while b - a > 4.0 * EPS * b:
        cuts = np.linspace(a, b, PARTS + 1)
        changed = [(value > 0.0) != positive for value in g(cuts[1:-1])] + [True]
        first = changed.index(True)
        a, b = float(cuts[first]), float(cuts[first + 1])
    return a, b


def highest(values: Array) -> tuple[int, int]:
    """Return the indices of the largest of ``values`` (m, n), (0, 0) if there is none."""
    i, j = np.unravel_index(np.argmax(values), values.shape) if values.size else (0, 0)
    return int(i), int(j)
