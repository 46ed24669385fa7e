"""The table of a sweep: its columns, those of ``report --csv`` among them, and its file ``sweep.csv``."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from truncflow_cli.diagnostics import names
from truncflow_cli.events import Kind, of_kind
from truncflow_cli.report.tables import run_row
from truncflow_cli.run_data import Run, Verdict

#: A run, by the names of the columns.
Row = dict[str, Any]

#: Columns that count certificates, and the verdict each counts.
_VERDICTS: dict[str, Verdict] = {
    f"verdicts_{verdict.replace(' ', '_')}": verdict for verdict in get_args(Verdict)
}


def columns(keys: Iterable[str]) -> list[str]:
    """Return every column that a sweep over these keys has."""
    known = [
        *("status", "exit_code", "flow", "equations", "rotation_frozen", "seed", "N", "Q", "C", "L", "s_end"),
        *(
            "loss_first",
            "loss_last",
            "events",
            *(f"events_{kind.name.lower()}" for kind in Kind),
            "max_abs_D",
        ),
        *(f"certificate_{name}" for name in names()),
        *("elapsed_seconds", *_VERDICTS, "s_full_truncation"),
    ]
    return list(dict.fromkeys([*keys, *known]))


def columns_of(run: Run) -> Row:
    """Return the columns of one run: those of ``report --csv``, and what pictures of sweeps are made of.

    These are the number of certificates of each verdict, and ``s_full_truncation``: the time from which every
    cluster stays fully truncated by some layer, None if that is not so at the end.
    """
    verdicts = [certificate.verdict for certificate in run.certificates.values()]
    return {
        **run_row(run),
        **{name: verdicts.count(verdict) for name, verdict in _VERDICTS.items()},
        "s_full_truncation": _full_truncation(run),
    }


def _full_truncation(run: Run) -> float | None:
    """Return the time from which every cluster stays in S_ℓ⁻ of some layer ℓ, None if one does not at the end."""
    since: dict[tuple[int, int], float] = {}
    for event in run.events[of_kind(run.events, Kind.COLLAPSE, Kind.UNCOLLAPSE)]:
        place = int(event["cluster"]), int(event["layer"])
        if event["kind"] == Kind.COLLAPSE:
            since[place] = float(event["s"])
        else:
            since.pop(place, None)
    first: dict[int, float] = {}
    for (cluster, _), s in since.items():
        first[cluster] = min(s, first.get(cluster, s))
    return max(first.values()) if first and len(first) == run.n_clusters else None


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
            table.writerows([_without_line_breaks(row.get(name)) for name in names] for row in rows)
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


def _without_line_breaks(value: Any) -> Any:
    return " ".join(value.split()) if isinstance(value, str) and "\n" in value else value
