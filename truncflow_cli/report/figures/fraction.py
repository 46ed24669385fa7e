"""The fraction of the points that each layer truncates in each coordinate of its frame, along s."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from truncflow_cli.model.problem import Array
from truncflow_cli.report.figures.panels import curve, legend, remark
from truncflow_cli.report.figures.style import DASHES, new_figure, shades
from truncflow_cli.report.figures.subject import Subject

#: Layers shown at most.
MOST_LAYERS = 6
#: With more coordinates than this they are rows of a picture instead of lines.
MOST_LINES = 6
#: Columns of such a picture.
COLUMNS = 600


def figure(subject: Subject) -> Figure | None:
    """Draw a panel for each layer; nothing if the run has no truncated fractions."""
    fraction = subject.run.truncated_fraction
    if fraction is None or not subject.run.n_points or not subject.layered:
        return None
    layers = subject.busiest_layers(MOST_LAYERS)
    lines = subject.run.dim <= MOST_LINES
    result = new_figure(0.7 + (2.2 if layers.size == 1 else 1.45) * layers.size)
    panels = result.subplots(layers.size, 1, sharex=True, squeeze=False)[:, 0]
    for panel, layer in zip(panels, layers, strict=True):
        draw = _lines if lines else _picture
        draw(panel, subject, fraction[:, layer])
        alone = subject.separated and not np.isfinite(subject.switched_at)
        panel.set_title(f"layer {layer} on {subject.names[layer]}" if alone else f"layer {layer}")
        subject.timeline.apply(panel, label=layer == layers[-1])
    if lines:
        legend(panels[0])
        result.supylabel(r"truncated fraction, mean of $1 - h(z_r)$", fontsize=9.0)
    else:
        color_map = mpl.cm.ScalarMappable(mpl.colors.Normalize(0.0, 1.0), "cividis")
        result.colorbar(color_map, ax=list(panels), aspect=30, pad=0.015).set_label(
            r"truncated fraction, mean of $1 - h(z_r)$"
        )
    remark(result, subject.remarks(subject.of_layers(layers)))
    return result


def _lines(axes: Axes, subject: Subject, fraction: Array) -> None:
    dim = fraction.shape[1]
    for r, shade in enumerate(shades(dim)):
        curve(
            axes, subject.run.s, fraction[:, r], color=shade, linestyle=DASHES[r % len(DASHES)],
            drawstyle="steps-post", label=f"$r = {r}$", clip_on=False, zorder=2.0 + r,
        )  # fmt: skip
    axes.set(ylim=(0.0, 1.0), yticks=(0.0, 0.5, 1.0))


def _picture(axes: Axes, subject: Subject, fraction: Array) -> None:
    times = subject.timeline.grid(COLUMNS)
    last = np.clip(np.searchsorted(subject.run.s, times, "right") - 1, 0, None)
    axes.imshow(
        fraction[last].T, extent=(0.0, 1.0, 0.0, 1.0), transform=axes.transAxes, aspect="auto", cmap="cividis",
        vmin=0.0, vmax=1.0, interpolation="nearest",
    )  # fmt: skip
    axes.set(ylim=(fraction.shape[1] - 0.5, -0.5), ylabel="$r$")
    axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=True))
