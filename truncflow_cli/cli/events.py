"""``truncflow events``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from truncflow_cli.cli.options import Debug, RunPath

if TYPE_CHECKING:
    from truncflow_cli.model.events import EventLog

#: Rows turned into text at a time.
_BLOCK = 10_000


def events(run: RunPath, debug: Debug = False) -> None:
    """Print the event log as CSV, a row an event.

    Indices count from 0; -1 stands where one does not apply.
    """
    from truncflow_cli.cli.output import print_csv
    from truncflow_cli.model.events import EVENT_DTYPE
    from truncflow_cli.store import open_run

    with open_run(run) as file:
        print_csv(EVENT_DTYPE.names or (), _rows(file.events))


def _rows(log: EventLog) -> Iterator[tuple[Any, ...]]:
    from truncflow_cli.model.events import Kind

    names = [kind.name.lower() for kind in Kind]
    for start in range(0, len(log), _BLOCK):
        for s, kind, *indices in log[start : start + _BLOCK].tolist():
            yield s, names[kind], *indices
