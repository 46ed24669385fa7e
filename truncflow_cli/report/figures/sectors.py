"""The orthants S_ℓ⁺ and S_ℓ⁻ of a layer on the page."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from truncflow_cli.problem import Array
from truncflow_cli.report.figures.style import color
from truncflow_cli.report.projection import Projection
from truncflow_cli.report.scene import Sector

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


def draw_sector(axes: Axes, sector: Sector, place: Projection, points: Array, extent: float) -> None:
    """Draw the orthant with apex −β and edges along the rows of R, and dashed the opposite one.

    points (n, Q) are those that it should be seen to contain or to cut; ``extent`` is the diagonal of the page.
    """
    tint, apex = color(sector.cluster) if sector.cluster >= 0 else ALL, -sector.beta
    if place.dim == 1:
        _half_line(axes, float(apex[0]), float(sector.R[0, 0]), tint)
        return
    at, edges = place.on_page(apex[None])[0], sector.R @ place.plane.T
    if place.dim == 2:
        middle = np.mean([axes.get_xlim(), axes.get_ylim()], axis=1)
        _sector(axes, at, edges, extent + float(np.linalg.norm(at - middle)), tint)
    elif place.dim == 3:
        longest = ((points + sector.beta) @ sector.R.T).max(axis=0, initial=0.0)
        _corner(axes, at, edges, np.maximum(longest, SHORTEST * extent), extent, tint)
    elif place.dim <= MOST_EDGES:
        for edge in edges:
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


def _sector(axes: Axes, apex: Array, edges: Array, length: float, tint: str) -> None:
    first, second = apex + length * edges
    corners = np.array([first, apex, second, second + length * edges[0]])
    axes.fill(*corners.T, color=tint, alpha=_FILL, linewidth=0.0)
    axes.plot(*corners[:3].T, color=tint, linewidth=1.2)
    axes.plot(*(2.0 * apex - corners[:3]).T, color=tint, linewidth=0.9, linestyle=_DASHES)


def _corner(axes: Axes, apex: Array, edges: Array, length: Array, extent: float, tint: str) -> None:
    """Draw the three faces, edges (3, 2) of some length (3,): S_ℓ⁺ as the corner of a box."""
    full = edges * length[:, None]
    for a, b in ((0, 1), (1, 2), (2, 0)):
        corners = apex + np.array([np.zeros(2), full[a], full[a] + full[b], full[b]])
        axes.fill(*corners.T, color=tint, alpha=_FILL, linewidth=0.0)
        axes.plot(*corners[1:].T, color=tint, linewidth=0.4, alpha=0.6)
    for edge, end in zip(edges, full, strict=True):
        axes.plot(*np.array([apex, apex + end]).T, color=tint, linewidth=1.2)
        back = apex - edge * OPPOSITE * SHORTEST * extent
        axes.plot(*np.array([apex, back]).T, color=tint, linewidth=0.9, linestyle=_DASHES)
