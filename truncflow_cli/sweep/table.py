"""The table of a sweep: a row a run, in the order of the members, kept in ``sweep.csv``."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from truncflow_cli.sweep.grid import Member
from truncflow_cli.sweep.member import Result
from truncflow_cli.sweep.plan import Sweep

Row = dict[str, Any]

#: Status of a member that this sweep has not come to.
NOT_RUN = "not run"


class Table:
    """The rows of a sweep as its members end.

    What an earlier sweep has written of members that this one has not come to yet stays in the file.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._earlier = {Path(row.get("file", "")).name: row for row in read_csv(sweep.table_path)}
        self._results: dict[int, Result] = {}

    def take(self, result: Result) -> None:
        """Have the row of a member that has ended."""
        self._results[result.index] = result

    @property
    def results(self) -> Mapping[int, Result]:
        """How members ended, by index."""
        return self._results

    def rows(self) -> list[Row]:
        """Return the rows, in the order of the members."""
        return [self._row(member) for member in self._sweep.members]

    def write(self) -> None:
        """Put ``sweep.csv`` in place as a whole; leave it alone if it says just this.

        Raises:
            OSError: it cannot be written.
        """
        write_csv(self._sweep.table_path, self.rows())

    def _row(self, member: Member) -> Row:
        file = str(self._sweep.folder / member.file_name)
        parameters = {key: value.plain for key, value in member.parameters}
        result = self._results.get(member.index)
        if result is None:
            earlier = self._earlier.get(member.file_name, {"status": NOT_RUN})
            row = {"file": file, **parameters}
            return row | {name: value for name, value in earlier.items() if name not in row}
        outcome = {"status": result.status, "exit_code": result.exit_code, "message": result.message}
        row = {"file": file, **parameters, **outcome}
        return row | {name: value for name, value in (result.row or {}).items() if name not in row}


def header(rows: Iterable[Row]) -> list[str]:
    """Return the columns of rows of which some, those without a run file, have the first few only."""
    names: dict[str, None] = {}
    for row in sorted(rows, key=len, reverse=True):
        names.update(dict.fromkeys(row))
    return list(names)


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write a table in one step: its name holds the old one or the new one, never a part."""
    names = header(rows)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(names)
            table.writerows([_cell(row.get(name)) for name in names] for row in rows)
            stream.flush()
            os.fsync(stream.fileno())
        if not path.exists() or path.read_bytes() != part.read_bytes():
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_csv(path: Path) -> list[Row]:
    """Return the rows of a table as texts; none if there is no table that can be read."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = csv.DictReader(stream, restval="")
            return [{name: cell for name, cell in row.items() if name is not None} for row in rows]
    except (OSError, UnicodeError, csv.Error):
        return []


def _cell(value: Any) -> Any:
    """Return a value as the file has it: as ``report --csv`` prints it, without line breaks."""
    return " ".join(value.split()) if isinstance(value, str) and "\n" in value else value
