"""The picture of a sweep: a line for one axis, a heat map for two, a heat map a panel for three."""

from __future__ import annotations

import math
import re
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from truncflow_cli.problem import Array, BoolArray
from truncflow_cli.report.figures.style import GREY, PALE, PALETTE, applied, as_it_stands, new_figure
from truncflow_cli.report.numbers import short
from truncflow_cli.sweep.grid import Axis
from truncflow_cli.sweep.summary import Summary
from truncflow_cli.sweep.values import Value

#: Numbers that span more than this are shown on a logarithmic scale.
_WIDE = 100.0
#: Cells of a heat map have their number in them up to so many columns and rows.
_MOST_NUMBERS = (10, 16)
#: Ticks along an axis.
_MOST_TICKS = 12
_LONGEST_LABEL = 24
_LONGEST_NUMBER = 6
#: Letters that fit side by side below a picture.
_ROOM = 60
_PANELS_A_ROW = 3

_GOOD, _BAD = PALETTE[0], PALETTE[1]
_COLOURS = {
    "holds": _GOOD,
    "not applicable": PALE,
    "hypothesis not met": PALETTE[5],
    "violated": _BAD,
    "complete": _GOOD,
    "interrupted": PALETTE[5],
    "not run": PALE,
    "refused": PALETTE[3],
    "failed": _BAD,
}


def figure(summary: Summary) -> Figure:
    """Return the picture of a summary; runs without a value are gaps, those cut short hollow; both are counted."""
    values = _values(summary)
    early = np.array(summary.early).reshape(values.shape)
    with applied():
        if len(summary.axes) == 1:
            result = new_figure(3.2)
            _line(result.subplots(), summary, values, early)
        else:
            panels = values.reshape(-1, *values.shape[-2:])
            columns = min(len(panels), _PANELS_A_ROW)
            rows = -(-len(panels) // columns)
            result = new_figure(max(2.6, min(4.2, 0.5 + 0.32 * values.shape[-2])) * rows + 0.3)
            _heat_maps(result, summary, panels, early.reshape(panels.shape), (rows, columns))
        title, missing = summary.title, int(np.isnan(values).sum())
        if missing:
            title += f"; {missing} of {values.size} runs have no value"
        if early.any():
            title += f"; \N{WHITE CIRCLE}: {early.sum()} of {values.size} runs stopped before their end"
        result.suptitle(as_it_stands(title), x=0.01, ha="left", color=GREY)
    return result


def _values(summary: Summary) -> Array:
    """Return the cells as numbers along the axes, nan where there is none; a text is its index among them."""
    places = {name: float(place) for place, name in enumerate(summary.categories)}
    cells = [places[str(cell)] if places and cell is not None else cell for cell in summary.cells]
    numbers = [math.nan if cell is None else float(cell) for cell in cells]
    return np.array(numbers).reshape([len(axis) for axis in summary.axes])


def _line(axes: Axes, summary: Summary, values: Array, early: BoolArray) -> None:
    (axis,) = summary.axes
    numbers = _numbers(axis)
    at = np.arange(len(axis), dtype=np.float64) if numbers is None else numbers
    order = np.argsort(at)
    many = len(axis) > 60
    style = "o" if summary.categories else "-" if many else "o-"
    axes.plot(at[order], values[order], style, color=PALETTE[0], markersize=4)
    axes.plot(at[early], values[early], "o", color=PALETTE[0], markerfacecolor="white", markersize=5)
    for place in at[np.isnan(values)]:
        axes.axvline(place, color=PALE, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
    if numbers is None:
        _name_ticks(axes, "x", axis)
    elif _is_wide(numbers):
        axes.set_xscale("log")
    elif np.all(numbers == np.round(numbers)):
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    axes.set(xlabel=_key_label(axis), ylabel=as_it_stands(summary.label))
    if summary.categories:
        axes.set_yticks(range(len(summary.categories)), map(as_it_stands, summary.categories))
        axes.set_ylim(-0.5, len(summary.categories) - 0.5)
    elif _is_wide(values):
        axes.set_yscale("log")
    elif np.isnan(values).all():
        axes.set_yticks([])
    elif np.nanmin(values) >= 0.0:
        axes.set_ylim(bottom=0.0)


def _heat_maps(
    result: Figure, summary: Summary, panels: Array, early: BoolArray, shape: tuple[int, int]
) -> None:
    grid = result.subplots(*shape, squeeze=False)
    colours, norm = _colours(summary, panels)
    *several, up, across = summary.axes
    small = len(across) * shape[1] <= _MOST_NUMBERS[0] and len(up) <= _MOST_NUMBERS[1]
    image: Any = None
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for index, (axes, values) in enumerate(zip(grid.flat, panels, strict=False)):
        image = axes.pcolormesh(values, cmap=colours, norm=norm)
        axes.set_facecolor("white")
        axes.spines[:].set_visible(False)
        _mark(axes, np.isnan(values), 0.5, "x", color=GREY, markersize=5)
        hollow = {"color": "black", "markerfacecolor": "white", "markersize": 4, "markeredgewidth": 0.8}
        _mark(axes, early[index], 0.82, "o", **hollow)
        if small and not summary.categories:
            _write_numbers(axes, values, colours, norm)
        _name_ticks(axes, "x", across, offset=0.5, room=_ROOM // shape[1])
        _name_ticks(axes, "y", up, offset=0.5)
        axes.set(xlabel=_key_label(across), ylabel=_key_label(up))
        if several:
            axes.set_title(f"{_key_label(several[0])} = {_point_label(several[0], index)}")
    bar = result.colorbar(image, ax=grid, label=as_it_stands(summary.label), fraction=0.06)
    bar.outline.set_visible(False)
    if summary.categories:
        bar.minorticks_off()
        bar.set_ticks(range(len(summary.categories)), labels=list(map(as_it_stands, summary.categories)))


def _colours(summary: Summary, values: Array) -> tuple[Any, Normalize]:
    count = len(summary.categories)
    if count:
        spare = iter(PALETTE * count)
        colours = [_COLOURS.get(name) or next(spare) for name in summary.categories]
        return ListedColormap(colours), BoundaryNorm(np.arange(count + 1) - 0.5, count)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if not high > low:  # all the same: the middle of a scale
        low, high = low - 0.1 * (abs(low) or 1.0), high + 0.1 * (abs(high) or 1.0)
    norm = LogNorm(low, high) if _is_wide(values) else Normalize(low, high)
    return mpl.colormaps["cividis"], norm


def _mark(axes: Axes, chosen: BoolArray, height: float, sign: str, **how: Any) -> None:
    """Put a sign at a height into the chosen cells: of runs without a value, of those that stopped early."""
    rows, columns = np.nonzero(chosen)
    axes.plot(columns + 0.5, rows + height, sign, **how)


def _write_numbers(axes: Axes, values: Array, colours: Any, norm: Normalize) -> None:
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            light = np.dot(colours(norm(value))[:3], (0.3, 0.59, 0.11))
            how = {
                "color": "black" if light > 0.5 else "white",
                "fontsize": 7,
                "ha": "center",
                "va": "center",
            }
            axes.text(column + 0.5, row + 0.5, short(float(value)), **how)


def _name_ticks(axes: Axes, which: str, axis: Axis, offset: float = 0.0, room: int = _ROOM) -> None:
    places = range(0, len(axis), -(-len(axis) // _MOST_TICKS))
    labels = [_point_label(axis, place) for place in places]
    getattr(axes, f"set_{which}ticks")([place + offset for place in places], labels)
    if which == "x" and max(map(len, labels)) * len(labels) > room:
        for label in axes.get_xticklabels():
            label.set(rotation=40, rotation_mode="anchor", ha="right")


def _point_label(axis: Axis, place: int) -> str:
    text = ", ".join(_value_label(value) for value in axis.points[place])
    return as_it_stands(text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…")


def _value_label(value: Value) -> str:
    if not _is_number(value):
        return value.text
    text = short(float(value.plain)) if len(value.exact) > _LONGEST_NUMBER else value.text
    return re.sub(r"(?<=\de)([+-]?)0+(?=\d)", r"\1", text)


def _key_label(axis: Axis) -> str:
    return as_it_stands(", ".join(axis.keys))


def _numbers(axis: Axis) -> Array | None:
    """Return the values along an axis if they are numbers."""
    values = [point[0] for point in axis.points]
    if len(axis.keys) > 1 or not all(map(_is_number, values)):
        return None
    return np.array([value.plain for value in values], dtype=np.float64)


def _is_number(value: Value) -> bool:
    return isinstance(value.plain, (int, float)) and not isinstance(value.plain, bool)


def _is_wide(values: Array) -> bool:
    finite = values[np.isfinite(values)]
    return bool(finite.size) and float(finite.min()) > 0.0 and float(finite.max() / finite.min()) > _WIDE
