"""The geometry itself at the start, half-way and at the end: points, labels, orthants, and the images of the points.

For Q = 2 the plane as it is, for Q = 3 an orthographic view, beyond a stated projection; for Q = 1 a line for each
cluster. `collapsed` has −β^(ℓ) and where W maps them, `clustered` the images Wx.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.figures.panels import legend_below, remark
from truncflow_cli.report.figures.style import GREY, PALE, WIDTH, color, names_of, new_figure, typeset
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.projection import Projection
from truncflow_cli.report.scene import PINNED, Panel, Scene, Sector, scene_of, shown_points

#: Points of one picture, and layers, at most.
MOST_POINTS = 900
MOST_LAYERS = 4
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
#: Letters of a cluster's name, and of a title that leave room for the time in the same line; height of a line more.
LONGEST_NAME = 16
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
#: Edges of S_ℓ⁺ are drawn up to so many dimensions; of more, the apex alone.
MOST_EDGES = 12
#: Length of an edge in three dimensions, relative to the extent of the page, where no point lies further out.
SHORTEST = 0.3
#: The part of that length that the edges of S_ℓ⁻ have.
OPPOSITE = 0.45

#: Colour of an orthant that all clusters meet, how faintly it is filled, and the edges of the opposite one.
ALL = "#444444"
FILL = 0.09
DASHED: Any = (0, (3, 2))


@dataclass(frozen=True)
class Window:
    """The part of the page that a row of panels shows.

    ``center`` (2,), ``half`` (2,) of its width and height, and ``shape``: height of a panel over its width.
    """

    center: Array
    half: Array
    shape: float

    def apply(self, axes: Axes) -> None:
        """Set the limits of a panel."""
        low, high = self.center - self.half, self.center + self.half
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes.set_box_aspect(self.shape)


def scene_for(subject: Subject, most_layers: int = MOST_LAYERS) -> Scene | None:
    """Return the geometry of a run as far as a picture has room for it."""
    layers = subject.busiest_layers(most_layers) if subject.layered else np.empty(0, np.int64)
    return scene_of(subject.run, shown_points(subject.run, MOST_POINTS), layers)


def figure(subject: Subject) -> Figure | None:
    """Draw a row for each layer and a column for each time; nothing if there is nothing to place."""
    scene = scene_for(subject)
    if scene is None:
        return None
    times = chosen_times(subject)
    views = [scene.panels(int(t)) for t in times]
    rows = len(views[0])
    shown = windows(scene, views)
    solid = scene.projection.dim > 2
    side = shown[0].shape * min(WIDTH / times.size - 0.15, WIDEST)
    titles = [_title(subject, panel, time_text(subject, int(times[0]))) for panel in views[0]]
    around = rows * AROUND[solid] + TITLE_LINE * sum("\n" in title for title in titles)
    result = new_figure(rows * side + around + LEGEND + (0.0 if solid else AXIS_NAME))
    axes = result.subplots(rows, times.size, squeeze=False)
    for column, t in enumerate(times):
        for row, panel in enumerate(views[column]):
            draw_panel(axes[row, column], panel, scene, shown[row])
            axes[row, column].set_title(time_text(subject, int(t)) if column else titles[row])
            outer(axes[row, column], scene, first=column == 0, last=row == rows - 1)
    if scene.projection.dim == 3:
        draw_axes(axes[-1, 0], views[0][-1], scene, shown[-1])
    legend_below(result, marks(subject, views, scene))
    remark(result, subject.remarks(*said(subject, scene)))
    return result


def chosen_times(subject: Subject) -> IntArray:
    """Return the saved times shown: the start, when the loss has fallen half of its way, and the end.

    If that is no time in between: when half of the events have happened.
    """
    run = subject.run
    last = run.s.size - 1
    middle = int(np.argmax(run.loss <= 0.5 * (run.loss[0] + run.loss[-1])))
    if not 0 < middle < last and run.events.size:
        middle = int(np.searchsorted(run.s, np.median(run.events["s"])))
    return np.unique(np.clip([0, middle, last], 0, last))


def time_text(subject: Subject, t: int) -> str:
    """Return "s = 0.12"."""
    return f"$s$ = {typeset(float(subject.run.s[t]))}"


def said(subject: Subject, scene: Scene) -> list[str]:
    """Return what the reader has to know: the projection, and what is left out."""
    run, points = subject.run, scene.points.size
    return [
        scene.projection.text,
        "above: points, below: their images" if subject.layered and run.dim == 1 else "",
        f"{points:,} of {run.n_points:,} points" if points < run.n_points else "",
        subject.of_layers(scene.layers) if subject.layered else "",
    ]


def title_of(subject: Subject, panel: Panel) -> str:
    """Return which layer a panel shows, and whom it acts on."""
    if not panel.sectors:
        return ""
    (sector,) = panel.sectors
    on = f" on {names_of(subject.run, LONGEST_NAME)[sector.cluster]}" if sector.cluster >= 0 else ""
    return f"layer {sector.layer}{on}"


def _title(subject: Subject, panel: Panel, when: str) -> str:
    """Return what stands above the first panel of a row, in two lines if it is long."""
    title = title_of(subject, panel)
    return f"{title}{': ' if len(title) <= LONGEST_TITLE else chr(10)}{when}" if title else when


def windows(scene: Scene, views: Sequence[Sequence[Panel]]) -> list[Window]:
    """Return what each row of panels has to show over all its times, all of one shape."""
    boxes = []
    for row in zip(*views, strict=True):
        placed = np.concatenate([_placed(panel, scene) for panel in row])
        low, high = placed.min(axis=0), placed.max(axis=0)
        reach = NEAR * max(float((high - low).max()), 1e-300)
        for sector in (each for panel in row for each in panel.sectors if scene.projection.dim > 1):
            apex = scene.projection.on_page(-sector.beta[None])[0]
            if (apex > low - reach).all() and (apex < high + reach).all():
                low, high = np.minimum(low, apex), np.maximum(high, apex)
        boxes.append((0.5 * (low + high), 0.56 * (high - low)))
    if scene.projection.dim == 1:
        return [Window(at, np.array([half[0] or 1.0, half[1] + 3.0 * LEVEL]), FLAT) for at, half in boxes]
    shape = np.max([half / max(half.max(), 1e-300) for _, half in boxes], axis=0)
    ratio = float(np.clip(shape[1] / max(shape[0], 1e-9), 0.65, 1.15))
    sides = np.array([1.0, ratio])
    return [Window(at, (float((half / sides).max()) or 1.0) * sides, ratio) for at, half in boxes]


def _placed(panel: Panel, scene: Scene) -> Array:
    points = np.concatenate([panel.before, panel.after, panel.labels, panel.others])
    clusters = (panel.cluster, panel.cluster, panel.labels_cluster, panel.others_cluster)
    return scene.projection.on_page(points, np.concatenate(clusters))


def draw_panel(axes: Axes, panel: Panel, scene: Scene, window: Window) -> None:
    """Draw one panel: sectors, other points, points that are moved and the images of all, labels."""
    place = scene.projection
    window.apply(axes)
    for sector in panel.sectors:
        reach = np.concatenate([panel.before, panel.after, panel.labels])
        _draw_sector(axes, sector, place, reach, 2.0 * float(np.linalg.norm(window.half)))
    others = place.on_page(panel.others, panel.others_cluster, LEVEL)
    dense = len(panel.before) + len(others) > DENSE
    tints = np.array([color(int(k)) for k in panel.others_cluster])
    if len(others):
        axes.scatter(*others.T, s=2.5, c=tints, alpha=FAINT, linewidths=0.0, rasterized=dense)
    before = place.on_page(panel.before, panel.cluster, LEVEL)
    after = place.on_page(panel.after, panel.cluster, -LEVEL)
    for k in np.unique(panel.cluster):
        mine = panel.cluster == k
        pinned = panel.kind == PINNED
        for moved, width in ((mine & panel.moved & ~pinned, 0.6), (mine & pinned, 1.5)):
            _moves(axes, before[moved], after[moved], width, color(int(k)), dense)
        axes.scatter(*after[mine].T, s=7.0, color=color(int(k)), linewidths=0.0, rasterized=dense, zorder=2.5)
    for label, k in zip(place.on_page(panel.labels, panel.labels_cluster), panel.labels_cluster, strict=True):
        axes.scatter(
            *label, s=75.0, marker="*", color=color(int(k)), edgecolors="black", linewidths=0.5, zorder=3.0
        )


def _moves(axes: Axes, before: Array, after: Array, width: float, tint: str, dense: bool) -> None:
    """Draw truncated points hollow, each with a thin line to its image: (m, 2) both."""
    if not len(before):
        return
    lines = np.stack([before, after, np.full_like(before, np.nan)], axis=1).reshape(-1, 2)
    alpha = float(np.clip(MANY / len(before), FAINTEST, 0.5))
    axes.plot(*lines.T, color=tint, linewidth=0.4, alpha=alpha, rasterized=dense)
    axes.scatter(*before.T, s=10.0, facecolors="white", edgecolors=tint, linewidths=width, rasterized=dense)


def _draw_sector(axes: Axes, sector: Sector, place: Projection, points: Array, extent: float) -> None:
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
    ends = (min(apex, high), high) if direction > 0.0 else (low, max(apex, low))
    axes.axvspan(*ends, color=tint, alpha=FILL, linewidth=0.0)


def _sector(axes: Axes, apex: Array, edges: Array, length: float, tint: str) -> None:
    first, second = apex + length * edges
    corners = np.array([first, apex, second, second + length * edges[0]])
    axes.fill(*corners.T, color=tint, alpha=FILL, linewidth=0.0)
    axes.plot(*corners[:3].T, color=tint, linewidth=1.2)
    axes.plot(*(2.0 * apex - corners[:3]).T, color=tint, linewidth=0.9, linestyle=DASHED)


def _corner(axes: Axes, apex: Array, edges: Array, length: Array, extent: float, tint: str) -> None:
    """Draw the three faces, edges (3, 2) of some length (3,): S_ℓ⁺ as the corner of a box."""
    full = edges * length[:, None]
    for a, b in ((0, 1), (1, 2), (2, 0)):
        corners = apex + np.array([np.zeros(2), full[a], full[a] + full[b], full[b]])
        axes.fill(*corners.T, color=tint, alpha=FILL, linewidth=0.0)
        axes.plot(*corners[1:].T, color=tint, linewidth=0.4, alpha=0.6)
    for edge, end in zip(edges, full, strict=True):
        axes.plot(*np.array([apex, apex + end]).T, color=tint, linewidth=1.2)
        back = apex - edge * OPPOSITE * SHORTEST * extent
        axes.plot(*np.array([apex, back]).T, color=tint, linewidth=0.9, linestyle=DASHED)


def outer(axes: Axes, scene: Scene, *, first: bool, last: bool) -> None:
    """Leave numbers on the first panel's y axis only, and none where they would mean nothing; name the axes."""
    dim, name = scene.projection.dim, scene.axis
    axes.spines[["top", "right"]].set_visible(True)
    axes.spines[:].set(color=PALE)
    if dim > 2:
        axes.set(xticks=[], yticks=[])
        return
    axes.locator_params(nbins=5)
    axes.tick_params(color=PALE, labelleft=first)
    if last:
        axes.set_xlabel(f"${name}$" if dim == 1 else f"${name}_1$", labelpad=1.0)
    if dim == 1:
        axes.set_yticks([])
    elif first:
        axes.set_ylabel(f"${name}_2$", labelpad=1.0)


def draw_axes(axes: Axes, panel: Panel, scene: Scene, window: Window) -> None:
    """Draw the three directions of the space in the corner that has the fewest points."""
    where = (_placed(panel, scene) - window.center) / window.half
    corners = [np.array(corner) for corner in ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))]
    corner = min(corners, key=lambda each: np.count_nonzero((where * each > 0.35).all(axis=1)))
    shape = np.array([1.0, 1.0 / window.shape])
    origin = 0.5 + corner * (0.5 - 0.17 * shape)
    for r, direction in enumerate(scene.projection.plane.T):
        tip, beyond = origin + 0.08 * direction * shape, origin + 0.12 * direction * shape
        axes.plot(*np.array([origin, tip]).T, transform=axes.transAxes, color=GREY, linewidth=0.8)
        axes.text(
            *beyond, f"${scene.direction}_{r + 1}$", transform=axes.transAxes, ha="center", va="center", size=7.0,
            color=GREY, in_layout=False,
        )  # fmt: skip


def marks(subject: Subject, views: Sequence[Sequence[Panel]], scene: Scene) -> list[Line2D]:
    """Return the legend of what is drawn."""
    first, every = views[0][0], [panel for column in views for panel in column]
    dot: dict[str, Any] = {"linestyle": "none", "color": GREY, "marker": "o"}
    hollow = {**dot, "markersize": 4.0, "markerfacecolor": "white"}
    apex = {"color": GREY, "marker": "o", "markersize": 4.0}
    dashed = {"color": GREY, "linestyle": DASHED, "linewidth": 0.9}
    pinned = any((panel.kind == PINNED).any() for panel in every)
    clusters = np.unique(np.concatenate([first.cluster, first.others_cluster]))
    if not 1 < clusters.size <= 6:
        clusters = clusters[:0]
    entries: list[tuple[bool, str, dict[str, Any]]] = [
        (bool(scene.moved), scene.moved, hollow),
        (pinned, "pinned point", {**hollow, "markeredgewidth": 2.0}),
        (True, scene.mapped, {**dot, "markersize": 3.0}),
        (True, scene.label, {**dot, "marker": "*", "markersize": 9.0, "markeredgecolor": "black"}),
        (len(first.others) > 0, scene.foreign, {**dot, "markersize": 2.0, "alpha": 0.6}),
        (bool(first.sectors), r"$-\beta^{(\ell)}$ and $S_\ell^+$", apex),
        (bool(first.sectors) and 2 <= scene.projection.dim <= 3, r"$S_\ell^-$", dashed),
    ]
    square = {**dot, "marker": "s", "markersize": 5.0}
    entries += [(True, subject.names[k], {**square, "color": color(int(k))}) for k in clusters]
    return [Line2D([], [], label=label, **how) for shown, label, how in entries if shown]
