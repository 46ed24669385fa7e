"""Which of the saved times, points, layers and clusters a page shows, so that its size stays bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array, IntArray
from truncflow_cli.run_data import RunLike

#: Saved times that are shown at most, and at least where there are that many.
MOST_TIMES, FEWEST_TIMES = 601, 101
#: Points that are drawn.
MOST_POINTS = 400
#: Numbers that the geometry may take.
MOST_NUMBERS = 400_000
#: Curves in one picture, and layers that have pictures of their own.
MOST_CURVES, MOST_LAYERS = 8, 6


@dataclass(frozen=True)
class Frames:
    """The saved times and points that a page shows.

    Attributes:
        times: (F,) indices of saved times, ascending, the first and the last among them.
        points: (P,) indices of points.
        s: (F,) the times.
        saved: T.
        n_points: N.
    """

    times: IntArray
    points: IntArray
    s: Array
    saved: int
    n_points: int

    def sentences(self) -> list[str]:
        """Return what is left out."""
        result = []
        if self.times.size < self.saved:
            result.append(
                f"{self.times.size:,} of the {self.saved:,} saved times are shown, evenly spread over their numbers."
            )
        if self.points.size < self.n_points:
            result.append(
                f"{self.points.size:,} of the {self.n_points:,} points are drawn, evenly spread over the clusters; "
                "curves, counts and certificates are of all of them."
            )
        return result


def frames_of(run: RunLike) -> Frames:
    """Choose the saved times and points of a run's page."""
    n = 0 if run.x is None else run.x.shape[0]
    points = spread(n, MOST_POINTS)
    if n and run.cluster is not None:
        points = np.sort(np.argsort(run.cluster, kind="stable")[points])
    dims = min(3, run.y_tilde.shape[1])
    layers = 0 if run.beta is None else min(MOST_LAYERS, run.beta.shape[1])
    each = max(1, points.size * dims + layers * dims * (1 + min(run.y_tilde.shape[1], MOST_LAYERS)))
    times = spread(run.s.size, min(MOST_TIMES, max(FEWEST_TIMES, MOST_NUMBERS // each)))
    return Frames(times, points, run.s[times], run.s.size, n)


def spread(count: int, most: int) -> IntArray:
    """Return at most ``most`` of the indices below ``count``, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, max(0, count - 1), min(count, most)).round()).astype(np.int64)
