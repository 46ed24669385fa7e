"""The summary of a sweep: one column of its table, as an array along the axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truncflow_cli.config.errors import shown, suggestion
from truncflow_cli.errors import UserError
from truncflow_cli.sweep.grid import Axis
from truncflow_cli.sweep.plan import Sweep
from truncflow_cli.sweep.table import columns

#: Short names for what is asked for most.
SHORT_NAMES: Mapping[str, str] = {
    "loss": "loss_last",
    "full_truncation": "s_full_truncation",
    "pins": "events_pin",
    "verdicts": "verdicts_violated",
    "elapsed": "elapsed_seconds",
}

_LABELS: Mapping[str, str] = {
    "loss_first": "loss at the start",
    "loss_last": "loss at the end",
    "s_full_truncation": "s at full truncation",
    "s_end": "s at the end",
    "max_abs_D": "largest |D(s)|",
    "elapsed_seconds": "seconds",
    "events": "number of events",
    "verdicts_holds": "certificates that hold",
    "verdicts_violated": "certificates that are violated",
    "verdicts_hypothesis_not_met": "certificates whose hypothesis is not met",
    "verdicts_not_applicable": "certificates that do not apply",
}

#: Verdicts, and how runs end.
GOOD_TO_BAD = (
    *("holds", "not applicable", "hypothesis not met", "violated"),
    *("complete", "interrupted", "not run", "refused", "failed"),
)

#: Runs that ended so have values, but of a time before ``s_end``.
_EARLY = {"failed", "interrupted"}

#: A picture shows this many axes, the first of three as panels, and no more panels than this.
_MOST_AXES = 3
_MOST_PANELS = 12


@dataclass(frozen=True)
class Summary:
    """What is drawn.

    Attributes:
        title: the name of the sweep.
        label: what is shown, in words.
        axes: the axes along which anything changes, from one to three.
        cells: a value for each point of the axes, the last one changing fastest; None where a run has none.
        early: whether the run of each cell stopped before its end; the value is that of an earlier time.
    """

    title: str
    label: str
    axes: tuple[Axis, ...]
    cells: tuple[float | str | None, ...]
    early: tuple[bool, ...]

    @property
    def categories(self) -> list[str]:
        """The texts among the values, each once, from good to bad where that is known; empty for numbers."""
        found = {cell for cell in self.cells if isinstance(cell, str)}
        return [name for name in GOOD_TO_BAD if name in found] + sorted(found.difference(GOOD_TO_BAD))


def quantity(name: str, sweep: Sweep) -> str:
    """Return the column that a ``--summary`` means.

    Raises:
        UserError: there is none of that name, or the sweep has more axes than a picture.
    """
    known = columns(sweep.keys)
    column = SHORT_NAMES.get(name, name)
    if column not in known:
        what = f"no such column{suggestion(name, [*SHORT_NAMES, *known])}"
        allowed = ", ".join(SHORT_NAMES)
        raise UserError(f"--summary {shown(name)[1:-1]}: {what}; allowed: {allowed}, any of sweep.csv")
    changing = _changing(sweep)
    if len(changing) > _MOST_AXES:
        what = f"a picture shows up to {_MOST_AXES} axes, this sweep has {len(changing)}"
        raise UserError(f"--summary: {what}; --zip makes one of several")
    if len(changing) == _MOST_AXES and len(changing[0]) > _MOST_PANELS:
        what = f"the first of three axes becomes panels, up to {_MOST_PANELS}"
        has = f"{', '.join(changing[0].keys)} has {len(changing[0])} values"
        raise UserError(f"--summary: {what}; {has}, put a shorter one first")
    return column


def summary(sweep: Sweep, rows: Sequence[Mapping[str, Any]], column: str) -> Summary:
    """Return a column of the table along the axes of the sweep."""
    axes = _changing(sweep) or sweep.axes[-1:]
    label = _LABELS.get(column, column.replace("events_", "number of events: ").replace("_", " "))
    cells = tuple(_cell(row.get(column)) for row in rows)
    is_early = [column != "status" and row.get("status") in _EARLY for row in rows]
    early = tuple(cell is not None and each for cell, each in zip(cells, is_early, strict=True))
    return Summary(sweep.name, label, axes, cells, early)


def draw(sweep: Sweep, rows: Sequence[Mapping[str, Any]], column: str) -> list[Path]:
    """Draw a column of the table as sweep.pdf, .svg and .png beside it, and return the files.

    Raises:
        UserError: matplotlib is missing, or a file cannot be written.
    """
    from truncflow_cli.report.figures import require_matplotlib

    require_matplotlib()
    from truncflow_cli.report.figures.style import save
    from truncflow_cli.sweep.picture import figure

    return save(figure(summary(sweep, rows, column)), sweep.folder, sweep.table_path.stem)


def _changing(sweep: Sweep) -> tuple[Axis, ...]:
    return tuple(axis for axis in sweep.axes if len(axis) > 1)


def _cell(value: Any) -> float | str | None:
    """Return a value of the table as a number if it is one, also where the table has been read from its file."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if math.isfinite(number) else None
