"""A planned sweep is run: the members that are missing, with ``sweep.csv`` kept up to date meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from truncflow_cli import kernels
from truncflow_cli.runfile.atomic import explained, sync_folder
from truncflow_cli.sweep import folder, local
from truncflow_cli.sweep.grid import Member
from truncflow_cli.sweep.member import Report, Result
from truncflow_cli.sweep.plan import Sweep
from truncflow_cli.sweep.table import Row, read_csv, write_csv

#: Seconds between two versions of sweep.csv while the sweep goes on.
_WRITE_EVERY = 5.0
#: A long table is written less often: that costs no more than this share of the time.
_WRITE_SHARE = 0.02

Show = Callable[[Report], None]

#: Status of a member that this sweep has not come to.
NOT_RUN = "not run"


class Table:
    """The rows of a sweep as its members end.

    What an earlier sweep has written of members that this one has not come to yet stays in the file.

    Attributes:
        results: how members ended, by index.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._earlier = {Path(row.get("file", "")).name: row for row in read_csv(sweep.table_path)}
        self.results: dict[int, Result] = {}

    def take(self, result: Result) -> None:
        """Have the row of a member that has ended."""
        self.results[result.index] = result

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
        row: Row = {"file": str(self._sweep.folder / member.file_name)}
        row |= {key: value.plain for key, value in member.parameters}
        result = self.results.get(member.index)
        if result is None:
            more = self._earlier.get(member.file_name, {"status": NOT_RUN})
        else:
            row |= {"status": result.status, "exit_code": result.exit_code, "message": result.message}
            more = result.row or {}
        return row | {name: value for name, value in more.items() if name not in row}


def run_sweep(
    plan: Sweep,
    workers: int,
    dask: str | None = None,
    display: AbstractContextManager[Show | None] | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> Table:
    """Run what is missing, and return the table.

    Args:
        plan: the sweep.
        workers: number of processes.
        dask: address of the scheduler that runs the members; None for processes of this machine.
        display: entered while members run; what it gives is called with every report.
        say: called with what somebody who waits should know.

    Raises:
        UserError: another sweep has the folder, or workers do not start, or the table cannot be written.
    """
    kernels.prepare("auto", say)
    with folder.locked(plan.folder), explained(plan.table_path):
        table = Table(plan)
        next_write = time.monotonic() + _WRITE_EVERY
        with display or nullcontext() as show:

            def take(report: Report) -> None:
                nonlocal next_write
                if show is not None:
                    show(report)
                if not isinstance(report, Result):
                    return
                table.take(report)
                began = time.monotonic()
                if began >= next_write:
                    table.write()
                    now = time.monotonic()
                    next_write = now + max(_WRITE_EVERY, (now - began) / _WRITE_SHARE)

            try:
                if dask is not None:
                    from truncflow_cli.sweep.dask import run_dask  # needs an extra

                    run_dask(plan.source, plan.members, dask, workers, take)
                else:
                    local.run_local(plan.source, plan.members, workers, take)
            finally:
                if table.results:
                    table.write()
                    sync_folder(plan.folder)
    return table
