"""CSV files: rows of equal length, with or without a header, comma, semicolon or tab between the values."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from truncflow_cli.config.errors import Fault, shown
from truncflow_cli.problem import Array

#: What is read within seconds; a larger set of points is better off as .npy.
MAX_BYTES = 64 * 2**20
MAX_CELLS = 4_000_000
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})


@dataclass(frozen=True)
class Table:
    """The cells of a CSV file.

    Attributes:
        header: names of the columns, or None if the first row holds values.
        rows: the cells, stripped of blanks.
        lines: the line each row begins in, from 1.
    """

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

    def numbers(self, column: int, file: str) -> Array:
        """Return a column's values.

        Raises:
            Fault: a value is missing or not a finite number; the message has its line.
        """
        cells = [row[column] for row in self.rows]
        try:
            values = np.array([float(cell) for cell in cells])
        except ValueError:
            values = None
        if values is not None and np.isfinite(values).all() and not any("_" in cell for cell in cells):
            return values
        raise self._fault(cells, column, file)

    def _fault(self, cells: list[str], column: int, file: str) -> Fault:
        """Return what is wrong with the first cell of a column that is not a finite number."""
        numbers = map(as_number, cells)
        index = next(i for i, number in enumerate(numbers) if number is None or not math.isfinite(number))
        where = f"{file} line {self.lines[index]}, {self.column_name(column)}"
        return Fault(f"{where}: {_what_is_wrong(cells[index])}")

    def matrix(self, file: str) -> Array:
        """Return all columns as numbers, (rows, columns)."""
        return np.stack([self.numbers(column, file) for column in range(self.n_columns)], axis=1)


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
    if any(separator in cell for separator in " ,;|:") and as_number(cell.replace(",", ".")) is not None:
        return f"{shown(cell)} is not a number; write decimals with a point"
    if any(separator in cell for separator in " ,;|:"):
        return (
            f"{shown(cell)} is not a number; values are separated by commas, semicolons or tabs, the "
            f"same all through"
        )
    return f"{shown(cell)} is not a number"


def read_csv(path: Path, header: bool | None = None) -> Table:
    """Read a CSV file.

    Blank lines, and lines beginning with # before the first row, are skipped. The separator is a semicolon or
    tab if the first row has one outside quotes, else a comma.

    Args:
        path: the file, UTF-8 (or UTF-16 with a byte order mark).
        header: whether the first row names the columns; None: it does if one of its cells is not a number.

    Raises:
        Fault: no rows, rows of different length, too many, or not a text.
    """
    text = _text(path)
    rows, lines = _rows(text, path.name)
    if not rows:
        raise Fault(f"{path.name}: is empty")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(rows[0]):
            raise Fault(
                f"{path.name} line {line}: has {len(row)} values where line {lines[0]} has {len(rows[0])}"
            )
    if header is None:
        header = any(as_number(cell) is None and not is_missing(cell) for cell in rows[0])
    names = rows.pop(0) if header else None
    if names is not None:
        lines.pop(0)
        if (name := _doubled(names)) is not None:
            raise Fault(f"{path.name}: two columns are called {shown(name)}")
    if not rows:
        raise Fault(f"{path.name}: has a header and no rows")
    return Table(names, rows, lines)


def _doubled(names: list[str]) -> str | None:
    """Return the first name, apart from none at all, that stands a second time."""
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            return name
        seen.add(name)
    return None


def _text(path: Path) -> str:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise Fault(f"{path.name}: larger than {MAX_BYTES // 2**20} MiB; give points in this number as .npy")
    data = path.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Fault(f"{path.name} line {line}: not UTF-8 text (byte 0x{data[error.start]:02x})") from error
    if (position := text.find("\0")) >= 0:
        raise Fault(
            f"{path.name} line {text.count(chr(10), 0, position) + 1}: a NUL byte; this is not a text file"
        )
    return text


def _rows(text: str, name: str) -> tuple[list[list[str]], list[int]]:
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=_separator(text), skipinitialspace=True, strict=True
    )
    rows: list[list[str]] = []
    lines: list[int] = []
    line, n_cells = 1, 0
    try:
        for cells in reader:
            n_cells += len(cells) + 1  # a line without any takes time too
            if n_cells > MAX_CELLS:
                raise Fault(f"{name}: more than {MAX_CELLS:,} values; give points in this number as .npy")
            row = [cell.strip() for cell in cells]
            is_comment = not rows and bool(row) and row[0].startswith("#")
            if row not in ([], [""]) and not is_comment:
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
