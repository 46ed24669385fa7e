"""The geometry itself at the start, half-way and at the end: points, labels, orthants, and the images of the points.

For Q = 2 the plane as it is, for Q = 3 an orthographic view, beyond a stated projection; for Q = 1 a line for each
cluster. `collapsed` has −β^(ℓ) and where W maps them, `clustered` the images Wx.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.figures.panels import legend_below, remark
from truncflow_cli.report.figures.scene import Stage, View, chosen_times, time_text
from truncflow_cli.report.figures.sectors import draw_orthant
from truncflow_cli.report.figures.style import GREY, PALE, WIDTH, color, new_figure
from truncflow_cli.report.figures.subject import Subject

#: More points than this become a picture inside a vector file.
DENSE = 500
#: The more lines from points to their images, the fainter, from so many on.
MANY = 30.0
FAINTEST = 0.12
#: Marks of points that are there for orientation.
FAINT = 0.35
#: Room for the legend, and around each panel for its title, with numbers and without, in inches.
LEGEND = 0.75
AROUND = (0.42, 0.28)
#: Room for the name of the axis below the last row.
AXIS_NAME = 0.16
#: Letters of a title that leave room for the time in the same line, and the height of a line more, in inches.
LONGEST_TITLE = 22
TITLE_LINE = 0.15
#: Width of a panel at most.
WIDEST = 3.2
#: Height over width of a panel for Q = 1.
FLAT = 0.55
#: For Q = 1: how far the points lie above their line, and the images below.
LEVEL = 0.18
#: An apex is shown if it lies within this share of the points' extent around them.
NEAR = 0.6


@dataclass(frozen=True)
class Window:
    """The part of the page that a row of panels shows.

    Attributes:
        center: (2,) its centre.
        half: (2,) half of its width and height.
        shape: height of a panel over its width.
    """

    center: Array
    half: Array
    shape: float

    def apply(self, axes: Axes) -> None:
        """Set the limits of a panel."""
        low, high = self.center - self.half, self.center + self.half
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes.set_box_aspect(self.shape)


def figure(subject: Subject) -> Figure | None:
    """Draw a row for each layer and a column for each time; nothing if there is nothing to place."""
    times = chosen_times(subject)
    if not subject.layered and subject.run.W is None:
        return None
    stage = Stage(subject, times)
    views = [stage.views(int(t)) for t in times]
    rows = len(views[0])
    frames = windows(stage, views)
    side = frames[0].shape * min(WIDTH / times.size - 0.15, WIDEST)
    solid = stage.projection.dim > 2
    titles = [_title(view, time_text(subject, int(times[0]))) for view in views[0]]
    around = rows * AROUND[solid] + TITLE_LINE * sum("\n" in title for title in titles)
    result = new_figure(rows * side + around + LEGEND + (0.0 if solid else AXIS_NAME))
    panels = result.subplots(rows, times.size, squeeze=False)
    for column, t in enumerate(times):
        for row, view in enumerate(views[column]):
            panel = panels[row, column]
            draw_view(panel, view, stage, frames[row])
            panel.set_title(time_text(subject, int(t)) if column else titles[row])
            outer(panel, stage, first=column == 0, last=row == rows - 1)
    if stage.projection.dim == 3:
        draw_axes(panels[-1, 0], views[0][-1], stage, frames[-1])
    legend_below(result, marks(views[0][0], stage))
    remark(result, subject.remarks(*stage.said()))
    return result


def _title(view: View, when: str) -> str:
    """Return what stands above the first panel of a row, in two lines if it is long."""
    if not view.title:
        return when
    between = ": " if len(view.title) <= LONGEST_TITLE else "\n"
    return f"{view.title}{between}{when}"


def windows(stage: Stage, views: list[list[View]]) -> list[Window]:
    """Return what each row of panels has to show over all its times, all of one shape."""
    boxes = []
    for row in range(len(views[0])):
        placed = np.concatenate([_placed(each[row], stage) for each in views])
        low, high = placed.min(axis=0), placed.max(axis=0)
        reach = NEAR * max(float((high - low).max()), 1e-300)
        for each in views:
            orthant = each[row].orthant
            apex = None if orthant is None else stage.projection(-orthant.beta[None])[0]
            if (
                apex is not None
                and stage.projection.dim > 1
                and (apex > low - reach).all()
                and (apex < high + reach).all()
            ):
                low, high = np.minimum(low, apex), np.maximum(high, apex)
        boxes.append((0.5 * (low + high), 0.56 * (high - low)))
    shape = np.max([half / max(half.max(), 1e-300) for _, half in boxes], axis=0)
    if stage.projection.dim == 1:
        return [
            Window(center, np.array([half[0] or 1.0, half[1] + 3.0 * LEVEL]), FLAT) for center, half in boxes
        ]
    return [
        _window(center, half, float(np.clip(shape[1] / max(shape[0], 1e-9), 0.65, 1.15)))
        for center, half in boxes
    ]


def _window(center: Array, half: Array, ratio: float) -> Window:
    width = max(float(half[0]), float(half[1]) / ratio) or 1.0
    return Window(center, np.array([width, width * ratio]), ratio)


def _placed(view: View, stage: Stage) -> Array:
    parts = ((view.arriving, view.cluster), (view.image, view.cluster), (view.labels, view.labels_cluster))
    return np.concatenate([stage.projection(a, c) for a, c in (*parts, (view.others, view.others_cluster))])


def draw_view(axes: Axes, view: View, stage: Stage, window: Window) -> None:
    """Draw one panel: orthant, other points, points that are moved and the images of all, labels."""
    place = stage.projection
    window.apply(axes)
    if view.orthant is not None:
        reach = np.concatenate([view.arriving, view.image, view.labels])
        draw_orthant(axes, view.orthant, place, reach, 2.0 * float(np.linalg.norm(window.half)))
    others = place(view.others, view.others_cluster, LEVEL)
    dense = len(view.arriving) + len(others) > DENSE
    tints = np.array([color(int(k)) for k in view.others_cluster])
    if len(others):
        axes.scatter(*others.T, s=2.5, c=tints, alpha=FAINT, linewidths=0.0, rasterized=dense)
    before = place(view.arriving, view.cluster, LEVEL)
    after = place(view.image, view.cluster, -LEVEL)
    for k in np.unique(view.cluster):
        mine = view.cluster == k
        _moves(axes, before[mine & view.cut], after[mine & view.cut], color(int(k)), dense)
        axes.scatter(*after[mine].T, s=7.0, color=color(int(k)), linewidths=0.0, rasterized=dense, zorder=2.5)
    for label, k in zip(place(view.labels, view.labels_cluster), view.labels_cluster, strict=True):
        axes.scatter(
            *label, s=75.0, marker="*", color=color(int(k)), edgecolors="black", linewidths=0.5, zorder=3.0
        )


def _moves(axes: Axes, before: Array, after: Array, tint: str, dense: bool) -> None:
    """Draw truncated points hollow, each with a thin line to its image: (m, 2) both."""
    if not len(before):
        return
    lines = np.stack([before, after, np.full_like(before, np.nan)], axis=1).reshape(-1, 2)
    alpha = float(np.clip(MANY / len(before), FAINTEST, 0.5))
    axes.plot(*lines.T, color=tint, linewidth=0.4, alpha=alpha, rasterized=dense)
    axes.scatter(*before.T, s=10.0, facecolors="white", edgecolors=tint, linewidths=0.6, rasterized=dense)


def outer(axes: Axes, stage: Stage, *, first: bool, last: bool) -> None:
    """Leave numbers on the first panel's y axis only, and none where they would mean nothing; name the axes."""
    dim = stage.projection.dim
    axes.spines[["top", "right"]].set_visible(True)
    axes.spines[:].set(color=PALE)
    if dim > 2:
        axes.set(xticks=[], yticks=[])
        return
    axes.locator_params(nbins=5)
    axes.tick_params(color=PALE, labelleft=first)
    name = "(Wx)" if stage.subject.run.flow == "clustered" else "x"
    if last:
        axes.set_xlabel(f"${name}$" if dim == 1 else f"${name}_1$", labelpad=1.0)
    if dim == 1:
        axes.set_yticks([])
    elif first:
        axes.set_ylabel(f"${name}_2$", labelpad=1.0)


def draw_axes(axes: Axes, view: View, stage: Stage, window: Window) -> None:
    """Draw the three directions of the space in the corner that has the fewest points."""
    where = (_placed(view, stage) - window.center) / window.half
    corners = [np.array(corner) for corner in ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))]
    corner = min(corners, key=lambda each: np.count_nonzero((where * each > 0.35).all(axis=1)))
    shape = np.array([1.0, 1.0 / window.shape])
    name = "e" if stage.subject.run.flow == "clustered" else "x"
    origin = 0.5 + corner * (0.5 - 0.17 * shape)
    for r, direction in enumerate(stage.projection.matrix.T):
        tip, beyond = origin + 0.08 * direction * shape, origin + 0.12 * direction * shape
        axes.plot(*np.array([origin, tip]).T, transform=axes.transAxes, color=GREY, linewidth=0.8)
        axes.text(
            *beyond, f"${name}_{r + 1}$", transform=axes.transAxes, ha="center", va="center", size=7.0,
            color=GREY, in_layout=False,
        )  # fmt: skip


def marks(view: View, stage: Stage) -> list[Line2D | Patch]:
    """Return the legend of what is drawn."""
    dot = {"linestyle": "none", "color": GREY}
    hollow, mapped = "truncated point", "image of a point"
    flow = stage.subject.run.flow
    if flow == "collapsed":
        hollow, mapped = r"$-\beta^{(\ell)}$", r"$-W\beta^{(\ell)}$"
    if flow == "clustered":
        mapped = "$Wx$"
    found: list[Line2D | Patch] = [Line2D([], [], marker="o", markersize=3.0, label=mapped, **dot)]
    if flow != "clustered":
        found.insert(
            0, Line2D([], [], marker="o", markersize=4.0, markerfacecolor="white", label=hollow, **dot)
        )
    label = "label $y_j$" if view.orthant is None else r"label $\tilde y_j$"
    found.append(Line2D([], [], marker="*", markersize=9.0, markeredgecolor="black", label=label, **dot))
    if len(view.others):
        others = "data $x$" if flow == "collapsed" else "points of other clusters"
        found.append(Line2D([], [], marker="o", markersize=2.0, alpha=0.6, label=others, **dot))
    if view.orthant is not None:
        found.append(
            Line2D([], [], color=GREY, marker="o", markersize=4.0, label=r"$-\beta^{(\ell)}$ and $S_\ell^+$")
        )
        if 2 <= stage.projection.dim <= 3:
            found.append(
                Line2D([], [], color=GREY, linestyle=(0, (3, 2)), linewidth=0.9, label=r"$S_\ell^-$")
            )
    clusters: IntArray = np.unique(np.concatenate([view.cluster, view.others_cluster]))
    if 1 < clusters.size <= 6:
        found += [
            Line2D(
                [],
                [],
                linestyle="none",
                marker="s",
                markersize=5.0,
                color=color(int(k)),
                label=stage.subject.names[k],
            )
            for k in clusters
        ]
    return found
