"""``truncflow sweep``."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from truncflow_cli.cli.guard import ExitCode, say
from truncflow_cli.cli.options import AsJson, ConfigFile, Debug, DryRun, Quiet, Settings
from truncflow_cli.cli.output import command_line, print_facts, print_path
from truncflow_cli.report.json_output import print_json
from truncflow_cli.signals import terminated_by_exception

if TYPE_CHECKING:
    from truncflow_cli.sweep.plan import Sweep
    from truncflow_cli.sweep.run import Table

#: At most so many failed runs are named one by one.
_NAMED_FAILURES = 10
#: A dry run lists at most so many members.
_LISTED = 20


def sweep(
    config: ConfigFile,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            help="Sweep over a key: YAML values with commas between them, or ranges, a:b:n and log:a:b:n, of n "
            "numbers from a to b. Several are crossed.",
            metavar="KEY.PATH=VALUES",
        ),
    ] = None,
    zipped: Annotated[
        list[str] | None,
        typer.Option(
            "--zip", help="Sweep over several keys side by side, value by value.", metavar="KEY.PATH=VALUES"
        ),
    ] = None,
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The folder of the run files, in place of runs/{name}-sweep."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Number of processes; default: one a core.", metavar="N")
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask", help="Run on the Dask cluster of this scheduler, or on a local one.", metavar="ADDRESS"
        ),
    ] = None,
    summary: Annotated[
        str | None,
        typer.Option(
            "--summary",
            help="Draw a column of sweep.csv, such as loss_last, into sweep.pdf and sweep.png.",
            metavar="QUANTITY",
        ),
    ] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run a config for every combination of settings, a run file each, and print the path of the table.

    Started again, it does what is missing; finished run files are left alone.
    """
    terminated_by_exception()
    from truncflow_cli.cli.progress import sweeping
    from truncflow_cli.sweep import local
    from truncflow_cli.sweep import summary as pictures
    from truncflow_cli.sweep.plan import plan_sweep
    from truncflow_cli.sweep.run import run_sweep

    if dask is None and not dry_run:
        local.prepare_workers()  # they load the program while the members are validated here
    plan = plan_sweep(config, grid or (), zipped or (), settings or (), out, command_line())
    quantity = pictures.quantity(summary, plan) if summary is not None else None
    workers = local.number_of_workers(workers, len(plan.members))
    where = f"Dask ({dask})" if dask is not None else f"{workers} processes" if workers > 1 else "1 process"
    if dry_run:
        _print_plan(plan, where, as_json)
        return
    began = time.monotonic()
    table = run_sweep(plan, workers, dask, None if quiet else sweeping(plan, where), say)
    drawn = _draw(plan, table, quantity) if quantity is not None else []
    seconds = time.monotonic() - began
    if as_json:
        print_json(_as_json(plan, table, drawn, seconds))
    else:
        print_path(plan.table_path)
    _print_notes(plan, table, quiet, seconds)
    if code := _exit_code(table):
        raise typer.Exit(code)


def _draw(plan: Sweep, table: Table, quantity: str) -> list[Path]:
    """Draw the summary; that it cannot be drawn takes nothing from the runs."""
    from truncflow_cli.errors import UserError
    from truncflow_cli.sweep import summary

    try:
        return summary.draw(plan, table.rows(), quantity)
    except UserError as error:
        say(f"warning: no summary: {error}")
        return []


def _exit_code(table: Table) -> ExitCode:
    """Return the gravest of the members' exit codes: a defect, a failed run, one that was refused, one cut short."""
    codes = {result.exit_code for result in table.results.values()}
    order = (ExitCode.DEFECT, ExitCode.FAILED, ExitCode.USAGE, ExitCode.INTERRUPTED)
    return next((code for code in order if code in codes), ExitCode.DONE)


def _counts(table: Table) -> dict[str, int]:
    results = table.results.values()
    counts = Counter(result.status for result in results)
    return {
        "complete": counts["complete"],
        "found_complete": sum(not result.fresh for result in results),
        **{status: counts[status] for status in ("failed", "refused", "interrupted")},
    }


def _as_json(plan: Sweep, table: Table, drawn: list[Path], seconds: float) -> dict[str, Any]:
    return {
        "path": plan.table_path,
        "folder": plan.folder,
        "members": len(plan.members),
        **_counts(table),
        "exit_code": int(_exit_code(table)),
        "elapsed_seconds": seconds,
        "summary": drawn,
        "runs": table.rows(),
    }


def _print_notes(plan: Sweep, table: Table, quiet: bool, seconds: float) -> None:
    bad = [result for result in table.results.values() if result.exit_code]
    for result in sorted(bad, key=lambda result: result.index)[:_NAMED_FAILURES]:
        say(f"{result.status}: {plan.members[result.index].name}: {result.message}")
    if len(bad) > _NAMED_FAILURES:
        say(f"... and {len(bad) - _NAMED_FAILURES} more, in {plan.table_path}")
    if quiet:
        return
    counts = _counts(table)
    there = f" ({counts['found_complete']} already there)" if counts["found_complete"] else ""
    rest = "".join(
        f", {counts[name]} {name}" for name in ("failed", "refused", "interrupted") if counts[name]
    )
    say(f"{counts['complete']} of {len(plan.members)} runs complete{there}{rest}, {seconds:.1f} s")


def _print_plan(plan: Sweep, where: str, as_json: bool) -> None:
    there = sum((plan.folder / member.file_name).exists() for member in plan.members)
    facts: dict[str, Any] = {
        "name": plan.name,
        "config": plan.source.document.label,
        "members": len(plan.members),
        "axes": [{"keys": axis.keys, "values": len(axis)} for axis in plan.axes],
        "folder": plan.folder,
        "files_there": there,
        "where": where,
    }
    if as_json:
        print_json({**facts, "files": [plan.folder / member.file_name for member in plan.members]})
        return
    print_facts(
        {
            "would run": f"{plan.name} ({plan.source.document.label}), {len(plan.members):,} runs",
            "over": " × ".join(f"{', '.join(axis.keys)} ({len(axis)})" for axis in plan.axes),
            "on": where,
            "into": f"{plan.folder} ({there:,} of the files are there)",
        }
    )
    for member in plan.members[:_LISTED]:
        typer.echo(f"  {member.file_name}")
    if len(plan.members) > _LISTED:
        typer.echo(f"  ... and {len(plan.members) - _LISTED:,} more")
