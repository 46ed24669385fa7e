"""``truncflow report``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from truncflow_cli.cli.guard import ExitCode, say
from truncflow_cli.cli.options import Debug, RunPaths

if TYPE_CHECKING:
    from truncflow_cli.cli.drawing import Wanted
    from truncflow_cli.run_data import Run


def report(
    runs: RunPaths,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: an object for one run, an array for several.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a CSV table, a row a run.")] = False,
    figures: Annotated[
        Path | None,
        typer.Option(
            "--figures",
            help="Draw figures, vector and raster, into this folder; for several runs into a folder each, "
            "and how they compare.",
            metavar="DIR",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--html", help="Write one page that needs nothing else (one run).", metavar="FILE"),
    ] = None,
    animation: Annotated[
        Path | None,
        typer.Option("--animate", help="Animate the geometry, .gif or .mp4 (one run).", metavar="FILE"),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 4 if a certificate is violated.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Show what happened in a run, or how several runs compare with the first of them.

    Of several runs: what differs in their configs, their losses over one another, how far their states part,
    which events they share and where they part. In an array of JSON, each run but the first has this as
    "comparison".

    With --figures, --html or --animate the paths of the files that were written are printed instead, one a
    line; if a table or JSON is asked for as well, they are said on stderr.
    """
    from truncflow_cli.cli.drawing import Wanted
    from truncflow_cli.cli.output import print_path
    from truncflow_cli.errors import UserError

    if as_json and as_csv:
        raise UserError("--json and --csv exclude each other")
    wanted = Wanted(figures, page, animation)
    wanted.check(len(runs))
    violated: list[str] = []
    if as_json:
        _print_json(runs, violated)
    elif as_csv:
        _print_csv(runs, violated)
    elif not wanted:
        _print_text(runs, violated)
    if wanted:
        for path in _draw(wanted, runs, violated):
            if as_json or as_csv:
                say(f"wrote {os.fsencode(path).decode(errors='replace')}")
            else:
                print_path(path)
    if strict and violated:
        say("violated: " + ", ".join(dict.fromkeys(violated)))
        raise typer.Exit(ExitCode.VIOLATED)


def _opened(paths: Sequence[Path], violated: list[str]) -> Iterator[Run]:
    """Open one run after the other, and note what is violated in it: any number of files can be looked at."""
    from truncflow_cli.runfile import open_run

    for path in paths:
        with open_run(path) as run:
            yield run
            violated += [
                f"{run.path}: {name}"
                for name, certificate in run.certificates.items()
                if certificate.verdict == "violated"
            ]


def _beside_first(paths: Sequence[Path], violated: list[str]) -> Iterator[tuple[int, Run, Run]]:
    """Open one run after the other beside the first; yield its number, the first and itself."""
    from truncflow_cli.runfile import open_run

    with open_run(paths[0]) as first:
        for index, run in enumerate(_opened(paths, violated)):
            yield index, first, run


def _print_json(paths: Sequence[Path], violated: list[str]) -> None:
    from truncflow_cli.report.compare import compare
    from truncflow_cli.report.compare.tables import comparison_json
    from truncflow_cli.report.json_output import print_json
    from truncflow_cli.report.tables import run_json

    objects: list[dict[str, Any]] = []
    for index, first, run in _beside_first(paths, violated):
        comparison = {"comparison": comparison_json(compare(first, run))} if index else {}
        objects.append(run_json(run) | comparison)
    print_json(objects[0] if len(objects) == 1 else objects)


def _print_csv(paths: Sequence[Path], violated: list[str]) -> None:
    from truncflow_cli.cli.output import print_csv
    from truncflow_cli.report.tables import run_rows

    rows = run_rows(_opened(paths, violated))
    header = list(dict.fromkeys(name for row in rows for name in row))
    print_csv(header, ([row.get(name, "") for name in header] for row in rows))


def _print_text(paths: Sequence[Path], violated: list[str]) -> None:
    from truncflow_cli.cli.output import printed_whole

    if len(paths) == 1:
        from truncflow_cli.report.text import render

        for run in _opened(paths, violated):
            with printed_whole() as console:  # damage can be met anywhere in a file
                render(run, console)
        return
    from truncflow_cli.report.compare import compare, member
    from truncflow_cli.report.compare.terminal import MOST_PAIRS, render_comparison

    members, comparisons = [], []
    for index, first, run in _beside_first(paths, violated):
        members.append(member(run))
        if 0 < index <= MOST_PAIRS:
            comparisons.append(compare(first, run))
    with printed_whole() as console:
        render_comparison(members, comparisons, console)


def _draw(wanted: Wanted, paths: Sequence[Path], violated: list[str]) -> Iterator[Path]:
    from truncflow_cli.cli.drawing import draw, folder_names
    from truncflow_cli.report.compare import Comparison, Member, compare, member
    from truncflow_cli.report.compare.compare import MOST_COMPARED
    from truncflow_cli.runfile import open_run

    for path in paths:  # nothing is drawn of some runs if another one is damaged
        with open_run(path) as run:
            run.verify()
    folder, several = wanted.figures, len(paths) > 1
    names = folder_names(paths)
    members: list[Member] = []
    comparisons: list[Comparison] = []
    for index, first, run in _beside_first(paths, violated):
        yield from draw(wanted, run, folder / names[index] if folder is not None and several else folder)
        if several:
            members.append(member(run))
        if 0 < index <= MOST_COMPARED:
            comparisons.append(compare(first, run))
    if folder is not None and several:
        from truncflow_cli.report.compare.drawings import (
            draw_comparison,  # after the runs': matplotlib is there
        )

        yield from draw_comparison(members, comparisons, names, folder)
