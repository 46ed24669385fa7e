"""``truncflow docs``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from truncflow_cli.cli.options import Debug


def _topics() -> list[str]:
    from truncflow_cli.docs import pages

    return list(pages.TOPICS)


def docs(
    topic: Annotated[
        str | None,
        typer.Argument(
            help="The page to show; without it, the pages that there are.", autocompletion=_topics
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Show a page of the documentation.

    Typeset at a terminal, Markdown in a pipe.
    """
    from truncflow_cli.cli.output import print_facts
    from truncflow_cli.docs import pages

    if topic is None:
        print_facts(pages.TOPICS)
        return
    text = _encodable(pages.text(topic))
    if sys.stdout.isatty():
        _typeset(text)
    else:
        sys.stdout.write(text)


def _encodable(text: str) -> str:
    """Return a text as stdout can take it: with its symbols spelt out where the encoding has none."""
    from truncflow_cli.report.symbols import ascii_only

    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return ascii_only(text)
    return text


def _typeset(text: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.padding import Padding
    from rich.theme import Theme

    # Code without a background of its own, which is dark also on a light terminal.
    console = Console(theme=Theme({"markdown.code": "bold", "markdown.h2": "bold underline"}))
    console.print(Padding(Markdown(text, code_theme="ansi_light", hyperlinks=False), (0, 1)))
