"""What each layer truncates, against s: of each point (a raster), and the fraction of all points (lines)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.figures.panels import legend, stacked
from truncflow_cli.report.figures.patterns import changes
from truncflow_cli.report.figures.style import DASHES, PALE, color, shades
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

FRACTION = r"truncated fraction, mean of $1 - h(z_r)$"
#: With more coordinates than this their fractions are rows of a picture instead of lines.
MOST_LINES = 6
#: Times along the axis at which a line may step, and columns of such a picture.
STEPS, STRIPES = 2000, 600


def figure(subject: Subject) -> Figure | None:
    """Draw a panel for each layer; nothing if no data pass layers that move."""
    if not subject.layered or not subject.run.n_points:
        return None
    layers, dim = subject.busiest_layers(MOST_LAYERS), subject.run.dim
    blues = np.linspace(0.32, DARKEST, dim) if dim > 1 else [0.75]
    palette = ListedColormap([(0.96, 0.96, 0.96, 1.0), *mpl.colormaps["Blues"](blues)])
    rasters = [_raster(subject, int(layer), palette) for layer in layers]
    later = "hatched: not seen by the layer before that" if np.isfinite(subject.switched_at) else ""
    result = stacked(
        subject.timeline,
        0.75 + (2.6 if layers.size == 1 else 1.75) * layers.size,
        [partial(_draw, subject=subject, raster=raster) for raster in rasters],
        said=subject.remarks(later, subject.of_layers(layers), _left_out(rasters)),
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
        _fill(axes, raster.picture, resample=False)
    _rows(axes, raster.cluster)
    axes.set_title(subject.title(raster.layer))
    return ""


def _fill(axes: Axes, picture: Array, **how: Any) -> None:
    """Fill a panel with a picture, whatever its axes are."""
    how = {"aspect": "auto", "interpolation": "nearest", **how}
    axes.imshow(picture, extent=(0.0, 1.0, 0.0, 1.0), transform=axes.transAxes, **how)


def _left_out(rasters: list[Raster]) -> str:
    """Say how many points are shown of how many."""
    sizes = {each.cluster.size: len(each.picture) for each in rasters}
    shown = {size: rows for size, rows in sizes.items() if rows < size}
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


def fraction(subject: Subject) -> Figure | None:
    """Draw a panel for each layer; nothing if the run has no truncated fractions."""
    if subject.run.truncated_fraction is None or not subject.run.n_points or not subject.layered:
        return None
    layers = subject.busiest_layers(MOST_LAYERS)
    lines = subject.run.dim <= MOST_LINES
    later = "of the layer's own cluster before that, of all points after"
    said = (later if subject.separated and not subject.alone else "", subject.of_layers(layers))
    draws = [partial(_fraction, subject=subject, layer=int(layer)) for layer in layers]
    result = stacked(
        subject.timeline,
        0.7 + (2.2 if layers.size == 1 else 1.45) * layers.size,
        draws,
        said=subject.remarks(*said),
    )
    if lines:
        legend(result.axes[0])
        result.supylabel(FRACTION, fontsize=9.0)
    else:
        color_map = mpl.cm.ScalarMappable(mpl.colors.Normalize(0.0, 1.0), "cividis")
        result.colorbar(color_map, ax=list(result.axes), aspect=30, pad=0.015).set_label(FRACTION)
    return result


def _fraction(axes: Axes, subject: Subject, layer: int) -> str:
    lines = subject.run.dim <= MOST_LINES
    times = subject.timeline.grid(STEPS if lines else STRIPES)
    (_lines if lines else _picture)(axes, times, _fractions(subject, layer, times))
    axes.set_title(subject.title(layer))
    return ""


def _fractions(subject: Subject, layer: int, times: Array) -> Array:
    """Return the truncated fraction of each coordinate at ascending times (K,), from the event log, (K, Q)."""
    run, switched = subject.run, subject.switched_at
    found = changes(run, layer, np.arange(run.n_points), switched)
    every = found.fractions(times, np.ones(run.n_points, dtype=bool))
    if not subject.separated:
        return every
    return np.where((times <= switched)[:, None], found.fractions(times, run.cluster == layer), every)


def _lines(axes: Axes, times: Array, fractions: Array) -> None:
    dim = fractions.shape[1]
    for r, shade in enumerate(shades(dim)):
        axes.plot(
            times, fractions[:, r], color=shade, linestyle=DASHES[r % len(DASHES)], drawstyle="steps-post",
            solid_capstyle="butt", label=f"$r = {r}$", clip_on=False, zorder=2.0 + r,
        )  # fmt: skip
    axes.set(ylim=(0.0, 1.0), yticks=(0.0, 0.5, 1.0))


def _picture(axes: Axes, times: Array, fractions: Array) -> None:
    _fill(axes, fractions.T, cmap="cividis", vmin=0.0, vmax=1.0)
    axes.set(ylim=(fractions.shape[1] - 0.5, -0.5), ylabel="$r$")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
