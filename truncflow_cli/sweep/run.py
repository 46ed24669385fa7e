"""A planned sweep is run: the members that are missing, with the table kept up to date meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from truncflow_cli import kernels
from truncflow_cli.runfile.atomic import explained, sync_folder
from truncflow_cli.sweep import folder, local
from truncflow_cli.sweep.member import Report, Result
from truncflow_cli.sweep.plan import Sweep
from truncflow_cli.sweep.table import Table

#: Seconds between two versions of sweep.csv while the sweep goes on.
_WRITE_EVERY = 5.0
#: A long table is written less often: that costs no more than this share of the time.
_WRITE_SHARE = 0.02

Show = Callable[[Report], None]


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
