"""The command ``truncflow``. Commands import what they need when they run: --help has to be instant."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import truncflow_cli
from truncflow_cli.cli import check, docs, events, new, report, run, schema, sweep, trajectory
from truncflow_cli.cli.guard import drop_stdout, guarded

app = typer.Typer(
    name="truncflow",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: How often garbage is collected: seldom, for what is made while libraries are loaded stays, and is a lot.
_RARELY = (50_000, 20, 50)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"truncflow {truncflow_cli.__version__}")
        raise typer.Exit


@app.callback()
def truncflow(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Gradient-flow equations of cumulative biases and rotations of a ReLU network, exact at every event.

    Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 a defect of the program, 2 bad
    usage, config or input file, 3 the run failed numerically, 4 a certificate is violated (--strict), 130
    interrupted, 143 terminated.
    """


for command in (
    run.run,
    report.report,
    check.check,
    new.new,
    schema.schema,
    events.events,
    trajectory.trajectory,
    sweep.sweep,
    docs.docs,
):
    app.command()(guarded(command))


def main() -> None:
    """Run the command line and end the process."""
    _open_closed_streams()
    gc.set_threshold(*_RARELY)
    try:
        app(prog_name="truncflow")
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        drop_stdout()  # --help | head: nobody reads on, and that is no error
        sys.exit(0)
    finally:
        gc.freeze()  # the libraries' 10⁶ objects end with the process; looking through them once more takes 0.2 s


def _open_closed_streams() -> None:
    """Let what is printed to a stream that the caller has closed go nowhere."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - open until the process ends
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
