"""Results on stdout: paths, lines of facts, CSV that loses no digit, and what rich renders."""

from __future__ import annotations

import csv
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def command_line() -> str:
    """Return the command as it was given."""
    return shlex.join(["truncflow", *sys.argv[1:]]).encode(errors="backslashreplace").decode()


def print_path(path: Path) -> None:
    """Print a path: the bytes of its name, whatever their encoding."""
    typer.echo(os.fsencode(path))


def print_facts(facts: Mapping[str, object]) -> None:
    """Print a line for each name, with what there is to say of it."""
    width = max(map(len, facts))
    for name, text in facts.items():
        typer.echo(f"{name:{width}}  {text}")


def print_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table with a header; floats with as many digits as give them back exactly.

    Nothing is printed if already the first row cannot be had.
    """
    rows = iter(rows)
    first = list(islice(rows, 1))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(header)
    table.writerows(first)
    table.writerows(rows)


@contextmanager
def printed_whole() -> Iterator[Console]:
    """Give a console whose text is printed at the end of the block: an error leaves no half of a report."""
    from rich.console import Console

    console = Console()
    with console.capture() as whole:
        yield console
    sys.stdout.write(whole.get())
