"""CSV files: rows of equal length, with or without a header, comma, semicolon or tab between the values."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from truncflow_cli.config.errors import Fault, shown, text_of
from truncflow_cli.problem import Array

#: What is read within seconds; a larger set of points is better off as .npy.
MAX_BYTES = 64 * 2**20
MAX_CELLS = 4_000_000
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})


@dataclass(frozen=True)
class Table:
    """The cells of a CSV file.

    Attributes:
        file: its name, for messages.
        header: names of the columns, or None if the first row holds values.
        rows: the cells, stripped of blanks.
        lines: the line each row begins in, from 1.
    """

    file: str
    header: list[str] | None
    rows: list[list[str]]
    lines: list[int]

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.rows[0])

    def column_name(self, column: int) -> str:
        """Return what messages call the column."""
        return f"column {shown(self.header[column])}" if self.header else f"column {column}"

    def numbers(self, column: int) -> Array:
        """Return a column's values; a Fault has the line of one that is missing or not a finite number."""
        numbers = [as_number(row[column]) for row in self.rows]
        for index, number in enumerate(numbers):
            if number is None or not math.isfinite(number):
                raise Fault(f"{self._where(index, column)}: {_what_is_wrong(self.rows[index][column])}")
        return np.array(numbers, dtype=np.float64)

    def texts(self, column: int, what: str) -> list[str]:
        """Return a column's cells; a Fault has the line of one that is missing, and ``what`` it should have been."""
        for index, row in enumerate(self.rows):
            if is_missing(row[column]):
                raise Fault(f"{self._where(index, column)}: missing {what} ({shown(row[column])})")
        return [row[column] for row in self.rows]

    def matrix(self) -> Array:
        """Return all columns as numbers, (rows, columns)."""
        return np.stack([self.numbers(column) for column in range(self.n_columns)], axis=1)

    def _where(self, row: int, column: int) -> str:
        return f"{self.file} line {self.lines[row]}, {self.column_name(column)}"


def as_number(cell: str) -> float | None:
    """Return the number a cell holds, or None."""
    if "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def is_missing(cell: str) -> bool:
    """Say whether the cell stands for a missing value."""
    return cell.lower() in MISSING


def _what_is_wrong(cell: str) -> str:
    if is_missing(cell):
        return f"missing value ({shown(cell)})"
    if as_number(cell) is not None:
        return f"{cell} is not finite"
    if not any(separator in cell for separator in " ,;|:"):
        return f"{shown(cell)} is not a number"
    if as_number(cell.replace(",", ".")) is not None:
        return f"{shown(cell)} is not a number; write decimals with a point"
    return f"{shown(cell)} is not a number; values are separated by commas, semicolons or tabs, the same all through"


def read_csv(path: Path, header: bool | None = None) -> Table:
    """Read a CSV file.

    Blank lines, and lines beginning with # before the first row, are skipped. The separator is a semicolon or
    tab if the first row has one outside quotes, else a comma.

    ``header`` says whether the first row names the columns; None: it does if one of its cells is not a number.

    Raises:
        Fault: no rows, rows of different length, too many, or not a text.
    """
    rows, lines = _rows(_text(path), path.name)
    if not rows:
        raise Fault(f"{path.name}: is empty")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != (n_columns := len(rows[0])):
            what = f"has {len(row)} values where line {lines[0]} has {n_columns}"
            raise Fault(f"{path.name} line {line}: {what}")
    if header is None:
        header = any(as_number(cell) is None and not is_missing(cell) for cell in rows[0])
    if not header:
        return Table(path.name, None, rows, lines)
    names = rows[0]
    for name, count in Counter(names).items():
        if name and count > 1:
            raise Fault(f"{path.name}: two columns are called {shown(name)}")
    if len(rows) == 1:
        raise Fault(f"{path.name}: has a header and no rows")
    return Table(path.name, names, rows[1:], lines[1:])


def _text(path: Path) -> str:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise Fault(f"{path.name}: larger than {MAX_BYTES // 2**20} MiB; give points in this number as .npy")
    text = text_of(path.read_bytes(), f"{path.name} line ")
    if (position := text.find("\0")) >= 0:
        line = text.count("\n", 0, position) + 1
        raise Fault(f"{path.name} line {line}: a NUL byte; this is not a text file")
    return text


def _rows(text: str, name: str) -> tuple[list[list[str]], list[int]]:
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=_separator(text), skipinitialspace=True, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    line, n_cells = 1, 0
    try:
        for cells in reader:
            n_cells += len(cells) + 1  # a line without any takes time too
            if n_cells > MAX_CELLS:
                raise Fault(f"{name}: more than {MAX_CELLS:,} values; give points in this number as .npy")
            row = [cell.strip() for cell in cells]
            if row not in ([], [""]) and (rows or not row[0].startswith("#")):
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise Fault(f"{name} line {line}: not valid CSV: {error}") from error
    return rows, lines


def _separator(text: str) -> str:
    """Return the separator that the first row with content uses outside quotes."""
    for line in io.StringIO(text):
        if line.strip() and not line.startswith("#"):
            unquoted = "".join(line.split('"')[::2])
            return next((separator for separator in ";\t" if separator in unquoted), ",")
    return ","
