"""Figures of a run, each as PDF, SVG and PNG: ``draw(run, folder)``.

``catalog`` names them all. matplotlib (extra ``plot``) is imported by the modules here only, never by this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from truncflow_cli.errors import UserError

if TYPE_CHECKING:
    from truncflow_cli.run_data import Run


def draw(run: Run, folder: Path) -> Iterator[Path]:
    """Draw every figure that the run's flow has, and yield each file once it is there.

    They are called ``{run}-{figure}.pdf``, ``.svg`` and ``.png`` after the run file and what they show. A file of
    that name is replaced, in one step; nothing else in the folder, made if it is missing, is touched.

    Raises:
        UserError: matplotlib is missing, or a file cannot be written.
    """
    require_matplotlib()
    from truncflow_cli.report.figures.catalog import figures_of
    from truncflow_cli.report.figures.style import save

    for name, figure in figures_of(run):
        yield from save(figure, Path(folder), f"{run.path.stem}-{name}")


def require_matplotlib() -> None:
    """Say what to install if matplotlib cannot be imported.

    Raises:
        UserError: it is not there.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError(f"pictures need matplotlib ({error}): pip install 'truncflow[plot]'") from error
