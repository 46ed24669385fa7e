"""``truncflow new``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from truncflow_cli.cli.guard import say
from truncflow_cli.cli.options import Debug

#: The longest name a config can have.
_LONGEST = 200


def _flows() -> list[str]:
    from truncflow_cli import templates

    return templates.flows()


def new(
    name: Annotated[str, typer.Argument(help="Name of the config, and of its runs.", metavar="NAME")],
    flow: Annotated[
        str,
        typer.Option(
            "--flow",
            help="separated, general, collapsed or clustered.",
            metavar="FLOW",
            autocompletion=_flows,
        ),
    ] = "separated",
    debug: Debug = False,
) -> None:
    """Write a commented config that is ready to run, with every key that its flow knows.

    NAME.yaml in the current folder, whose path is printed; a file that exists is left alone.
    """
    from truncflow_cli import templates
    from truncflow_cli.errors import UserError

    text, path = templates.text(flow), _path(name)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path} exists already and is left alone; choose another name") from None
    typer.echo(path)
    quoted = shlex.quote(str(path))
    say(f"next: truncflow check {quoted}, truncflow run {quoted}")


def _path(name: str) -> Path:
    """Return the file to write for a name.

    Raises:
        UserError: it is not the name of a file in the current folder.
    """
    from truncflow_cli.config.errors import shown
    from truncflow_cli.errors import UserError

    stem = name.removesuffix(".yaml")
    allowed = stem.strip(". ") and not stem.startswith("-") and "/" not in stem and stem.isprintable()
    if not allowed or len(stem) > _LONGEST:
        raise UserError(
            f"{shown(name)} cannot be a config's name: it becomes that of a file here, NAME.yaml, of at most "
            f"{_LONGEST} characters"
        )
    return Path(f"{stem}.yaml")
