"""``truncflow events``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from truncflow_cli.cli.options import Debug, RunPath

if TYPE_CHECKING:
    from truncflow_cli.run_data import Run


def events(run: RunPath, debug: Debug = False) -> None:
    """Print the event log as CSV, a row an event.

    Indices count from 0; -1 stands where one does not apply. A log of any length is printed as it is read.
    """
    from truncflow_cli.cli.output import print_csv
    from truncflow_cli.events import EVENT_DTYPE
    from truncflow_cli.runfile import open_run

    with open_run(run) as file:
        print_csv(EVENT_DTYPE.names or (), _rows(file))


def _rows(run: Run) -> Iterator[tuple[Any, ...]]:
    from truncflow_cli.events import Kind

    names = [kind.name.lower() for kind in Kind]
    for block in run.event_blocks():
        columns = {name: block[name].tolist() for name in block.dtype.names or ()}
        columns["kind"] = [names[kind] for kind in columns["kind"]]
        yield from zip(*columns.values(), strict=True)
