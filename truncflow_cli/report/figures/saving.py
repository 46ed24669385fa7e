"""Writing a figure in every format, each file in one step and the same each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from truncflow_cli.report.figures.style import DPI, applied
from truncflow_cli.report.replacing import replacing

#: How each format is written. It says of itself neither date nor version, so that the same run gives the same file.
_WRITERS: dict[str, Callable[[Figure, str], Any]] = {
    "pdf": lambda figure, path: FigureCanvasPdf(figure).print_pdf(
        path, metadata={"CreationDate": None, "Creator": "truncflow", "Producer": None}
    ),
    "svg": lambda figure, path: FigureCanvasSVG(figure).print_svg(
        path, metadata={"Date": None, "Creator": "truncflow"}
    ),
    "png": lambda figure, path: FigureCanvasAgg(figure).print_png(path, metadata={"Software": "truncflow"}),
}


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``folder/name`` with the endings .pdf, .svg and .png, and return the files.

    Raises:
        UserError: a file cannot be written.
    """
    saved = []
    with applied():
        figure.set_dpi(DPI)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # settled; each format would do it again
        # As figure.savefig does, without its rehearsal, which takes as long as the drawing itself.
        for ending, write in _WRITERS.items():
            target = folder / f"{name}.{ending}"
            with replacing(target) as part:
                figure.set_dpi(DPI)  # each format sets its own
                write(figure, str(part))
            saved.append(target)
    return saved
