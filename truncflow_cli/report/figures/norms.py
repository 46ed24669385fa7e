"""`collapsed`: ‖W‖ and ‖B‖ below their bounds (8.34)-(8.37), and ‖WB + Y‖ below √(2C(0)) e^{−λ₀s}."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from truncflow_cli.diagnostics.collapsed import spectral_gap
from truncflow_cli.report.figures.panels import curve, legend, remark, value_axis, zero_remark
from truncflow_cli.report.figures.style import PALETTE, new_figure
from truncflow_cli.report.figures.subject import Subject

_BOUND = (0, (4, 2))


def figure(subject: Subject) -> Figure | None:
    """Draw the norms with their bounds, and the distance to the limit with its own; nothing for other flows."""
    run = subject.run
    if run.B is None or run.W is None:
        return None
    result = new_figure(4.4)
    upper, lower = result.subplots(2, 1, sharex=True)
    certificate = subject.certificates.get("norm_bounds")
    series = certificate.series if certificate is not None else {}
    shown = []
    for letter, state, tint in (("W", run.W, PALETTE[1]), ("B", run.B, PALETTE[0])):
        shown.append(np.linalg.norm(state, ord=2, axis=(1, 2)))
        curve(upper, run.s, shown[-1], color=tint, label=rf"$\Vert {letter}\Vert$")
        if f"bound_{letter}" in series:
            shown.append(series[f"bound_{letter}"])
            label = rf"bound of $\Vert {letter}\Vert$"
            curve(upper, run.s, shown[-1], color=tint, linestyle=_BOUND, linewidth=1.0, label=label)
    value_axis(upper, shown)
    upper.set_ylabel("operator norms")
    legend(upper)
    distance = np.linalg.norm(run.W @ run.B + run.y.T, axis=(1, 2))
    curve(lower, run.s, distance, color="black", label=r"$\Vert WB + Y\Vert_F$")
    limits = [distance]
    gap = spectral_gap(run.B[0], run.W[0])
    if gap.rate > 0.0:
        limits.append(distance[0] * np.exp(-gap.rate * run.s))
        label = r"$e^{-\lambda_0 s}\,\sqrt{2\,\mathcal{C}(0)}$"
        curve(lower, run.s, limits[-1], color="black", linestyle=_BOUND, linewidth=1.0, label=label)
    logarithmic = value_axis(lower, limits)
    lower.set_ylabel("distance to the limit")
    legend(lower)
    subject.timeline.apply(upper, label=False)
    subject.timeline.apply(lower)
    remark(result, subject.remarks(zero_remark(logarithmic, distance)))
    return result
