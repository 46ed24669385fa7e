"""The files that ``truncflow report`` draws: figures, a page, an animation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from truncflow_cli.errors import UserError

if TYPE_CHECKING:
    from truncflow_cli.run_data import Run


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
            ("--html", self.page, (".html", ".htm")),
            ("--animate", self.animation, (".gif", ".mp4")),
        ):
            if path is None:
                continue
            if runs > 1:
                raise UserError(f"{option} shows one run, not {runs}; call report for each of them")
            if path.suffix.lower() not in suffixes:
                allowed = " or ".join(suffixes)
                raise UserError(f"{option} {path}: the name of the file has to end in {allowed}")
            if path.is_dir():
                raise UserError(f"{option} {path}: a folder; name the file to write")
        if self.figures is not None and self.figures.exists() and not self.figures.is_dir():
            raise UserError(f"--figures {self.figures}: a file; name the folder to write the figures to")


def draw(wanted: Wanted, run: Run, figures: Path | None) -> Iterator[Path]:
    """Draw what is wanted of a run, its figures into the folder ``figures``; yield each file once it is there."""
    if figures is not None:
        from truncflow_cli.report.figures import draw as draw_figures

        yield from draw_figures(run, figures)
    if wanted.page is not None:
        from truncflow_cli.report.page import write_page

        write_page(run, wanted.page)
        yield wanted.page
    if wanted.animation is not None:
        from truncflow_cli.cli.progress import frames
        from truncflow_cli.report.figures import require_matplotlib

        require_matplotlib()
        from truncflow_cli.report.figures.animation import animate

        with frames() as progress:
            animate(run, wanted.animation, progress)
        yield wanted.animation


def folder_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each run's own folder: the stem of its file, made different where two are alike."""
    names: list[str] = []
    for path in paths:
        name, number = path.stem, 1
        while name in names:
            number += 1
            name = f"{path.stem}-{number}"
        names.append(name)
    return names
