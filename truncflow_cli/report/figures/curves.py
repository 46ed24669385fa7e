"""Figures of single quantities along s: energy balance, what `collapsed` conserves, norms, modes, other states."""

from __future__ import annotations

from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from truncflow_cli.diagnostics.output_weight import RANK_SHARE, spectral_gap
from truncflow_cli.problem import Array
from truncflow_cli.report.figures.panels import curve, curves, legend, stacked, value_axis, zero_remark
from truncflow_cli.report.figures.style import (
    BOUND,
    DASHES,
    GREY,
    PALE,
    PALETTE,
    as_it_stands,
    look,
    shades,
    typeset,
)  # fmt: skip
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.quantities import modes_of, norms_of

#: Decades below the tolerance that are shown at most, unless all that there is lies further down.
DECADES = 12
#: Eigenvalues named one by one; the others are on the colour scale alone.
MOST_NAMES = 8
#: What is left of a mode is lost in rounding below this share of the largest.
ROUNDING = 1e-14

_BALANCE = r"$D(s) = \mathcal{C}(0) - \mathcal{C}(s) - \int_0^s |\nabla\mathcal{C}|^2$"
_ALLOWED = "allowed by rtol, atol"
_PARTS: tuple[tuple[str, str, Any], ...] = (
    (r"$I = BB^T - W^TW$", "black", "-"),
    ("$BB^T$", PALETTE[0], (0, (5, 1.5))),
    ("$W^TW$", PALETTE[1], (0, (1, 1.2))),
)


def balance(subject: Subject) -> Figure:
    """Draw |D(s)|, the run's own measure of its error, on a logarithmic axis, and what its tolerances allow."""
    return stacked(subject.timeline, 2.7, [partial(_balance, subject=subject)], said=subject.remarks())


def _balance(axes: Axes, subject: Subject) -> str:
    certificate = subject.run.certificates.get("energy_balance")
    allowed = subject.evidence.loss_error if certificate is None else certificate.bound
    error = np.abs(subject.run.energy_balance)
    positive = error[np.isfinite(error) & (error > 0.0)]
    largest = float(positive.max(initial=0.0))
    curve(axes, subject.run.s, np.where(error > 0.0, error, np.nan), color=PALETTE[0], label=_BALANCE)
    if allowed > 0.0:
        axes.axhspan(allowed, 1e3 * max(allowed, largest), color=GREY, alpha=0.12, linewidth=0.0)
        axes.axhline(allowed, color=GREY, linestyle=BOUND, label=_ALLOWED)
    top = max(allowed, largest) or 1.0
    bottom = max(positive.min(initial=allowed or top * 1e-3), top * 10.0**-DECADES)
    bottom = min(bottom, top * 1e-3, 0.1 * largest or top)
    axes.set_yscale("log", nonpositive="mask")
    axes.set(ylim=(bottom / 3.0, top * 5.0), ylabel="$|D(s)|$")
    legend(axes, loc="lower right", bbox_to_anchor=(1.0, 1.01), ncols=2)
    zeros = int(np.count_nonzero(error[1:] == 0.0))
    return f"$D = 0$ exactly at {zeros:,} of {error.size - 1:,} saved times after the first" if zeros else ""


def invariant(subject: Subject) -> Figure:
    """Draw the eigenvalues of I and of its parts, with λ₀ of Theorem 8.4, and below them ‖I(s) − I(0)‖ (8.21)."""
    draws = [partial(_spectra, subject=subject), partial(_drift, subject=subject)]
    return stacked(subject.timeline, 4.6, draws, (1.6, 1.0), said=subject.remarks())


def _spectra(axes: Axes, subject: Subject) -> str:
    B, W = subject.state("B"), subject.state("W")
    grams = B @ B.swapaxes(1, 2), W.swapaxes(1, 2) @ W
    spectra = [np.linalg.eigvalsh(matrix) for matrix in (grams[0] - grams[1], *grams)]
    handles = []
    for (label, tint, dashes), spectrum in zip(_PARTS, spectra, strict=True):
        for values in spectrum.T:
            curve(axes, subject.run.s, values, color=tint, linestyle=dashes, linewidth=1.2)
        handles.append(Line2D([], [], color=tint, linestyle=dashes, label=label))
    axes.axhline(0.0, color=GREY, linewidth=0.6)
    gap = spectral_gap(B[0], W[0])
    if gap.rate > 0.0:
        bound, sign = (gap.rate, "") if gap.of == "B" else (-gap.rate, "-")
        axes.axhspan(min(bound, 0.0), max(bound, 0.0), color=GREY, alpha=0.14, linewidth=0.0)
        label = f"gap, ${sign}I > \\lambda_0$ = {typeset(gap.rate)}"
        handles.append(Line2D([], [], color=GREY, alpha=0.3, linewidth=7.0, label=label))
    low, high = min(map(np.min, spectra)), max(map(np.max, spectra))
    room = 0.05 * (high - low) or 1.0
    axes.set(ylim=(low - room, high + room), ylabel="eigenvalues")
    legend(axes, handles)
    return ""


def _drift(axes: Axes, subject: Subject) -> str:
    drift = subject.quantities["‖I − I(0)‖"]
    curve(axes, subject.run.s, drift, color="black", label=r"$\Vert I(s) - I(0)\Vert$, (8.21)")
    certificate = subject.run.certificates.get("invariant")
    shown = [drift]
    if certificate is not None and np.isfinite(certificate.bound):
        axes.axhline(certificate.bound, color=GREY, linestyle=BOUND, label=_ALLOWED)
        shown.append(np.array([certificate.bound]))
    positive = drift[drift > 0.0]
    if positive.size:
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(positive.min() / 3.0, max(float(part.max()) for part in shown) * 5.0)
    else:
        value_axis(axes, shown)
    axes.set_ylabel(r"$\Vert I(s) - I(0)\Vert$")
    legend(axes)
    return zero_remark(bool(positive.size), drift[1:])


def norms(subject: Subject) -> Figure:
    """Draw ‖W‖, ‖B‖ below their bounds (8.34)-(8.37), and ‖WB + Y‖ below √(2C(0)) e^{−λ₀s}."""
    run, found = subject.run, subject.quantities
    certificate = run.certificates.get("norm_bounds")
    series = certificate.series if certificate is not None else {}
    bound = {"linestyle": BOUND, "linewidth": 1.0}
    sizes: list[tuple[Array, dict[str, Any]]] = []
    for letter, tint in (("W", PALETTE[1]), ("B", PALETTE[0])):
        name = rf"$\Vert {letter}\Vert$"
        sizes.append((found[f"‖{letter}‖"], {"color": tint, "label": name}))
        if f"bound_{letter}" in series:
            sizes.append((series[f"bound_{letter}"], {"color": tint, "label": f"bound of {name}", **bound}))
    distance, name = found["‖WB + Y‖"], r"$\Vert WB + Y\Vert_F$"
    limits: list[tuple[Array, dict[str, Any]]] = [(distance, {"color": "black", "label": name})]
    gap = spectral_gap(subject.state("B")[0], subject.state("W")[0])
    if gap.rate > 0.0:
        label = r"$e^{-\lambda_0 s}\,\sqrt{2\,\mathcal{C}(0)}$"
        falling = distance[0] * np.exp(-gap.rate * run.s)
        limits.append((falling, {"color": "black", "label": label, **bound}))
    draws = [
        partial(curves, s=run.s, shown=sizes, name="operator norms"),
        partial(curves, s=run.s, shown=limits, name="distance to the limit"),
    ]
    return stacked(subject.timeline, 4.4, draws, said=subject.remarks())


def modes(subject: Subject) -> Figure | None:
    """Draw how far W of `clustered` is from its limit, |(W(s) − W_∞)v|, for each eigenvector v of XXᵀ/N."""
    if not subject.run.n_points:
        return None
    return stacked(subject.timeline, 3.4, [partial(_modes, subject=subject)], said=subject.remarks())


def _modes(axes: Axes, subject: Subject) -> str:
    W, found = subject.state("W"), modes_of(subject.run)
    left, total = found.left(W), np.linalg.norm(W - found.limit, axis=(1, 2))
    floor = max(ROUNDING * float(np.linalg.norm(W, axis=(1, 2)).max()), np.finfo(float).tiny)
    total, seen = np.where(total > floor, total, np.nan), np.where(left > floor, left, np.nan)
    label = r"all, $\Vert W - W_\infty\Vert_F$"
    curve(axes, subject.run.s, total, color=PALE, linewidth=4.0, label=label)
    many = found.rates.size > MOST_NAMES
    (_coloured if many else _named)(axes, subject.run.s, found.rates, seen)
    axes.set_yscale("log", nonpositive="mask")
    if np.isfinite(seen).any():
        axes.set_ylim(max(floor, 0.3 * np.nanmin(seen)), 3.0 * np.nanmax(total))
    axes.set_ylabel(r"$|(W(s) - W_\infty)\,v_k|$")
    if many:
        axes.legend(loc="lower left")
    else:
        legend(axes)
    rank = int(np.count_nonzero(found.moving))
    rest = f"$XX^T$ has rank {rank} of {subject.run.dim}: along the other eigenvectors $W$ stays as it is"
    return rest if rank < subject.run.dim else ""


def _named(axes: Axes, s: Array, rates: Array, left: Array) -> None:
    """Draw what is left of each mode, (T, Q), from the slowest to the fastest, with its rate in the legend."""
    for k, shade in enumerate(shades(rates.size)):
        if np.isfinite(left[:, k]).any():
            label = rf"$v_{{{k}}}$, eigenvalue {typeset(float(rates[k]))}"
            curve(axes, s, left[:, k], color=shade, linestyle=DASHES[k % len(DASHES)], label=label)


def _coloured(axes: Axes, s: Array, rates: Array, left: Array) -> None:
    """Draw the same of very many modes, coloured by their rate."""
    high = float(rates[-1])
    low = float(rates[rates > RANK_SHARE * max(high, 0.0)].min(initial=high)) if high > 0.0 else 1.0
    ends = (low, high) if low < high else (0.5 * max(low, 1e-300), 2.0 * max(high, 1e-300))
    norm, palette = mpl.colors.LogNorm(*ends), mpl.colors.ListedColormap(shades(256))
    for rate, values in zip(rates, left.T, strict=True):
        if np.isfinite(values).any():
            curve(axes, s, values, color=palette(norm(rate)), linewidth=1.0)
    bar = axes.figure.colorbar(mpl.cm.ScalarMappable(norm, palette), ax=axes, pad=0.02, aspect=25)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.minorticks_off()
    bar.set_label(r"eigenvalue $\lambda_k$ of $XX^T/N$")


def states(subject: Subject) -> Figure | None:
    """Draw the norm of each array of the flow's state that no other figure shows; nothing if there are none."""
    shown = [
        (values, {"label": as_it_stands(name), **look(place)})
        for place, (name, values) in enumerate(norms_of(subject.run).items())
    ]
    if not shown:
        return None
    draws = [partial(curves, s=subject.run.s, shown=shown, name="norms")]
    return stacked(subject.timeline, 2.9, draws, said=subject.remarks())
