"""The files that ``truncflow report`` draws: figures, a page, an animation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from truncflow_cli.errors import UserError

if TYPE_CHECKING:
    from truncflow_cli.runfile import RunFile

PAGE_SUFFIXES = (".html", ".htm")
ANIMATION_SUFFIXES = (".gif", ".mp4")


@dataclass(frozen=True)
class Wanted:
    """What is to be drawn, and where.

    Attributes:
        figures: the folder of the figures.
        page: the HTML page.
        animation: the animation.
    """

    figures: Path | None
    page: Path | None
    animation: Path | None

    def __bool__(self) -> bool:
        """Whether anything is."""
        return any((self.figures, self.page, self.animation))

    def check(self, runs: int) -> None:
        """Refuse what cannot be drawn, before anything is.

        Raises:
            UserError: one page or animation for several runs, or a name that is not that of such a file.
        """
        for option, path, suffixes in (
            ("--html", self.page, PAGE_SUFFIXES),
            ("--animate", self.animation, ANIMATION_SUFFIXES),
        ):
            if path is None:
                continue
            if runs > 1:
                raise UserError(f"{option} shows one run, not {runs}; call report for each of them")
            if path.suffix.lower() not in suffixes:
                raise UserError(
                    f"{option} {path}: the name of the file has to end in {' or '.join(suffixes)}"
                )
            if path.is_dir():
                raise UserError(f"{option} {path}: a folder; name the file to write")
        if self.figures is not None and self.figures.exists() and not self.figures.is_dir():
            raise UserError(f"--figures {self.figures}: a file; name the folder to write the figures to")


def draw(wanted: Wanted, run: RunFile, figures: Path | None) -> Iterator[Path]:
    """Draw what is wanted of a run, its figures into the folder ``figures``; yield each file once it is there."""
    if figures is not None:
        from truncflow_cli.report.figures import draw as draw_figures

        yield from draw_figures(run, figures)
    if wanted.page is not None:
        from truncflow_cli.report.page import write_page

        write_page(run, wanted.page)
        yield wanted.page
    if wanted.animation is not None:
        from truncflow_cli.report.animation import animate

        with frames() as progress:
            animate(run, wanted.animation, progress)
        yield wanted.animation


def folder_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each run's own folder: the stem of its file, made different where two are alike."""
    names: list[str] = []
    for path in paths:
        stem = path.stem
        name, number = stem, 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return names


@contextmanager
def frames() -> Iterator[Callable[[int, int], None]]:
    """Show on stderr, where that is a terminal, how many frames of how many are drawn."""
    from truncflow_cli.cli import progress

    if not progress.is_wanted():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f} of {task.total:.0f} frames"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)
