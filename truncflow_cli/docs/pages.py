"""The pages that ``truncflow docs`` shows."""

from __future__ import annotations

from importlib.resources import files

from truncflow_cli.config.errors import listed, shown, suggestion
from truncflow_cli.errors import UserError

#: Each page with what it is about, in the order in which they are listed.
TOPICS = {
    "gallery": "the shipped configs: what each shows, and what it gives",
    "commands": "every command with its options",
    "config": "every key of a config: values, default, meaning, equation",
    "editors": "completion and help in editors and in the shell",
    "run-file": "the layout of a run file, and how to read it with xarray, h5py and Python",
    "comparing": "runs against each other: what differs, how far they part, from which event on",
    "sweep": "many runs: grids, ranges, zips, Dask, starting again, the table, pictures, shell loops",
    "promises": "what a run survives, what is refused, what is the same again, and the test of each",
    "architecture": "how the program is built, what goes where, where each equation is evaluated",
    "mathematics": "the equations, the corrections to the paper, and how to check them oneself",
}


def text(topic: str) -> str:
    """Return a page, in Markdown.

    Raises:
        UserError: there is no such page.
    """
    if topic not in TOPICS:
        hint = suggestion(topic, tuple(TOPICS))
        raise UserError(f"{shown(topic)} is not a page{hint}; there are: {listed(tuple(TOPICS))}")
    return files("truncflow_cli").joinpath("docs", f"{topic}.md").read_text(encoding="utf-8")
