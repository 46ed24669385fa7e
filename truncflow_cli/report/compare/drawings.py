"""The figures of a comparison, drawn with matplotlib in the style of all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import SymmetricalLogLocator

from truncflow_cli.events import Kind
from truncflow_cli.problem import Array
from truncflow_cli.report.compare.compare import Comparison, Member
from truncflow_cli.report.compare.events import Matching
from truncflow_cli.report.figures.panels import curve, legend, remark, value_axis
from truncflow_cli.report.figures.style import (
    GREY,
    LONGEST_NAME,
    as_it_stands,
    color,
    look,
    new_figure,
    typeset,
)
from truncflow_cli.report.figures.timeline import MOST_LABELS, Timeline, settled_at
from truncflow_cli.report.numbers import count
from truncflow_cli.report.sparkline import longest

#: What stands for each kind of event.
MARKERS = "ov^sDPX*d"
#: More dots than this become a picture inside a vector file.
DENSE_DOTS = 2000
#: Distances below this share of the largest are not drawn.
FLOOR = 1e-17
#: Room on a stretched axis between 0 and the first power of ten, relative to that of all of them.
ROOM_FOR_ZERO = 0.16
#: Lanes of event ticks.
MOST_LANES = 12


def losses(members: Sequence[Member], names: Sequence[str]) -> Figure:
    """Draw the losses of all runs over one another, and ticks where each has its events."""
    timeline = _timeline(members)
    ticked = [index for index, member in enumerate(members[:MOST_LANES]) if member.event_times.size]
    height = 0.14 * len(ticked) + 0.08
    figure = new_figure(2.9 + (height + 0.3 if ticked else 0.0))
    upper = lower = None
    if ticked:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.5, height))
        _ticks(lower, timeline, [members[index].event_times for index in ticked], ticked)
        timeline.apply(lower)
        lower.set_ylabel("events", rotation=0, ha="right", va="center")
    else:
        upper = figure.subplots()
    for index, member in enumerate(members):
        how = {**look(index), "linewidth": _width(index)}
        curve(upper, member.s, member.loss, label=_shown(names[index]), **how)
    logarithmic = value_axis(upper, [member.loss for member in members])
    timeline.apply(upper, label=lower is None)
    upper.set_ylabel(r"loss $\mathcal{C}$")
    legend(upper)
    gone = logarithmic and any((member.loss == 0.0).any() for member in members)
    remark(figure, ["zeros are not on the logarithmic axis"] if gone else [])
    return figure


def distances(members: Sequence[Member], comparisons: Sequence[Comparison], names: Sequence[str]) -> Figure:
    """Draw how far each run is from the first: its loss above, its state below.

    One run is compared part by part (a layer each); of several, the whole state is one number: the root of
    the summed squares of the distances of its parts.
    """
    shared = any(len(comparison.differences) > 1 for comparison in comparisons)
    figure = new_figure(4.6 if shared else 2.6)
    panels = figure.subplots(2 if shared else 1, 1, sharex=True, squeeze=False)[:, 0]
    timeline = _common_timeline(members, comparisons)
    drawn: list[list[Array]] = [[] for _ in panels]
    for index, comparison in enumerate(comparisons, start=1):
        s = comparison.times.s
        loss, *parts = comparison.differences
        how = {"label": _shown(names[index]), **look(index), "linewidth": _width(index)}
        _draw(panels[0], s, np.abs(loss.values), drawn[0], **how)
        if len(comparisons) == 1:
            for part in parts:
                dashed = {} if "β" in part.name else {"linestyle": (0, (4, 1.5))}
                _draw(
                    panels[1], s, part.values, drawn[1], label=part.name, **look(max(part.layer, 0)) | dashed
                )
        elif parts:
            whole = np.sqrt(np.sum([part.values**2 for part in parts], axis=0))
            _draw(panels[1], s, whole, drawn[1], **how)
    for axes, values, name in zip(panels, drawn, ("loss", "state"), strict=False):
        _distance_axis(axes, values)
        timeline.apply(axes, label=axes is panels[-1])
        axes.set_ylabel(f"distance in {name}")
        legend(axes)
    said = [f"distance from {_shown(names[0])}", *_missing(comparisons, names, shared=shared)]
    error = max((each.error for comparison in comparisons for each in comparison.differences), default=0.0)
    if error > 0.0:
        said.append(f"interpolated between saved times: below {typeset(error)} it may be the interpolation's")
    remark(figure, said)
    return figure


def _missing(comparisons: Sequence[Comparison], names: Sequence[str], *, shared: bool) -> list[str]:
    """Say which runs have no curve among those of several, and why."""
    if len(comparisons) == 1:
        return []
    said = []
    for comparison, name in zip(comparisons, names[1:], strict=False):
        if not any((each.values > 0.0).any() for each in comparison.differences):
            said.append(f"{_shown(name)}: none at any time")
        elif shared and len(comparison.differences) == 1:
            said.append(f"{_shown(name)}: another kind of state")
    return said


def _distance_axis(axes: Axes, values: Sequence[Array]) -> None:
    """Make the y axis of a panel of distances logarithmic: rounding below, where runs part as they grow."""
    positive = np.concatenate([each[each > 0.0] for each in values]) if values else np.empty(0)
    if not positive.size:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "none at any time", transform=axes.transAxes, ha="center")
        return
    high = float(positive.max())
    low = max(float(positive.min()), FLOOR * high)
    axes.set_yscale("log", nonpositive="mask")
    axes.set_ylim(low / 2.0, high * 2.0)


def _width(index: int) -> float:
    """Return the width of a run's line: a run that is the same as an earlier one is seen on it."""
    return max(1.1, 2.8 - 0.6 * index)


def event_shifts(comparison: Comparison, names: tuple[str, str]) -> Figure:
    """Draw by how much later the second run has each event than the first; those of one run as ticks."""
    matching = comparison.matching
    assert matching is not None
    figure = new_figure(3.0)
    axes = figure.subplots()
    first, second = matching.logs
    shifts = matching.shifts
    largest = float(np.abs(shifts).max())
    usual = float(np.median(np.abs(shifts)))
    threshold = 10.0 ** np.floor(np.log10(min(usual or matching.tolerance, matching.tolerance)))
    reach = 4.0 * max(largest, matching.tolerance)
    linear = max(0.6, ROOM_FOR_ZERO * float(np.log10(reach / threshold)))
    axes.set_yscale("symlog", linthresh=threshold, linscale=linear)
    axes.axhspan(-matching.tolerance, matching.tolerance, color=GREY, alpha=0.18, linewidth=0)
    for kind in Kind:
        chosen = first["kind"][matching.pairs[:, 0]] == kind
        if chosen.any():
            axes.plot(
                first["s"][matching.pairs[chosen, 0]],
                shifts[chosen],
                linestyle="none",
                marker=MARKERS[kind],
                markersize=3.5,
                color=color(kind),
                label=f"{kind.name.lower().replace('_', ' ')} ({np.count_nonzero(chosen):,})",
                rasterized=bool(np.count_nonzero(chosen) > DENSE_DOTS),
            )
    locator = SymmetricalLogLocator(base=10.0, linthresh=threshold)
    locator.set_params(numticks=MOST_LABELS)
    axes.yaxis.set_major_locator(locator)
    axes.set_ylim(-reach, reach)
    for log, alone, place, edge, name in (
        (first, matching.alone[0], 0.0, "below", names[0]),
        (second, matching.alone[1], 1.0, "above", names[1]),
    ):
        _rug(axes, log["s"][alone], place, f"{edge}: in {_shown(name)} only ({alone.size:,})")
    _event_axis(axes, matching, comparison)
    axes.set_ylabel(f"later in {_shown(names[1])} by")
    axes.set_xlabel(axes.get_xlabel().replace("$s$", f"$s$ in {_shown(names[0])}", 1))
    legend(axes)
    agreeing = np.count_nonzero(np.abs(shifts) <= matching.tolerance)
    remark(
        figure,
        [
            f"{agreeing:,} of {count(shifts.size, 'pair')} of events agree to {typeset(matching.tolerance)} "
            "(grey)"
        ],
    )
    return figure


def _event_axis(axes: Axes, matching: Matching, comparison: Comparison) -> None:
    s = comparison.times.s
    Timeline.suiting(s, np.concatenate([log["s"] for log in matching.logs]), 0.0).apply(axes)


def _rug(axes: Axes, times: Array, place: float, label: str) -> None:
    """Draw ticks at the lower or upper edge of a panel where events have no partner."""
    if times.size:
        axes.plot(
            times,
            np.full(times.size, place),
            linestyle="none",
            marker="|",
            markersize=7.0,
            color="black",
            clip_on=False,
            transform=axes.get_xaxis_transform(),
            label=label,
            rasterized=bool(times.size > DENSE_DOTS),
        )


def _draw(axes: Axes, s: Array, values: Array, drawn: list[Array], **how: object) -> None:
    if (values > 0.0).any():
        curve(axes, s, values, **how)
        drawn.append(values)


def _ticks(axes: Axes, timeline: Timeline, times: Sequence[Array], indices: Sequence[int]) -> None:
    """Draw a lane of ticks for each run."""
    for lane, (events, index) in enumerate(zip(times, indices, strict=True)):
        axes.plot(
            events,
            np.full(events.size, lane),
            linestyle="none",
            marker="|",
            markersize=6.0,
            color=color(index),
            rasterized=bool(events.size > DENSE_DOTS),
        )
    axes.set_ylim(len(times) - 0.4, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _common_timeline(members: Sequence[Member], comparisons: Sequence[Comparison]) -> Timeline:
    """Return the axis of the times at which some run is compared with the first."""
    s = longest([comparison.times.s for comparison in comparisons])
    events = np.concatenate([member.event_times for member in members])
    settled = min(max(settled_at(member.s, member.loss) for member in members), float(s[-1]))
    return Timeline.suiting(s, events[events <= s[-1]], settled)


def _timeline(members: Sequence[Member]) -> Timeline:
    axis = longest([member.s for member in members])
    settled = max(settled_at(member.s, member.loss) for member in members)
    return Timeline.suiting(axis, np.concatenate([member.event_times for member in members]), settled)


def _shown(name: str) -> str:
    """Return a run's name as figures show it: its end if it is long."""
    return as_it_stands(name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}")
