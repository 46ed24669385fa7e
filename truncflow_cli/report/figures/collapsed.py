"""`collapsed`: what is conserved, I = BBᵀ − WᵀW, and how B and W grow and reach their limit."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from truncflow_cli.diagnostics.collapsed import spectral_gap
from truncflow_cli.problem import Array
from truncflow_cli.report.figures.panels import curve, curves, legend, stacked, value_axis, zero_remark
from truncflow_cli.report.figures.style import GREY, PALETTE, typeset
from truncflow_cli.report.figures.subject import Subject

_BOUND = (0, (4, 2))
_PARTS: tuple[tuple[str, str, Any], ...] = (
    (r"$I = BB^T - W^TW$", "black", "-"),
    ("$BB^T$", PALETTE[0], (0, (5, 1.5))),
    ("$W^TW$", PALETTE[1], (0, (1, 1.2))),
)


def invariant(subject: Subject) -> Figure:
    """Draw the eigenvalues of I and of its parts, with λ₀ of Theorem 8.4, and below them ‖I(s) − I(0)‖ (8.21)."""
    B, W = subject.state("B"), subject.state("W")
    grams = B @ B.swapaxes(1, 2), W.swapaxes(1, 2) @ W
    conserved = grams[0] - grams[1]
    draws = [
        partial(_spectra, subject=subject, matrices=(conserved, *grams)),
        partial(_drift, subject=subject, conserved=conserved),
    ]
    return stacked(subject, 4.6, draws, (1.6, 1.0))


def _spectra(axes: Axes, subject: Subject, matrices: tuple[Array, ...]) -> str:
    spectra = [np.linalg.eigvalsh(matrix) for matrix in matrices]
    handles = []
    for (label, tint, dashes), spectrum in zip(_PARTS, spectra, strict=True):
        for values in spectrum.T:
            curve(axes, subject.run.s, values, color=tint, linestyle=dashes, linewidth=1.2)
        handles.append(Line2D([], [], color=tint, linestyle=dashes, label=label))
    axes.axhline(0.0, color=GREY, linewidth=0.6)
    gap = spectral_gap(subject.state("B")[0], subject.state("W")[0])
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


def _drift(axes: Axes, subject: Subject, conserved: Array) -> str:
    drift = np.linalg.norm(conserved - conserved[0], ord=2, axis=(1, 2))
    curve(axes, subject.run.s, drift, color="black", label=r"$\Vert I(s) - I(0)\Vert$, (8.21)")
    certificate = subject.certificates.get("invariant")
    shown = [drift]
    if certificate is not None and np.isfinite(certificate.bound):
        axes.axhline(certificate.bound, color=GREY, linestyle=_BOUND, label="allowed by rtol, atol")
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
    run, B, W = subject.run, subject.state("B"), subject.state("W")
    certificate = subject.certificates.get("norm_bounds")
    series = certificate.series if certificate is not None else {}
    sizes: list[tuple[Array, dict[str, Any]]] = []
    for letter, state, tint in (("W", W, PALETTE[1]), ("B", B, PALETTE[0])):
        name = rf"$\Vert {letter}\Vert$"
        sizes.append((np.linalg.norm(state, ord=2, axis=(1, 2)), {"color": tint, "label": name}))
        if f"bound_{letter}" in series:
            look = {"color": tint, "linestyle": _BOUND, "linewidth": 1.0, "label": f"bound of {name}"}
            sizes.append((series[f"bound_{letter}"], look))
    distance = np.linalg.norm(W @ B + run.y.T, axis=(1, 2))
    limits: list[tuple[Array, dict[str, Any]]] = [
        (distance, {"color": "black", "label": r"$\Vert WB + Y\Vert_F$"})
    ]
    gap = spectral_gap(B[0], W[0])
    if gap.rate > 0.0:
        label = r"$e^{-\lambda_0 s}\,\sqrt{2\,\mathcal{C}(0)}$"
        look = {"color": "black", "linestyle": _BOUND, "linewidth": 1.0, "label": label}
        limits.append((distance[0] * np.exp(-gap.rate * run.s), look))
    draws = [
        partial(curves, s=run.s, shown=sizes, name="operator norms"),
        partial(curves, s=run.s, shown=limits, name="distance to the limit"),
    ]
    return stacked(subject, 4.4, draws)
