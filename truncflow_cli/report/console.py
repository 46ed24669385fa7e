"""Writing on a console that may be narrow, without colour, or ASCII only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.console import Console
from rich.table import Table
from rich.text import Text

from truncflow_cli.report.numbers import count
from truncflow_cli.report.symbols import ascii_only

#: Columns that everything under a heading is moved in.
INDENT = 2
#: Columns between the columns of a table.
GAP = 2


class Page:
    """A console with the few forms that a report is made of; no line ends in spaces."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.ascii_only = console.options.ascii_only

    @property
    def width(self) -> int:
        """Columns there are for what stands under a heading."""
        return max(20, self.console.width - INDENT)

    def shown(self, text: str) -> str:
        """Return text as this console can show it."""
        return ascii_only(text) if self.ascii_only else text

    def title(self, text: str, remark: str, style: str) -> None:
        """Write the title, never broken into lines, and a remark after it."""
        self._write(Text.assemble((self.shown(text), "bold"), " ", (self.shown(remark), style)))

    def heading(self, text: str, style: str = "bold") -> None:
        """Write a heading, after an empty line."""
        self.gap()
        self._write(Text(self.shown(text), style=style))

    def line(self, text: str, style: str = "", indent: int = INDENT, hanging: int = 0) -> None:
        """Write a paragraph, wrapped and moved in, all but its first line by ``hanging`` more."""
        room = max(20, self.console.width - indent - hanging)
        for number, line in enumerate(Text(self.shown(text), style=style).wrap(self.console, room)):
            line.rstrip()
            self._write(Text(" " * (indent + (hanging if number else 0))).append_text(line))

    def gap(self) -> None:
        """Write an empty line."""
        self._write(Text(""))

    def picture(self, text: str, style: str = "", indent: int = INDENT) -> None:
        """Write a line that must not be wrapped."""
        self._write(Text(" " * indent + self.shown(text).rstrip(), style=style))

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str]],
        right: Sequence[int] = (),
        styles: Sequence[str] = (),
        most: int | None = None,
        noun: str = "",
    ) -> None:
        """Write a table without lines, made as narrow as the console.

        Args:
            header, rows: the cells.
            right: the columns of numbers.
            styles: one a row.
            most: how many rows are shown; how many are left out is then said.
            noun: what a row is.
        """
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
        for column, name in enumerate(header):
            table.add_column(
                Text(self.shown(name)),
                justify="right" if column in right else "left",
                no_wrap=True,
                overflow="crop",
            )
        for row, style in zip_longest(rows[:most], styles[:most], fillvalue=""):
            table.add_row(*(Text(self.shown(cell)) for cell in row), style=style)
        options = self.console.options.update(width=self.width)
        for line in self.console.render_lines(table, options, pad=False):
            text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
            text.rstrip()
            self._write(Text(" " * INDENT).append_text(text))
        if most is not None and len(rows) > most:
            left_out = len(rows) - most
            self.line(f"and {count(left_out, noun) if noun else left_out} more")

    def _write(self, text: Text) -> None:
        self.console.print(text, soft_wrap=True, highlight=False)
