"""The truncation raster: for each layer, how many coordinates of each point are truncated, against s."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from truncflow_cli.model.problem import IntArray
from truncflow_cli.report.figures.panels import remark
from truncflow_cli.report.figures.patterns import changes
from truncflow_cli.report.figures.style import PALE, color, new_figure
from truncflow_cli.report.figures.subject import Subject

#: Columns and rows of the picture at most.
COLUMNS = 900
ROWS = 600
#: Layers shown at most.
MOST_LAYERS = 6
#: Colour of a point that is held on a face.
PINNED = "#D55E00"


def figure(subject: Subject) -> Figure | None:
    """Draw a panel for each layer; nothing if no data pass layers that move."""
    if not subject.layered or not subject.run.n_points:
        return None
    layers = subject.busiest_layers(MOST_LAYERS)
    height = 2.6 if layers.size == 1 else 1.75
    result = new_figure(0.75 + height * layers.size)
    panels = result.subplots(layers.size, 1, sharex=True, squeeze=False)[:, 0]
    dim = subject.run.dim
    cut = mpl.colormaps["Blues"](np.linspace(0.32, 0.95, dim)) if dim > 1 else mpl.colormaps["Blues"]([0.75])
    palette = ListedColormap([(0.96, 0.96, 0.96, 1.0), *cut])
    pinned, said = False, []
    for panel, layer in zip(panels, layers, strict=True):
        some, shown = _layer(panel, subject, int(layer), palette)
        pinned |= some
        said.append(shown)
        subject.timeline.apply(panel, label=layer == layers[-1])
    result.supylabel("points, sorted by the time of their first truncation", fontsize=9.0)
    norm = BoundaryNorm(np.arange(dim + 2) - 0.5, palette.N)
    bar = result.colorbar(
        mpl.cm.ScalarMappable(norm, palette), ax=list(panels), aspect=30, pad=0.015, shrink=0.9
    )
    bar.set_label("coordinates $r$ with $z_r \\leq 0$")
    bar.ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    bar.ax.minorticks_off()
    bar.outline.set_linewidth(0.5)
    if pinned:
        handle = Patch(color=PINNED, label="held on a face (pinned)")
        panels[0].legend(handles=[handle], loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.1)
    later = "white: not seen by the layer before that" if np.isfinite(subject.switched_at) else ""
    remark(result, subject.remarks(later, subject.of_layers(layers), *dict.fromkeys(said)))
    return result


def _layer(axes: Axes, subject: Subject, layer: int, palette: ListedColormap) -> tuple[bool, str]:
    """Draw one layer; return whether a point shown is ever pinned, and what is left out."""
    run = subject.run
    switched = subject.switched_at
    alone = subject.separated and not np.isfinite(switched)
    members = np.flatnonzero(run.cluster == layer) if alone else np.arange(run.n_points)
    found = changes(run, layer, members, switched)
    cluster = run.cluster[members]
    order = np.lexsort((-found.amount(float(run.s[-1])), found.first_truncated(), cluster))
    rows = order[
        np.unique(np.linspace(0, max(members.size - 1, 0), min(members.size, ROWS)).round().astype(int))
    ]
    times = subject.timeline.grid(COLUMNS + 1)
    counts, held = found.at(0.5 * (times[1:] + times[:-1]), rows)
    picture = palette(np.clip(counts, 0, palette.N - 1))
    picture[held] = mpl.colors.to_rgba(PINNED)
    if np.isfinite(switched) and subject.separated:
        unseen = (cluster[rows] != layer)[:, None] & (times[:-1] < switched)
        picture[unseen] = mpl.colors.to_rgba("white")
    if rows.size:
        axes.imshow(
            picture, extent=(0.0, 1.0, 0.0, 1.0), transform=axes.transAxes, aspect="auto", interpolation="nearest",
            resample=False,
        )  # fmt: skip
    _rows(axes, subject, cluster[order])
    title = f"layer {layer}"
    axes.set_title(f"{title} on {subject.names[layer]}" if alone else title)
    return bool(held.any()), _left_out(members.size, rows.size)


def _left_out(total: int, shown: int) -> str:
    return f"{shown:,} of {total:,} points, evenly along the order" if shown < total else ""


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
        if first > 0:
            axes.axhline(first, color=PALE, linewidth=0.6)
