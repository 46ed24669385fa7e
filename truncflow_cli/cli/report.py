"""``truncflow report``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from truncflow_cli.cli.guard import ExitCode, say
from truncflow_cli.cli.options import Debug, RunPaths

if TYPE_CHECKING:
    from truncflow_cli.store import RunFile


def report(
    runs: RunPaths,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: an object for one run, an array for several.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a CSV table, a row a run.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 4 if a certificate is violated.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Show what happened in a run, or in several."""
    from truncflow_cli.errors import UserError
    from truncflow_cli.store import open_run

    if as_json and as_csv:
        raise UserError("--json and --csv exclude each other")
    with ExitStack() as stack:
        files = [stack.enter_context(open_run(path)) for path in runs]
        if as_json:
            _print_json(files)
        elif as_csv:
            _print_csv(files)
        else:
            _print_text(files)
        violated = [f"{file.path}: {name}" for file in files for name in _violated(file)]
    if strict and violated:
        say("violated: " + ", ".join(violated))
        raise typer.Exit(ExitCode.VIOLATED)


def _print_json(files: Sequence[RunFile]) -> None:
    from truncflow_cli.cli.output import print_json
    from truncflow_cli.report.tables import run_json

    objects = [run_json(file) for file in files]
    print_json(objects[0] if len(objects) == 1 else objects)


def _print_csv(files: Sequence[RunFile]) -> None:
    from truncflow_cli.cli.output import print_csv
    from truncflow_cli.report.tables import run_rows

    rows = run_rows(files)
    header = list(dict.fromkeys(name for row in rows for name in row))
    print_csv(header, ([row.get(name, "") for name in header] for row in rows))


def _print_text(files: Sequence[RunFile]) -> None:
    from rich.console import Console

    from truncflow_cli.report.terminal import render

    class Output(Console):
        """Leaves a reader that has seen enough, as ``| head`` does, to the guard; rich would exit with 1."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    console = Output()
    for file in files:
        render(file, console)


def _violated(file: RunFile) -> list[str]:
    return [name for name, certificate in file.certificates.items() if certificate.verdict == "violated"]
