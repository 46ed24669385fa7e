"""What panels have in common: curves, value axes that suit them, notes, and legends below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from truncflow_cli.model.problem import Array
from truncflow_cli.report.figures.style import DENSE, GREY
from truncflow_cli.report.sparkline import FLOOR, LOGARITHMIC

#: Curves that a legend names; the others are counted.
MOST_NAMES = 12
#: Columns of a legend below a figure at most.
MOST_COLUMNS = 4
#: A curve of fewer values than this has its points marked.
SPARSE = 25


def curve(axes: Axes, s: Array, values: Array, **how: Any) -> None:
    """Draw values (T,) at times s (T,), joined where they are finite; few of them with their points marked."""
    seen = np.isfinite(values)
    if np.count_nonzero(seen) < SPARSE:
        how = {"marker": "o", "markersize": 3.0, "clip_on": False, **how}
    axes.plot(s[seen], values[seen], rasterized=bool(s.size > DENSE), solid_capstyle="butt", **how)


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
    return (
        "zeros are not on the logarithmic axis"
        if logarithmic and any((v == 0.0).any() for v in values)
        else ""
    )


def remark(figure: Figure, said: Sequence[str]) -> None:
    """Write remarks above a figure, in grey; nothing if there are none."""
    if said:
        figure.suptitle(" · ".join(said), x=0.01, ha="left", color=GREY)


def legend(axes: Axes, handles: Sequence[Any] | None = None, **where: Any) -> None:
    """Put a legend beside a panel, on the right; many entries are counted instead of named."""
    found = list(handles) if handles is not None else axes.get_legend_handles_labels()[0]
    if not found:
        return
    if len(found) > MOST_NAMES:
        rest = len(found) - MOST_NAMES + 1
        found = [*found[: MOST_NAMES - 1], Line2D([], [], linestyle="none", label=f"and {rest} more")]
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.02), "borderaxespad": 0.0, **where}
    axes.legend(handles=found, **place)


def legend_below(figure: Any, handles: Sequence[Any]) -> None:
    """Put a legend below a figure, in rows as even as can be."""
    rows = -(-len(handles) // MOST_COLUMNS)
    columns = -(-len(handles) // max(rows, 1))
    figure.legend(
        handles=_in_rows(handles, columns), loc="outside lower center", ncols=columns, handlelength=1.6
    )


def _in_rows(handles: Sequence[Any], columns: int) -> list[Any]:
    """Return legend entries in such an order that they read row by row; matplotlib fills columns."""
    rows = -(-len(handles) // columns)
    blank = Line2D([], [], linestyle="none", label=" ")
    padded = [*handles, *[blank] * (rows * columns - len(handles))]
    return [padded[row * columns + column] for column in range(columns) for row in range(rows)]
