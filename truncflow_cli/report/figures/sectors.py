"""The orthants S_ℓ⁺ and S_ℓ⁻ of a layer on the page."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from truncflow_cli.problem import Array
from truncflow_cli.report.figures.projection import Projection
from truncflow_cli.report.figures.scene import Orthant
from truncflow_cli.report.figures.style import color

#: Edges of S_ℓ⁺ are drawn up to so many dimensions; of more, the apex alone.
MOST_EDGES = 12
#: Length of an edge in three dimensions, relative to the extent of the page, where no point lies further out.
SHORTEST = 0.3
#: The part of that length that the edges of S_ℓ⁻ have.
OPPOSITE = 0.45

#: Colour of an orthant that all clusters meet.
ALL = "#444444"

_DASHES = (0, (3, 2))
_FILL = 0.09


def draw_orthant(axes: Axes, orthant: Orthant, place: Projection, points: Array, extent: float) -> None:
    """Draw the orthant with apex −β and edges along the rows of R, and dashed the opposite one.

    points (n, Q) are those that it should be seen to contain or to cut; ``extent`` is the diagonal of the page.
    """
    tint, apex = color(orthant.cluster) if orthant.cluster >= 0 else ALL, -orthant.beta
    if place.dim == 1:
        _half_line(axes, float(apex[0]), float(orthant.R[0, 0]), tint)
        return
    at = place(apex[None])[0]
    if place.dim == 2:
        _sector(
            axes,
            at,
            orthant.R,
            extent + float(np.linalg.norm(at - np.mean([axes.get_xlim(), axes.get_ylim()], 1))),
            tint,
        )
    elif place.dim == 3:
        _corner(axes, at, orthant, place, points, extent, tint)
    elif place.dim <= MOST_EDGES:
        for edge in place(orthant.R):
            axes.annotate(
                "", at + 0.18 * extent * edge, at, annotation_clip=False,
                arrowprops={
                    "arrowstyle": "-|>", "color": tint, "linewidth": 0.9, "mutation_scale": 6, "shrinkA": 0,
                    "path_effects": [withStroke(linewidth=2.6, foreground="white")],
                },
            ).arrow_patch.set_clip_box(axes.bbox)  # fmt: skip
    over = place.dim > 3  # among the points, which may cover it
    axes.plot(
        *at, marker="o", markersize=5.0 if over else 4.0, color=tint, markeredgecolor="white",
        markeredgewidth=1.0 if over else 0.5, zorder=3.0 if over else 2.0,
    )  # fmt: skip


def _half_line(axes: Axes, apex: float, direction: float, tint: str) -> None:
    """Draw {x : ±(x − apex) > 0}."""
    low, high = axes.get_xlim()
    axes.axvline(apex, color=tint, linewidth=1.2)
    if direction > 0.0:
        axes.axvspan(min(apex, high), high, color=tint, alpha=_FILL, linewidth=0.0)
    else:
        axes.axvspan(low, max(apex, low), color=tint, alpha=_FILL, linewidth=0.0)


def _sector(axes: Axes, apex: Array, R: Array, length: float, tint: str) -> None:
    first, second = apex + length * R
    axes.fill(
        *np.array([first, apex, second, second + length * R[0]]).T, color=tint, alpha=_FILL, linewidth=0.0
    )
    axes.plot(*np.array([first, apex, second]).T, color=tint, linewidth=1.2)
    first, second = apex - length * R
    axes.plot(*np.array([first, apex, second]).T, color=tint, linewidth=0.9, linestyle=_DASHES)


def _corner(
    axes: Axes, apex: Array, orthant: Orthant, place: Projection, points: Array, extent: float, tint: str
) -> None:
    """Draw the three faces up to the outermost point: S_ℓ⁺ as the corner of a box."""
    z = (points + orthant.beta) @ orthant.R.T
    length = np.maximum(z.max(axis=0, initial=0.0), SHORTEST * extent)
    edges = place(orthant.R) * length[:, None]
    for a, b in ((0, 1), (1, 2), (2, 0)):
        corners = apex + np.array([np.zeros(2), edges[a], edges[a] + edges[b], edges[b]])
        axes.fill(*corners.T, color=tint, alpha=_FILL, linewidth=0.0)
        axes.plot(*corners[1:].T, color=tint, linewidth=0.4, alpha=0.6)
    for edge, full in zip(edges, length, strict=True):
        axes.plot(*np.array([apex, apex + edge]).T, color=tint, linewidth=1.2)
        back = apex - edge / full * OPPOSITE * SHORTEST * extent
        axes.plot(*np.array([apex, back]).T, color=tint, linewidth=0.9, linestyle=_DASHES)
