"""Which of the saved times, points, layers and clusters a page shows, so that its size stays bounded."""

from __future__ import annotations

from dataclasses import dataclass

from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.scene import shown_points, spread
from truncflow_cli.run_data import Run

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
    """

    times: IntArray
    points: IntArray
    s: Array

    def left_out(self, run: Run) -> list[str]:
        """Return sentences on what is not shown."""
        times = f"{self.times.size:,} of the {run.s.size:,} saved times are shown, evenly spread over their numbers."
        points = (
            f"{self.points.size:,} of the {run.n_points:,} points are drawn, evenly spread over the clusters; "
            "curves, counts and certificates are of all of them."
        )
        shown = ((self.times.size < run.s.size, times), (self.points.size < run.n_points, points))
        return [sentence for few, sentence in shown if few]


def frames_of(run: Run) -> Frames:
    """Choose the saved times and points of a run's page."""
    points = shown_points(run, MOST_POINTS)
    dims = min(3, run.y_tilde.shape[1])
    layers = 0 if run.beta is None else min(MOST_LAYERS, run.beta.shape[1])
    each = max(1, points.size * dims + layers * dims * (1 + min(run.y_tilde.shape[1], MOST_LAYERS)))
    times = spread(run.s.size, min(MOST_TIMES, max(FEWEST_TIMES, MOST_NUMBERS // each)))
    return Frames(times, points, run.s[times])
