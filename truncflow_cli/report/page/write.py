"""Putting the page where it belongs, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from truncflow_cli.errors import UserError
from truncflow_cli.report.page.document import page
from truncflow_cli.report.replacing import replacing
from truncflow_cli.run_data import Run

#: How every page begins; a file that does not is not replaced by one.
BEGINNING = b"<!doctype html>"


def write_page(run: Run, path: Path) -> Path:
    """Write the page of a run, of any flow and status; a page that is there already is replaced in one step.

    Args:
        run: the run, open.
        path: the file to write; its folder is made if need be.

    Returns:
        The file, symbolic links resolved.

    Raises:
        UserError: it cannot be written, or something else than a page lies there.
    """
    target = Path(os.path.realpath(path))
    _check(target)
    text = page(run)
    with replacing(target) as part:
        part.write_text(text, encoding="utf-8", errors="replace")
    return target


def _check(target: Path) -> None:
    """Refuse to replace what is not a page: a config or a run file named by mistake."""
    if not target.exists():
        return
    if not target.is_file():
        raise UserError(f"{target} is not a regular file; choose another name for the page")
    try:
        with target.open("rb") as stream:
            beginning = stream.read(len(BEGINNING))
    except OSError as error:
        raise UserError(f"cannot read {target}: {os.strerror(error.errno or 0).lower()}") from error
    if beginning.lower() != BEGINNING and beginning:
        raise UserError(f"{target} exists and is not a page of a run; choose another name for the page")
