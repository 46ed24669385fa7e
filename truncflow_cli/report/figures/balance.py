"""The energy balance D(s), the run's own measure of its error, against what its tolerances allow."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from truncflow_cli.report.figures.panels import curve, legend, stacked
from truncflow_cli.report.figures.style import GREY, PALETTE
from truncflow_cli.report.figures.subject import Subject

#: Decades below the tolerance that are shown at most, unless all that there is lies further down.
DECADES = 12


def figure(subject: Subject) -> Figure:
    """Draw |D(s)| on a logarithmic axis, above which the tolerance is a line."""
    return stacked(subject, 2.7, [partial(_balance, subject=subject)])


def _balance(axes: Axes, subject: Subject) -> str:
    certificate = subject.certificates.get("energy_balance")
    allowed = subject.evidence.loss_error if certificate is None else certificate.bound
    error = np.abs(subject.run.energy_balance)
    positive = error[np.isfinite(error) & (error > 0.0)]
    largest = float(positive.max(initial=0.0))
    label = r"$D(s) = \mathcal{C}(0) - \mathcal{C}(s) - \int_0^s |\nabla\mathcal{C}|^2$"
    curve(axes, subject.run.s, np.where(error > 0.0, error, np.nan), color=PALETTE[0], label=label)
    if allowed > 0.0:
        axes.axhspan(allowed, 1e3 * max(allowed, largest), color=GREY, alpha=0.12, linewidth=0.0)
        axes.axhline(allowed, color=GREY, linestyle=(0, (4, 2)), label="allowed by rtol, atol")
    top = max(allowed, largest) or 1.0
    bottom = max(positive.min(initial=allowed or top * 1e-3), top * 10.0**-DECADES)
    bottom = min(bottom, top * 1e-3, 0.1 * largest or top)
    axes.set_yscale("log", nonpositive="mask")
    axes.set(ylim=(bottom / 3.0, top * 5.0), ylabel="$|D(s)|$")
    legend(axes, loc="lower right", bbox_to_anchor=(1.0, 1.01), ncols=2)
    zeros = int(np.count_nonzero(error[1:] == 0.0))
    return f"$D = 0$ exactly at {zeros:,} of {error.size - 1:,} saved times after the first" if zeros else ""
