"""Writes the generated pages: ``python -m truncflow_cli.docs.generate`` after a change of what they are made from."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from truncflow_cli.docs.commandpage import commands_page
from truncflow_cli.docs.configpage import config_page
from truncflow_cli.docs.runfilepage import run_file_page

FOLDER = Path(__file__).parent

#: The generated pages, and what makes them.
PAGES = {"commands": commands_page, "config": config_page, "run-file": run_file_page}


def outdated() -> list[str]:
    """Return the pages that are not what would be written now."""
    return [name for name, make in PAGES.items() if _read(name) != make()]


def write(names: Iterable[str]) -> list[Path]:
    """Write pages, and return their files."""
    written = []
    for name in names:
        path = FOLDER / f"{name}.md"
        path.write_text(PAGES[name](), encoding="utf-8")
        written.append(path)
    return written


def _read(name: str) -> str:
    path = FOLDER / f"{name}.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    for path in write(outdated()):
        sys.stdout.write(f"{path}\n")
