"""How all figures look, the same whatever the user's matplotlib is set to, and how they are written.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; where there are more things than
colours, dashes tell them apart too. Black is for sums and totals, grey for what a panel is not about.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from truncflow_cli.cluster_names import cluster_names
from truncflow_cli.report.numbers import short
from truncflow_cli.report.replacing import replacing
from truncflow_cli.run_data import Run

#: Okabe and Ito: blue, vermilion, bluish green, orange, reddish purple, sky blue (without yellow, too pale a line).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
#: What tells apart lines of the same colour.
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
#: The line of a bound.
BOUND: Any = (0, (4, 2))
#: What is there for orientation only.
GREY = "#767676"
PALE = "#c4c4c4"
#: Width of a figure in inches: the text of a page.
WIDTH = 7.0
#: Pixels an inch of PNG files, and of dense parts inside vector files.
DPI = 160
#: A curve of more points than this is a picture inside a vector file.
DENSE = 4000
#: Letters of a name that a legend has room for.
LONGEST_NAME = 26
#: Stands before a name that begins with an underscore: matplotlib leaves those out of legends.
HAIR_SPACE = "\N{HAIR SPACE}"

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "mathtext.fontset": "cm",
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 4.0,
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": True,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "lines.linewidth": 1.4,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "figure.titlesize": 7.5,
    "agg.path.chunksize": 20_000,
    "pdf.fonttype": 42,  # TrueType, which journals take
    "svg.hashsalt": "truncflow",  # the same file each time
}

_ONE_AT_A_TIME = threading.RLock()


#: How each format is written. It says of itself neither date nor version, so that the same run gives the same file.
_FORMATS: dict[str, tuple[Any, dict[str, str | None]]] = {
    "pdf": (FigureCanvasPdf, {"CreationDate": None, "Creator": "truncflow", "Producer": None}),
    "svg": (FigureCanvasSVG, {"Date": None, "Creator": "truncflow"}),
    "png": (FigureCanvasAgg, {"Software": "truncflow"}),
}


@contextmanager
def applied() -> Iterator[None]:
    """Draw in this style inside the block, and leave matplotlib's settings as they were.

    matplotlib knows one set of settings for the whole process, so that one thread at a time draws. What nobody can
    act on is not said: how old matplotlib's own fonts are, and which letters they lack (a box is drawn).
    """
    logger = logging.getLogger("fontTools")
    with _ONE_AT_A_TIME, mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ ")
        mpl.rcParams.update({k: v for k, v in mpl.rcParamsDefault.items() if not k.startswith("backend")})
        mpl.rcParams.update(_STYLE)
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``folder/name`` with the endings .pdf, .svg and .png, each in one step, and return the files.

    Raises:
        UserError: a file cannot be written.
    """
    saved = [folder / f"{name}.{ending}" for ending in _FORMATS]
    with applied():
        figure.set_dpi(DPI)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # settled; each format would do it again
        # As figure.savefig does, without its rehearsal, which takes as long as the drawing itself.
        for target, (ending, (canvas, metadata)) in zip(saved, _FORMATS.items(), strict=True):
            with replacing(target) as part:
                figure.set_dpi(DPI)  # each format sets its own
                getattr(canvas(figure), f"print_{ending}")(str(part), metadata=metadata)
    return saved


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure of a size in inches, without window or global state, laid out as it is drawn."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.05, h_pad=0.05, hspace=0.03, wspace=0.03)
    return figure


def look(index: int) -> dict[str, Any]:
    """Return colour and dashes of the line of a cluster, or of what belongs to it."""
    return {"color": color(index), "linestyle": DASHES[index // len(PALETTE) % len(DASHES)]}


def color(index: int) -> str:
    """Return the colour of a cluster; grey for index -1, none at all."""
    return GREY if index < 0 else PALETTE[index % len(PALETTE)]


def shades(count: int) -> list[Any]:
    """Return colours of things in an order (coordinates, modes), from dark blue to ochre."""
    return list(mpl.colormaps["cividis"](np.linspace(0.0, 0.82, max(count, 1))))


def typeset(value: float) -> str:
    """Return a number as it is set in a figure: 0.1234, $10^{6}$."""
    digits, _, power = short(value).partition("e")
    if not power:
        return digits
    factor = "" if digits == "1" else rf"{digits} \cdot "
    return f"${factor}10^{{{int(power)}}}$"


def names_of(run: Run, longest: int = LONGEST_NAME) -> list[str]:
    """Return what the figures call each cluster: its name if it can be drawn, abridged, else its index."""
    names = []
    for k, name in enumerate(cluster_names(run.notes, len(run.y_tilde))):
        if not all(map(_drawable, name)) or not name.strip() or name == str(k):
            names.append(f"cluster {k}")
            continue
        short = name if len(name) <= longest else f"{name[: longest - 1]}…"
        # A class that is called 1 is not cluster 1.
        names.append(f"class “{short}”" if short.isdecimal() else as_it_stands(short))
    return names


def as_it_stands(name: str) -> str:
    """Return a name such that matplotlib shows it as it stands, in legends too, with ? for what no font has."""
    name = "".join(letter if _drawable(letter) else "?" for letter in name).replace("$", r"\$")
    return f"{HAIR_SPACE}{name}" if name.startswith("_") else name


def _drawable(letter: str) -> bool:
    return letter.isprintable() and bool(get_font(findfont("DejaVu Sans")).get_char_index(ord(letter)))
