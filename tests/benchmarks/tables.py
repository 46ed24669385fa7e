"""Tables of measurements, as text for people and as plain data for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.timing import Spread

Cell = Spread | float | int | str | bool | None


@dataclass(frozen=True)
class Table:
    """Rows of named cells.

    Attributes:
        title: what was measured.
        rows: the cells of each row by column; a column that a row lacks stays empty.
        notes: what one has to know to read it.
    """

    title: str
    rows: list[dict[str, Cell]]
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the table, aligned."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        lines = [names, *([_text(row.get(name)) for name in names] for row in self.rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(names))]
        rule = ["-" * width for width in widths]
        body = [_aligned(line, widths) for line in (lines[0], rule, *lines[1:])]
        return "\n".join([self.title, "", *body, *([""] if self.notes else []), *self.notes])

    def data(self) -> dict[str, Any]:
        """Return the table as what JSON can hold."""
        rows = [{name: _plain(cell) for name, cell in row.items()} for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": self.notes}


def _aligned(cells: list[str], widths: list[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip()


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Spread):
        middle = number(cell.median)
        if len(cell.values) == 1:
            return f"{middle} (1 run)"
        return f"{middle} ({number(cell.min)} to {number(cell.max)})"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return cell if isinstance(cell, str) else number(cell)


def number(value: float) -> str:
    """Return a number to three digits, an integer in full."""
    if isinstance(value, int):
        return f"{value:,}"
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _plain(cell: Cell) -> Any:
    if not isinstance(cell, Spread):
        return cell
    return {"min": cell.min, "median": cell.median, "max": cell.max, "runs": len(cell.values)}
