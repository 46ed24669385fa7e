"""What panels have in common: curves, value axes that suit them, notes, and legends below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from truncflow_cli.problem import Array
from truncflow_cli.report.figures.style import DENSE, GREY, new_figure
from truncflow_cli.report.figures.timeline import Timeline
from truncflow_cli.report.sparkline import FLOOR, LOGARITHMIC

#: Curves that a legend names; the others are counted.
MOST_NAMES = 12
#: Columns of a legend below a figure at most.
MOST_COLUMNS = 4
#: A curve of fewer values than this has its points marked.
SPARSE = 25
#: Length in a legend of a line with a marker in it, in letters: dashes are seen on both sides.
LONG_HANDLE = 3.6
#: Share of a figure's width that what stands above and below it may take: letters are wider at other resolutions.
_ROOM = 0.95
_NONE = ("none", "None", " ", "", None)


def curve(axes: Axes, s: Array, values: Array, **how: Any) -> None:
    """Draw values (T,) at times s (T,), joined where they are finite; few of them with their points marked."""
    seen = np.isfinite(values)
    if np.count_nonzero(seen) < SPARSE:
        how = {"marker": "o", "markersize": 3.0, "clip_on": False, **how}
    axes.plot(s[seen], values[seen], rasterized=bool(s.size > DENSE), solid_capstyle="butt", **how)


def stacked(
    timeline: Timeline,
    height: float,
    draws: Sequence[Callable[[Axes], str]],
    ratios: Sequence[float] | None = None,
    said: Sequence[str] = (),
) -> Figure:
    """Draw panels above one another along an axis of s; above them what is ``said``, and what each of them returns."""
    figure = new_figure(height)
    panels = figure.subplots(len(draws), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    said = [*said, *(draw(axes) for draw, axes in zip(draws, panels, strict=True))]
    for axes in panels:
        timeline.apply(axes, label=axes is panels[-1])
    remark(figure, [text for text in dict.fromkeys(said) if text])
    return figure


def curves(axes: Axes, s: Array, shown: Sequence[tuple[Array, dict[str, Any]]], name: str) -> str:
    """Draw values (T,), each with its look, on an axis that suits and names them; return what to say of zeros."""
    for values, how in shown:
        curve(axes, s, values, **how)
    return suit(axes, [values for values, _ in shown], name)


def suit(
    axes: Axes, shown: Sequence[Array], name: str, *, named: bool = True, last: Sequence[Any] = ()
) -> str:
    """Make the y axis suit what is drawn, name it, put the legend beside it; return what to say of zeros."""
    logarithmic = value_axis(axes, shown)
    axes.set_ylabel(name)
    if named:
        legend(axes, last=last)
    return zero_remark(logarithmic, *(values[np.isfinite(values)] for values in shown))


def value_axis(axes: Axes, values: Sequence[Array], *, from_zero: bool = True) -> bool:
    """Make the y axis suit all of ``values``: logarithmic if those above zero span much; return whether it is."""
    every = np.concatenate([np.ravel(part) for part in values]) if values else np.empty(0)
    every = every[np.isfinite(every)]
    if not every.size:
        return False
    positive = every[every > FLOOR * float(every.max())] if every.min() >= 0.0 else every[:0]
    if positive.size and float(positive.max()) > LOGARITHMIC * float(np.quantile(positive, 0.05)):
        axes.set_yscale("log", nonpositive="mask")
        low, high = float(positive.min()), float(positive.max())
        room = (high / low) ** 0.04
        axes.set_ylim(low / room, high * room)
        return True
    low, high = float(every.min()), float(every.max())
    low = min(low, 0.0) if from_zero else low
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_ylim(low - (0.0 if from_zero and low == 0.0 else room), high + room)
    return False


def zero_remark(logarithmic: bool, *values: Array) -> str:
    """Say that zeros are missing from a logarithmic axis, where they are."""
    missing = logarithmic and any((v == 0.0).any() for v in values)
    return "zeros are not on the logarithmic axis" if missing else ""


def remark(figure: Figure, said: Sequence[str]) -> None:
    """Write remarks above a figure, in grey, in as many lines as they take; nothing if there are none."""
    if not said:
        return
    above = figure.suptitle("", x=0.01, ha="left", color=GREY)
    lines = [said[0]]
    for each in said[1:]:
        above.set_text(f"{lines[-1]} · {each}")
        if above.get_window_extent().width <= _ROOM * figure.bbox.width:
            lines[-1] = above.get_text()
        else:
            lines.append(each)
    above.set_text("\n".join(lines))


def legend(
    axes: Axes, handles: Sequence[Any] | None = None, *, last: Sequence[Any] = (), **where: Any
) -> None:
    """Put a legend beside a panel, on the right; many entries are counted instead of named, but for the ``last``."""
    found = list(handles) if handles is not None else axes.get_legend_handles_labels()[0]
    if len(found) > MOST_NAMES:
        rest = len(found) - MOST_NAMES + 1
        found = [*found[: MOST_NAMES - 1], Line2D([], [], linestyle="none", label=f"and {rest} more")]
    found = [*found, *last]
    if not found:
        return
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.02), "borderaxespad": 0.0, **where}
    lines = [each for each in found if isinstance(each, Line2D)]
    if any(line.get_marker() not in _NONE and line.get_linestyle() not in _NONE for line in lines):
        place["handlelength"] = LONG_HANDLE
    axes.legend(handles=found, **place)


def legend_below(figure: Any, handles: Sequence[Any]) -> None:
    """Put a legend below a figure, in rows as even as can be, of as many columns as there is room for."""
    blank = Line2D([], [], linestyle="none", label=" ")
    for most in range(MOST_COLUMNS, 0, -1):
        rows = -(-len(handles) // most)
        columns = -(-len(handles) // max(rows, 1))
        padded = [*handles, *[blank] * (rows * columns - len(handles))]
        in_rows = [
            each for column in range(columns) for each in padded[column::columns]
        ]  # columns are filled
        below = figure.legend(handles=in_rows, loc="outside lower center", ncols=columns, handlelength=1.6)
        if most == 1 or below.get_window_extent().width <= _ROOM * figure.bbox.width:
            return
        below.remove()
