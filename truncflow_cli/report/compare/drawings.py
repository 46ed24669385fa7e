"""Figures of several runs: their losses over one another, how far they part, and their events against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import SymmetricalLogLocator

from truncflow_cli.events import Kind
from truncflow_cli.problem import Array
from truncflow_cli.report.compare.compare import MOST_COMPARED, Comparison, Member
from truncflow_cli.report.compare.events import Matching
from truncflow_cli.report.figures.panels import curve, legend, stacked, suit
from truncflow_cli.report.figures.style import (
    GREY,
    LONGEST_NAME,
    applied,
    as_it_stands,
    color,
    look,
    save,
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


def draw_comparison(
    members: Sequence[Member], comparisons: Sequence[Comparison], names: Sequence[str], folder: Path
) -> Iterator[Path]:
    """Draw how runs, at least two, compare, and yield each file ``comparison-*`` once it is there.

    Args:
        comparisons: runs compared with the first, in the order of ``members`` from the second on.
        names: what the runs are called, all different.
        folder: made if it is missing.

    Raises:
        UserError: a file cannot be written.
    """
    compared = list(comparisons[:MOST_COMPARED])
    with applied():
        made = [("loss", losses(members, names)), ("distance", distances(members, compared, names))]
        for comparison, name in zip(compared, names[1:], strict=False):
            if comparison.matching is not None and len(comparison.matching.pairs):
                made.append((f"events-{name}", event_shifts(comparison, (names[0], name))))
    for title, figure in made:
        yield from save(figure, folder, f"comparison-{title}")


def losses(members: Sequence[Member], names: Sequence[str]) -> Figure:
    """Draw the losses of all runs over one another, and ticks where each has its events."""
    ticked = {k: each.event_times for k, each in enumerate(members[:MOST_LANES]) if each.event_times.size}
    timeline = _timeline(members, longest([each.s for each in members]))
    height = 0.14 * len(ticked) + 0.08
    draws = [partial(_losses, members=members, names=names)]
    if not ticked:
        return stacked(timeline, 2.9, draws)
    return stacked(timeline, 3.2 + height, [*draws, partial(_ticks, times=ticked)], (2.5, height))


def _losses(axes: Axes, members: Sequence[Member], names: Sequence[str]) -> str:
    for index, member in enumerate(members):
        how = {**look(index), "linewidth": _width(index), "label": _shown(names[index])}
        curve(axes, member.s, member.loss, **how)
    return suit(axes, [member.loss for member in members], r"loss $\mathcal{C}$")


def distances(members: Sequence[Member], comparisons: Sequence[Comparison], names: Sequence[str]) -> Figure:
    """Draw how far each run is from the first: its loss above, its state below.

    One run is compared part by part (a layer each); of several, the whole state is one number: the root of
    the summed squares of the distances of its parts.
    """
    loss: list[tuple[Array, Array, dict[str, Any]]] = []
    state: list[tuple[Array, Array, dict[str, Any]]] = []
    for index, comparison in enumerate(comparisons, start=1):
        s, (first, *parts) = comparison.times.s, comparison.differences
        how = {"label": _shown(names[index]), **look(index), "linewidth": _width(index)}
        loss.append((s, np.abs(first.values), how))
        if len(comparisons) == 1:
            for part in parts:
                dashed = {} if "β" in part.name else {"linestyle": (0, (4, 1.5))}
                state.append((s, part.values, {"label": part.name, **look(max(part.layer, 0)), **dashed}))
        elif parts:
            state.append((s, np.sqrt(np.sum([part.values**2 for part in parts], axis=0)), how))
    draws = [partial(_distances, shown=loss, name="loss")]
    if state:
        draws.append(partial(_distances, shown=state, name="state"))
    error = max((each.error for comparison in comparisons for each in comparison.differences), default=0.0)
    between = f"interpolated between saved times: below {typeset(error)} it may be the interpolation's"
    said = [f"distance from {_shown(names[0])}", *_missing(comparisons, names, shared=bool(state))]
    said.append(between if error > 0.0 else "")
    s = longest([comparison.times.s for comparison in comparisons])
    return stacked(_timeline(members, s, float(s[-1])), 4.6 if state else 2.6, draws, said=said)


def _distances(axes: Axes, shown: Sequence[tuple[Array, Array, dict[str, Any]]], name: str) -> str:
    """Draw distances on a logarithmic axis: rounding below, where runs part as they grow."""
    drawn = [(s, values, how) for s, values, how in shown if (values > 0.0).any()]
    for s, values, how in drawn:
        curve(axes, s, values, **how)
    positive = np.concatenate([values[values > 0.0] for _, values, _ in drawn]) if drawn else np.empty(0)
    if positive.size:
        high = float(positive.max())
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(max(float(positive.min()), FLOOR * high) / 2.0, high * 2.0)
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "none at any time", transform=axes.transAxes, ha="center")
    axes.set_ylabel(f"distance in {name}")
    legend(axes)
    return ""


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


def _width(index: int) -> float:
    """Return the width of a run's line: a run that is the same as an earlier one is seen on it."""
    return max(1.1, 2.8 - 0.6 * index)


def event_shifts(comparison: Comparison, names: tuple[str, str]) -> Figure:
    """Draw by how much later the second run has each event than the first; those of one run as ticks."""
    matching = comparison.matching
    assert matching is not None
    every = np.concatenate([log["s"] for log in matching.logs])
    timeline = Timeline.suiting(comparison.times.s, every, 0.0)
    figure = stacked(timeline, 3.0, [partial(_shifts, matching=matching, names=names)])
    axes = figure.axes[0]
    axes.set_xlabel(axes.get_xlabel().replace("$s$", f"$s$ in {_shown(names[0])}", 1))
    return figure


def _shifts(axes: Axes, matching: Matching, names: tuple[str, str]) -> str:
    first, shifts = matching.logs[0], matching.shifts
    usual = float(np.median(np.abs(shifts)))
    threshold = 10.0 ** np.floor(np.log10(min(usual or matching.tolerance, matching.tolerance)))
    reach = 4.0 * max(float(np.abs(shifts).max()), matching.tolerance)
    linear = max(0.6, ROOM_FOR_ZERO * float(np.log10(reach / threshold)))
    axes.set_yscale("symlog", linthresh=threshold, linscale=linear)
    axes.axhspan(-matching.tolerance, matching.tolerance, color=GREY, alpha=0.18, linewidth=0)
    for kind in Kind:
        chosen = first["kind"][matching.pairs[:, 0]] == kind
        if chosen.any():
            axes.plot(
                first["s"][matching.pairs[chosen, 0]], shifts[chosen], linestyle="none", marker=MARKERS[kind],
                markersize=3.5, color=color(kind), rasterized=bool(np.count_nonzero(chosen) > DENSE_DOTS),
                label=f"{kind.name.lower().replace('_', ' ')} ({np.count_nonzero(chosen):,})",
            )  # fmt: skip
    locator = SymmetricalLogLocator(base=10.0, linthresh=threshold)
    locator.set_params(numticks=MOST_LABELS)
    axes.yaxis.set_major_locator(locator)
    axes.set(ylim=(-reach, reach), ylabel=f"later in {_shown(names[1])} by")
    for log, alone, place, edge, name in zip(
        matching.logs, matching.alone, (0.0, 1.0), ("below", "above"), names, strict=True
    ):
        if alone.size:  # ticks at the edge, where events have no partner
            label = f"{edge}: in {_shown(name)} only ({alone.size:,})"
            how = {"color": "black", "clip_on": False, "transform": axes.get_xaxis_transform()}
            _marks(axes, log["s"][alone], place, markersize=7.0, label=label, **how)
    legend(axes)
    agreeing = np.count_nonzero(np.abs(shifts) <= matching.tolerance)
    return f"{agreeing:,} of {count(shifts.size, 'pair')} of events agree to {typeset(matching.tolerance)} (grey)"


def _ticks(axes: Axes, times: Mapping[int, Array]) -> str:
    """Draw a lane of ticks for each run that has events, by its index."""
    for lane, (index, events) in enumerate(times.items()):
        _marks(axes, events, lane, color=color(index), markersize=6.0)
    axes.set(ylim=(len(times) - 0.4, -0.6), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_ylabel("events", rotation=0, ha="right", va="center")
    return ""


def _marks(axes: Axes, times: Array, height: float, **how: Any) -> None:
    dense = times.size > DENSE_DOTS
    axes.plot(times, np.full(times.size, height), linestyle="none", marker="|", rasterized=dense, **how)


def _timeline(members: Sequence[Member], s: Array, within: float = np.inf) -> Timeline:
    """Return the axis of the times s (T,) that suits all runs and their events up to ``within``."""
    events = np.concatenate([member.event_times for member in members])
    settled = min(max(settled_at(member.s, member.loss) for member in members), within)
    return Timeline.suiting(s, events[events <= within], settled)


def _shown(name: str) -> str:
    """Return a run's name as figures show it: its end if it is long."""
    return as_it_stands(name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}")
