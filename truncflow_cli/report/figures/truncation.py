"""The truncation raster: for each layer, how many coordinates of each point are truncated, against s."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from truncflow_cli.problem import IntArray
from truncflow_cli.report.figures.panels import remark
from truncflow_cli.report.figures.patterns import changes
from truncflow_cli.report.figures.style import PALE, color, new_figure
from truncflow_cli.report.figures.subject import Subject

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
    layers = subject.busiest_layers(MOST_LAYERS)
    height = 2.6 if layers.size == 1 else 1.75
    result = new_figure(0.75 + height * layers.size)
    panels = result.subplots(layers.size, 1, sharex=True, squeeze=False)[:, 0]
    dim = subject.run.dim
    cut = (
        mpl.colormaps["Blues"](np.linspace(0.32, DARKEST, dim)) if dim > 1 else mpl.colormaps["Blues"]([0.75])
    )
    palette = ListedColormap([(0.96, 0.96, 0.96, 1.0), *cut])
    pinned, said = False, dict[int, int]()
    for panel, layer in zip(panels, layers, strict=True):
        pinned |= _layer(panel, subject, int(layer), palette, said)
        subject.timeline.apply(panel, label=layer == layers[-1])
    result.supylabel("points in order of first truncation", fontsize=9.0)
    norm = BoundaryNorm(np.arange(dim + 2) - 0.5, palette.N)
    bar = result.colorbar(
        mpl.cm.ScalarMappable(norm, palette), ax=list(panels), aspect=30, pad=0.015, shrink=0.9
    )
    bar.set_label("coordinates $r$ with $z_r \\leq 0$")
    bar.ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    bar.ax.minorticks_off()
    bar.outline.set_linewidth(0.5)
    handles = [Patch(color=PINNED, label="held on a face (pinned)")] if pinned else []
    if not _alone(subject) and 1 < subject.run.n_clusters <= MOST_NAMED:
        handles = [*(Patch(color=color(k), label=name) for k, name in enumerate(subject.names)), *handles]
    if handles:
        panels[0].legend(
            handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.1, ncols=len(handles),
            handlelength=1.2, columnspacing=1.2,
        )  # fmt: skip
    later = "hatched: not seen by the layer before that" if np.isfinite(subject.switched_at) else ""
    remark(result, subject.remarks(later, subject.of_layers(layers), _left_out(said)))
    return result


def _alone(subject: Subject) -> bool:
    """Whether each layer acts on its own cluster alone, throughout."""
    return subject.separated and not np.isfinite(subject.switched_at)


def _layer(
    axes: Axes, subject: Subject, layer: int, palette: ListedColormap, left_out: dict[int, int]
) -> bool:
    """Draw one layer; return whether a point shown is ever pinned, and note how many of how many are shown."""
    run = subject.run
    switched = subject.switched_at
    alone = _alone(subject)
    members = np.flatnonzero(run.cluster == layer) if alone else np.arange(run.n_points)
    found = changes(run, layer, members, switched)
    cluster = run.cluster[members]
    order = np.lexsort((-found.amount(subject.timeline.end), found.first_truncated(), cluster))
    rows = order[
        np.unique(np.linspace(0, max(members.size - 1, 0), min(members.size, ROWS)).round().astype(int))
    ]
    times = subject.timeline.grid(COLUMNS + 1)
    counts, held = found.at(0.5 * (times[1:] + times[:-1]), rows)
    picture = palette(np.clip(counts, 0, palette.N - 1))
    picture[held] = mpl.colors.to_rgba(PINNED)
    if np.isfinite(switched) and subject.separated:
        unseen = (cluster[rows] != layer)[:, None] & (times[:-1] < switched)
        picture[unseen] = (1.0, 1.0, 1.0, 0.0)
        axes.patch.set(facecolor="white", edgecolor=PALE, hatch="////", linewidth=0.0)
    if rows.size:
        axes.imshow(
            picture, extent=(0.0, 1.0, 0.0, 1.0), transform=axes.transAxes, aspect="auto", interpolation="nearest",
            resample=False,
        )  # fmt: skip
    _rows(axes, subject, cluster[order])
    title = f"layer {layer}"
    axes.set_title(f"{title} on {subject.names[layer]}" if alone else title)
    if rows.size < members.size:
        left_out[members.size] = rows.size
    return bool(held.any())


def _left_out(shown: dict[int, int]) -> str:
    """Say how many points are shown of how many, from that of each layer."""
    if not shown:
        return ""
    total = max(shown)
    return f"{shown[total]:,} of {'up to ' if len(shown) > 1 else ''}{total:,} points, evenly along the order"


def _rows(axes: Axes, subject: Subject, cluster: IntArray) -> None:
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
