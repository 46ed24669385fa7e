"""The truncation raster: for each layer, how many coordinates of each point are truncated, against s."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.figures.panels import stacked
from truncflow_cli.report.figures.patterns import changes
from truncflow_cli.report.figures.style import PALE, color
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.scene import spread

#: Columns and rows of the picture at most.
COLUMNS = 900
ROWS = 600
#: Layers shown at most.
MOST_LAYERS = 6
#: With more clusters than this no lines part them: those would be taken for data.
MOST_PARTED = 12
#: Clusters that are named beside their colours.
MOST_NAMED = 4
#: Colour of a point that is held on a face: not that of any cluster.
PINNED = "black"
#: The darkest blue, for points truncated in all coordinates; black is seen on it.
DARKEST = 0.87


def figure(subject: Subject) -> Figure | None:
    """Draw a panel for each layer; nothing if no data pass layers that move."""
    if not subject.layered or not subject.run.n_points:
        return None
    layers, dim = subject.busiest_layers(MOST_LAYERS), subject.run.dim
    shades = np.linspace(0.32, DARKEST, dim) if dim > 1 else [0.75]
    palette = ListedColormap([(0.96, 0.96, 0.96, 1.0), *mpl.colormaps["Blues"](shades)])
    rasters = [_raster(subject, int(layer), palette) for layer in layers]
    later = "hatched: not seen by the layer before that" if np.isfinite(subject.switched_at) else ""
    result = stacked(
        subject,
        0.75 + (2.6 if layers.size == 1 else 1.75) * layers.size,
        [partial(_draw, subject=subject, raster=raster) for raster in rasters],
        said=(later, subject.of_layers(layers), _left_out(rasters)),
    )
    result.supylabel("points in order of first truncation", fontsize=9.0)
    bar = result.colorbar(
        mpl.cm.ScalarMappable(BoundaryNorm(np.arange(dim + 2) - 0.5, palette.N), palette),
        ax=list(result.axes), aspect=30, pad=0.015, shrink=0.9,
    )  # fmt: skip
    bar.set_label("coordinates $r$ with $z_r \\leq 0$")
    bar.ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    bar.ax.minorticks_off()
    bar.outline.set_linewidth(0.5)
    pinned = any(raster.pinned for raster in rasters)
    handles = [Patch(color=PINNED, label="held on a face (pinned)")] if pinned else []
    if not subject.alone and 1 < subject.run.n_clusters <= MOST_NAMED:
        handles = [*(Patch(color=color(k), label=name) for k, name in enumerate(subject.names)), *handles]
    if handles:
        result.axes[0].legend(
            handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.1, ncols=len(handles),
            handlelength=1.2, columnspacing=1.2,
        )  # fmt: skip
    return result


@dataclass(frozen=True)
class Raster:
    """One layer's picture.

    Attributes:
        layer: which.
        picture: (rows, columns, 4) colours; transparent where the layer does not see a point.
        cluster: (n,) clusters of all its points, from the top row down.
        pinned: whether a point shown is ever pinned.
    """

    layer: int
    picture: Array
    cluster: IntArray
    pinned: bool


def _raster(subject: Subject, layer: int, palette: ListedColormap) -> Raster:
    run, switched = subject.run, subject.switched_at
    members = np.flatnonzero(run.cluster == layer) if subject.alone else np.arange(run.n_points)
    found = changes(run, layer, members, switched)
    cluster = run.cluster[members]
    order = np.lexsort((-found.amount(subject.timeline.end), found.first_truncated(), cluster))
    rows = order[spread(members.size, ROWS)]
    times = subject.timeline.grid(COLUMNS + 1)
    counts, held = found.at(0.5 * (times[1:] + times[:-1]), rows)
    picture = palette(np.clip(counts, 0, palette.N - 1))
    picture[held] = mpl.colors.to_rgba(PINNED)
    if np.isfinite(switched) and subject.separated:
        picture[(cluster[rows] != layer)[:, None] & (times[:-1] < switched)] = (1.0, 1.0, 1.0, 0.0)
    return Raster(layer, picture, cluster[order], bool(held.any()))


def _draw(axes: Axes, subject: Subject, raster: Raster) -> str:
    if np.isfinite(subject.switched_at) and subject.separated:
        axes.patch.set(facecolor="white", edgecolor=PALE, hatch="////", linewidth=0.0)
    if len(raster.picture):
        axes.imshow(
            raster.picture, extent=(0.0, 1.0, 0.0, 1.0), transform=axes.transAxes, aspect="auto",
            interpolation="nearest", resample=False,
        )  # fmt: skip
    _rows(axes, raster.cluster)
    axes.set_title(subject.title(raster.layer))
    return ""


def _left_out(rasters: list[Raster]) -> str:
    """Say how many points are shown of how many."""
    shown = {
        each.cluster.size: len(each.picture) for each in rasters if len(each.picture) < each.cluster.size
    }
    if not shown:
        return ""
    total = max(shown)
    return f"{shown[total]:,} of {'up to ' if len(shown) > 1 else ''}{total:,} points, evenly along the order"


def _rows(axes: Axes, cluster: IntArray) -> None:
    """Mark on the left which rows are which cluster's: cluster (n,) from the top row down."""
    n = max(cluster.size, 1)
    axes.set(ylim=(n, 0))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    firsts = np.flatnonzero(np.diff(cluster, prepend=-1))
    for first, stop in zip(firsts, [*firsts[1:], cluster.size], strict=True):
        axes.plot(
            [-0.006, -0.006], [first, stop], color=color(int(cluster[first])), linewidth=3.0, clip_on=False,
            solid_capstyle="butt", transform=axes.get_yaxis_transform(),
        )  # fmt: skip
        if first > 0 and firsts.size <= MOST_PARTED:
            axes.axhline(first, color=PALE, linewidth=0.6)
