"""The fraction of the points that each layer truncates in each coordinate of its frame, along s, event by event."""

from __future__ import annotations

from functools import partial

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from truncflow_cli.problem import Array
from truncflow_cli.report.figures.panels import legend, stacked
from truncflow_cli.report.figures.patterns import changes
from truncflow_cli.report.figures.style import DASHES, shades
from truncflow_cli.report.figures.subject import Subject

NAME = r"truncated fraction, mean of $1 - h(z_r)$"
#: Layers shown at most.
MOST_LAYERS = 6
#: With more coordinates than this they are rows of a picture instead of lines.
MOST_LINES = 6
#: Times along the axis at which a line may step, and columns of such a picture.
STEPS = 2000
COLUMNS = 600


def figure(subject: Subject) -> Figure | None:
    """Draw a panel for each layer; nothing if the run has no truncated fractions."""
    if subject.run.truncated_fraction is None or not subject.run.n_points or not subject.layered:
        return None
    layers = subject.busiest_layers(MOST_LAYERS)
    lines = subject.run.dim <= MOST_LINES
    later = "of the layer's own cluster before that, of all points after"
    said = (later if subject.separated and not subject.alone else "", subject.of_layers(layers))
    draws = [partial(_layer, subject=subject, layer=int(layer)) for layer in layers]
    result = stacked(subject, 0.7 + (2.2 if layers.size == 1 else 1.45) * layers.size, draws, said=said)
    if lines:
        legend(result.axes[0])
        result.supylabel(NAME, fontsize=9.0)
    else:
        color_map = mpl.cm.ScalarMappable(mpl.colors.Normalize(0.0, 1.0), "cividis")
        result.colorbar(color_map, ax=list(result.axes), aspect=30, pad=0.015).set_label(NAME)
    return result


def _layer(axes: Axes, subject: Subject, layer: int) -> str:
    lines = subject.run.dim <= MOST_LINES
    times = subject.timeline.grid(STEPS if lines else COLUMNS)
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


def _lines(axes: Axes, times: Array, fraction: Array) -> None:
    dim = fraction.shape[1]
    for r, shade in enumerate(shades(dim)):
        axes.plot(
            times, fraction[:, r], color=shade, linestyle=DASHES[r % len(DASHES)], drawstyle="steps-post",
            solid_capstyle="butt", label=f"$r = {r}$", clip_on=False, zorder=2.0 + r,
        )  # fmt: skip
    axes.set(ylim=(0.0, 1.0), yticks=(0.0, 0.5, 1.0))


def _picture(axes: Axes, times: Array, fraction: Array) -> None:
    axes.imshow(
        fraction.T, extent=(0.0, 1.0, 0.0, 1.0), transform=axes.transAxes, aspect="auto", cmap="cividis",
        vmin=0.0, vmax=1.0, interpolation="nearest",
    )  # fmt: skip
    axes.set(ylim=(fraction.shape[1] - 0.5, -0.5), ylabel="$r$")
    axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=True))
