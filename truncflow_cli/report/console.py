"""Writing on a console that may be narrow, without colour, or ASCII only."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from truncflow_cli.report.symbols import ascii_only

#: Columns that everything under a heading is moved in.
INDENT = 2
#: Columns that the last column of a table has at least.
LEAST = 4
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
        styles: Sequence[str] | None = None,
    ) -> None:
        """Write a table without lines: ``right`` are the columns of numbers, ``styles`` one a row.

        The last column gives way where there is no room for it.
        """
        cells = [[self.shown(cell) for cell in row] for row in (header, *rows)]
        widths = [max(cell_len(row[column]) for row in cells) for column in range(len(header))]
        room = self.width - sum(widths[:-1]) - GAP * (len(widths) - 1)
        widths[-1] = min(widths[-1], max(room, LEAST))
        for row in cells:
            if cell_len(row[-1]) > widths[-1]:
                row[-1] = set_cell_size(row[-1], widths[-1] - 1).rstrip() + self.shown("…")[:1]
        for index, row in enumerate(cells):
            padded = [
                " " * (width - cell_len(cell)) + cell
                if column in right
                else cell + " " * (width - cell_len(cell))
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            style = "dim" if index == 0 else (styles[index - 1] if styles else "")
            self.picture((" " * GAP).join(padded), style)

    def _write(self, text: Text) -> None:
        self.console.print(text, soft_wrap=True, highlight=False)
