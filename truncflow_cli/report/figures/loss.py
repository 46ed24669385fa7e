"""The loss of each cluster along s, the bound that a theorem gives, and a tick for each event."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from truncflow_cli.events import EventLog, Kind
from truncflow_cli.problem import Array
from truncflow_cli.report.figures.panels import curve, stacked, suit
from truncflow_cli.report.figures.style import BOUND, GREY, color, look
from truncflow_cli.report.figures.subject import Subject

#: Ticks closer together than this share of the axis are one tick.
FINEST = 1.0 / 1500.0
#: More ticks in a lane than this are a picture inside a vector file.
DENSE = 400
#: With more clusters than this their ticks share a lane, in black.
MOST_LANES = 6
#: Height of a row of ticks, in inches.
ROW = 0.24


def figure(subject: Subject) -> Figure:
    """Draw the loss; below it, a row for each kind of event that happened."""
    events, draws = subject.run.events, [partial(_loss, subject=subject)]
    if not events.size:
        return stacked(subject.timeline, 2.9, draws, said=subject.remarks())
    each = {kind.name.lower().replace("_", " "): events[events["kind"] == kind] for kind in Kind}
    kinds = {name: mine for name, mine in each.items() if mine.size}
    draws.append(partial(draw_ticks, subject=subject, rows=kinds))
    height = ROW * len(kinds)
    return stacked(subject.timeline, 3.15 + height, draws, (2.4, height), said=subject.remarks())


def _loss(axes: Axes, subject: Subject) -> str:
    shown = draw_curves(axes, subject)
    return suit(axes, shown, r"loss $\mathcal{C}$", named=len(shown) > 1)


def draw_curves(axes: Axes, subject: Subject) -> list[Array]:
    """Draw the sum, each cluster's part, and the bound (8.27); return what the axis has to show."""
    run = subject.run
    shown = [run.loss]
    several = run.n_clusters > 1
    label = r"$\mathcal{C}$, the sum" if several else r"$\mathcal{C}$"
    curve(axes, run.s, run.loss, color="black", linewidth=1.7, label=label, zorder=1.9)
    certificate = subject.run.certificates.get("loss_bound")
    if certificate is not None and "bound" in certificate.series:
        shown.append(certificate.series["bound"])
        label = r"$e^{-2\lambda_0 s}\,\mathcal{C}(0)$, (8.27)"
        curve(axes, run.s, shown[-1], color=GREY, linestyle=BOUND, label=label)
    if several:
        for k in range(run.n_clusters):
            shown.append(run.loss_cluster[:, k])
            curve(axes, run.s, shown[-1], label=subject.names[k], **look(k))
    return shown


def draw_ticks(axes: Axes, subject: Subject, rows: Mapping[str, EventLog]) -> str:
    """Draw a row of ticks for some events, under their name, and in it a lane for each cluster."""
    clusters, across = subject.run.n_clusters, axes.get_yaxis_transform()
    lanes = clusters if clusters <= MOST_LANES else 1
    for row, mine in enumerate(rows.values()):
        for k in np.unique(mine["cluster"]) if lanes > 1 else [-1]:
            times = mine["s"][mine["cluster"] == k] if lanes > 1 else mine["s"]
            place = np.unique(np.round(subject.timeline.positions(times) / FINEST)) * FINEST
            top, height = (k / lanes, 1.0 / lanes) if k >= 0 else (0.0, 1.0)
            ticks = np.empty((place.size, 2, 2))
            ticks[:, :, 0] = place[:, None]
            ticks[:, :, 1] = row + 0.12 + 0.76 * top, row + 0.12 + 0.76 * (top + height)
            how = {"colors": color(int(k)) if k >= 0 else "black", "rasterized": place.size > DENSE}
            lines = LineCollection(list(ticks), linewidths=0.8, transform=across, clip_on=False, **how)
            axes.add_collection(lines, autolim=False)
        axes.text(1.01, row + 0.5, f"{mine.size:,}", transform=across, va="center", size=7.5)
    axes.set(ylim=(len(rows), 0.0), yticks=np.arange(len(rows)) + 0.5)
    axes.set_yticklabels(list(rows))
    axes.tick_params(axis="y", length=0.0)
    axes.spines["left"].set_visible(False)
    return ""
