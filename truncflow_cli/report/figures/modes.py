"""`clustered`: how far W is from its limit along each eigenvector of XXᵀ/N, and the rate e^{−λs} of each."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from truncflow_cli.diagnostics.clustered import RANK_SHARE
from truncflow_cli.problem import Array
from truncflow_cli.report.figures.panels import curve, legend, remark
from truncflow_cli.report.figures.style import DASHES, PALE, new_figure, shades, typeset
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.flow_stories import second_moment

#: Eigenvalues named one by one; the others are on the colour scale alone.
MOST_NAMES = 8
#: What is left of a mode is lost in rounding below this share of the largest.
ROUNDING = 1e-14


def figure(subject: Subject) -> Figure | None:
    """Draw |(W(s) − W_∞)v| for each eigenvector v; nothing for the other flows."""
    run = subject.run
    if run.W is None or run.B is not None or not run.n_points:
        return None
    eigenvalues, vectors, limit = _limit(subject)
    left = np.linalg.norm((run.W - limit) @ vectors, axis=1)
    result = new_figure(3.4)
    axes = result.subplots()
    largest = float(left.max(initial=0.0))
    floor = max(ROUNDING * float(np.linalg.norm(run.W, axis=(1, 2)).max()), np.finfo(float).tiny)
    total = np.linalg.norm(run.W - limit, axis=(1, 2))
    label = r"all, $\Vert W - W_\infty\Vert_F$"
    curve(axes, run.s, np.where(total > floor, total, np.nan), color=PALE, linewidth=4.0, label=label)
    _modes(axes, subject, eigenvalues, np.where(left > floor, left, np.nan))
    axes.set_yscale("log", nonpositive="mask")
    if largest > 0.0:
        axes.set_ylim(max(floor, 0.3 * np.nanmin(np.where(left > floor, left, np.nan))), 3.0 * total.max())
    axes.set_ylabel(r"$|(W(s) - W_\infty)\,v_k|$")
    subject.timeline.apply(axes)
    if eigenvalues.size > MOST_NAMES:
        axes.legend(loc="lower left")
    else:
        legend(axes)
    rank = int(np.count_nonzero(eigenvalues > RANK_SHARE * eigenvalues.max(initial=0.0)))
    said = (
        ""
        if rank == run.dim
        else f"$XX^T$ has rank {rank} of {run.dim}: along the other eigenvectors $W$ stays as it is"
    )
    remark(result, subject.remarks(said))
    return result


def _limit(subject: Subject) -> tuple[Array, Array, Array]:
    """Return the eigenvalues (Q,) and eigenvectors (Q, Q) of A, and the limit of W(s), (Q, Q).

    W_∞ = Y_ext X⁺ (9.12), plus W(0) on the kernel of XXᵀ, where nothing moves.
    """
    run = subject.run
    assert run.W is not None
    A = second_moment(run.x, run.cluster, run.settings.get("point_weights"))
    eigenvalues, vectors = np.linalg.eigh(A)
    weights = subject.evidence.point_weights
    K = run.y[run.cluster].T @ (run.x * weights[:, None])
    seen = eigenvalues > RANK_SHARE * max(float(eigenvalues[-1]), 0.0)
    inverse = np.divide(1.0, eigenvalues, out=np.zeros_like(eigenvalues), where=seen)
    limit = (K @ vectors * inverse) @ vectors.T + run.W[0] @ (vectors * ~seen) @ vectors.T
    return eigenvalues, vectors, limit


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
