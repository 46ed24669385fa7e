"""`collapsed`: the eigenvalues of I = BBᵀ − WᵀW and of its parts, λ₀ of Theorem 8.4, and how well I is conserved."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from truncflow_cli.diagnostics.collapsed import spectral_gap
from truncflow_cli.problem import Array
from truncflow_cli.report.figures.panels import curve, legend, remark, value_axis, zero_remark
from truncflow_cli.report.figures.style import GREY, PALETTE, new_figure, typeset
from truncflow_cli.report.figures.subject import Subject

_PARTS = (
    (r"$I = BB^T - W^TW$", "black", "-"),
    ("$BB^T$", PALETTE[0], (0, (5, 1.5))),
    ("$W^TW$", PALETTE[1], (0, (1, 1.2))),
)


def figure(subject: Subject) -> Figure | None:
    """Draw the spectra, and below them ‖I(s) − I(0)‖ (8.21); nothing for the other flows."""
    run = subject.run
    if run.B is None or run.W is None:
        return None
    gram = run.B @ run.B.swapaxes(1, 2), run.W.swapaxes(1, 2) @ run.W
    invariant = gram[0] - gram[1]
    result = new_figure(4.6)
    upper, lower = result.subplots(2, 1, sharex=True, height_ratios=(1.6, 1.0))
    _spectra(upper, subject, (invariant, *gram))
    remark(result, subject.remarks(_drift(lower, subject, invariant)))
    subject.timeline.apply(upper, label=False)
    subject.timeline.apply(lower)
    return result


def _spectra(axes: Axes, subject: Subject, matrices: tuple[Array, Array, Array]) -> None:
    run = subject.run
    assert run.B is not None and run.W is not None
    spectra = [np.linalg.eigvalsh(matrix) for matrix in matrices]
    handles = []
    for (label, tint, dashes), spectrum in zip(_PARTS, spectra, strict=True):
        for values in spectrum.T:
            curve(axes, run.s, values, color=tint, linestyle=dashes, linewidth=1.2)
        handles.append(Line2D([], [], color=tint, linestyle=dashes, label=label))
    axes.axhline(0.0, color=GREY, linewidth=0.6)
    gap = spectral_gap(run.B[0], run.W[0])
    if gap.rate > 0.0:
        bound = gap.rate if gap.of == "B" else -gap.rate
        axes.axhspan(min(bound, 0.0), max(bound, 0.0), color=GREY, alpha=0.14, linewidth=0.0)
        sign = "" if gap.of == "B" else "-"
        label = f"gap, ${sign}I > \\lambda_0$ = {typeset(gap.rate)}"
        handles.append(Line2D([], [], color=GREY, alpha=0.3, linewidth=7.0, label=label))
    low, high = min(map(np.min, spectra)), max(map(np.max, spectra))
    room = 0.05 * (high - low) or 1.0
    axes.set(ylim=(low - room, high + room), ylabel="eigenvalues")
    legend(axes, handles)


def _drift(axes: Axes, subject: Subject, invariant: Array) -> str:
    run = subject.run
    drift = np.linalg.norm(invariant - invariant[0], ord=2, axis=(1, 2))
    curve(axes, run.s, drift, color="black", label=r"$\Vert I(s) - I(0)\Vert$, (8.21)")
    certificate = subject.certificates.get("invariant")
    shown = [drift]
    if certificate is not None and np.isfinite(certificate.bound):
        axes.axhline(certificate.bound, color=GREY, linestyle=(0, (4, 2)), label="allowed by rtol, atol")
        shown.append(np.array([certificate.bound]))
    positive = drift[drift > 0.0]
    if positive.size:
        axes.set_yscale("log", nonpositive="mask")
        top = max(float(part.max()) for part in shown)
        axes.set_ylim(positive.min() / 3.0, top * 5.0)
    else:
        value_axis(axes, shown)
    axes.set_ylabel(r"$\Vert I(s) - I(0)\Vert$")
    legend(axes)
    later = drift[1:]
    return zero_remark(bool(positive.size), later)
