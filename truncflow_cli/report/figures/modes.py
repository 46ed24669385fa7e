"""`clustered`: how far W is from its limit along each eigenvector of XXᵀ/N, and the rate e^{−λs} of each."""

from __future__ import annotations

from functools import partial

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from truncflow_cli.diagnostics.clustered import RANK_SHARE
from truncflow_cli.problem import Array
from truncflow_cli.report.figures.panels import curve, legend, stacked
from truncflow_cli.report.figures.style import DASHES, PALE, shades, typeset
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.quantities import modes_of

#: Eigenvalues named one by one; the others are on the colour scale alone.
MOST_NAMES = 8
#: What is left of a mode is lost in rounding below this share of the largest.
ROUNDING = 1e-14


def figure(subject: Subject) -> Figure | None:
    """Draw |(W(s) − W_∞)v| for each eigenvector v; nothing without points."""
    return stacked(subject, 3.4, [partial(_draw, subject=subject)]) if subject.run.n_points else None


def _draw(axes: Axes, subject: Subject) -> str:
    W, modes = subject.state("W"), modes_of(subject.run)
    left, total = modes.left(W), np.linalg.norm(W - modes.limit, axis=(1, 2))
    floor = max(ROUNDING * float(np.linalg.norm(W, axis=(1, 2)).max()), np.finfo(float).tiny)
    total, seen = np.where(total > floor, total, np.nan), np.where(left > floor, left, np.nan)
    label = r"all, $\Vert W - W_\infty\Vert_F$"
    curve(axes, subject.run.s, total, color=PALE, linewidth=4.0, label=label)
    _modes(axes, subject, modes.rates, seen)
    axes.set_yscale("log", nonpositive="mask")
    if np.isfinite(seen).any():
        axes.set_ylim(max(floor, 0.3 * np.nanmin(seen)), 3.0 * np.nanmax(total))
    axes.set_ylabel(r"$|(W(s) - W_\infty)\,v_k|$")
    if modes.rates.size > MOST_NAMES:
        axes.legend(loc="lower left")
    else:
        legend(axes)
    rank = int(np.count_nonzero(modes.moving))
    rest = f"$XX^T$ has rank {rank} of {subject.run.dim}: along the other eigenvectors $W$ stays as it is"
    return rest if rank < subject.run.dim else ""


def _modes(axes: Axes, subject: Subject, eigenvalues: Array, left: Array) -> None:
    """Draw what is left of each mode, (T, Q), from the slowest to the fastest."""
    many = eigenvalues.size > MOST_NAMES
    norm = mpl.colors.LogNorm(*_range(eigenvalues)) if many else None
    palette = mpl.colors.ListedColormap(shades(256))
    for k, shade in enumerate(shades(eigenvalues.size)):
        if not np.isfinite(left[:, k]).any():
            continue
        if norm is not None:
            curve(axes, subject.run.s, left[:, k], color=palette(norm(eigenvalues[k])), linewidth=1.0)
            continue
        label = rf"$v_{{{k}}}$, eigenvalue {typeset(float(eigenvalues[k]))}"
        curve(axes, subject.run.s, left[:, k], color=shade, linestyle=DASHES[k % len(DASHES)], label=label)
    if norm is not None:
        bar = axes.figure.colorbar(mpl.cm.ScalarMappable(norm, palette), ax=axes, pad=0.02, aspect=25)
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        bar.ax.yaxis.set_minor_locator(NullLocator())
        bar.set_label(r"eigenvalue $\lambda_k$ of $XX^T/N$")


def _range(eigenvalues: Array) -> tuple[float, float]:
    high = float(eigenvalues[-1])
    positive = eigenvalues[eigenvalues > RANK_SHARE * max(high, 0.0)]
    low = float(positive[0]) if positive.size else 1.0
    return (low, high) if low < high else (0.5 * max(low, 1e-300), 2.0 * max(high, 1e-300))
