"""How the layers move: |β + ỹ| with the phases of Prop. 4.2, and how fast R turns; in `general`, both speeds."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from truncflow_cli.diagnostics.certificates.full_truncation import truncated_from
from truncflow_cli.diagnostics.concentration import Concentration, concentration
from truncflow_cli.problem import Array
from truncflow_cli.report.figures.panels import curve, stacked, suit
from truncflow_cli.report.figures.style import DASHES, GREY, color, look, shades
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.numbers import count

#: ‖Ω‖ below this share of its largest value is rounding.
ROUNDING = 1e-13


def figure(subject: Subject) -> Figure | None:
    """Draw both panels; nothing if the run has no layers that move."""
    if not subject.layered or not subject.run.n_points:
        return None
    draws = [partial(_approach if subject.separated and subject.evidence.square else _speed, subject=subject)]
    still = ""
    if (subject.turning > 0.0).any():
        draws.append(partial(_turning, subject=subject))
    else:
        still = "rotations are frozen" if subject.evidence.frozen else "no layer turns"
    return stacked(
        subject, 2.9 + 1.7 * (len(draws) - 1), draws, said=(subject.sampling(), _left_out(subject), still)
    )


def _left_out(subject: Subject) -> str:
    """Say at how many times nothing is drawn, nothing if at none."""
    left_out = subject.descent.left_out
    of = f"{left_out:,} of {count(subject.evidence.times.size, 'saved time')}"
    return f"speeds not known at {of}, where points are pinned" if left_out else ""


def _approach(axes: Axes, subject: Subject) -> str:
    """Draw |β + ỹ| of each layer, when its cluster is wholly truncated, and the bounds where they are proved."""
    ev, shown, phases, bounds = subject.evidence, [], False, False
    for k in range(ev.n_clusters):
        distance = np.linalg.norm(ev.beta[:, k] + subject.run.y_tilde[k], axis=1)
        curve(axes, ev.s, distance, label=f"layer {k}, {subject.names[k]}", **look(k))
        shown.append(distance)
        s1 = truncated_from(ev, k)
        if np.isfinite(s1):
            phases = True
            axes.axvline(s1, color=color(k), linewidth=0.9, linestyle=(0, (1, 1)))
        constants = _constants(subject, k)
        if constants.met:
            bounds = True
            shown.append(_bound(axes, subject, constants, k))
    meanings = [
        Line2D([], [], color=GREY, linewidth=0.9, linestyle=(0, dashes), label=label)
        for there, dashes, label in (
            (phases, (1, 1), "$s_1$: wholly truncated,\n$R$ constant from there on"),
            (bounds, (4, 2), "bounds of Prop. 4.2"),
        )
        if there
    ]
    return suit(axes, shown, r"$|\beta^{(\ell)} + \tilde{y}_\ell|$", last=meanings)


def _constants(subject: Subject, k: int) -> Concentration:
    ev = subject.evidence
    return concentration(ev.points(k), subject.run.y_tilde[k], ev.R[0, k], ev.beta[0, k], turns=not ev.frozen)


def _bound(axes: Axes, subject: Subject, constants: Concentration, k: int) -> Array:
    """Draw e^{−(1−η₀)s}|β + ỹ|(0), (4.28), and mark the bound of s₁ at which it has come to γ|β + ỹ|(0)."""
    s = np.union1d(subject.evidence.s, subject.timeline.grid(200))
    bound = np.exp(-(1.0 - constants.eta0) * s) * constants.distance
    axes.plot(s, bound, color=color(k), linewidth=0.9, linestyle=(0, (4, 2)))
    if 0.0 < constants.s1 <= subject.timeline.end:
        axes.plot(
            constants.s1, constants.gamma * constants.distance, marker="|", markersize=12, color=color(k)
        )
        axes.annotate(
            r"$s_1 \leq$", (constants.s1, constants.gamma * constants.distance), (3, 5),
            textcoords="offset points", color=color(k),
        )  # fmt: skip
    return np.asarray(bound)


def _speed(axes: Axes, subject: Subject) -> str:
    """Draw |∂_s β| of each layer."""
    speeds = np.sqrt(np.maximum(-subject.descent.beta_part, 0.0))
    return _by_layer(axes, subject, speeds, r"$|\partial_s \beta^{(\ell)}|$", named=True)


def _by_layer(axes: Axes, subject: Subject, values: Array, name: str, *, named: bool) -> str:
    """Draw values (M, L), a line a layer."""
    for layer in range(values.shape[1]):
        curve(
            axes, subject.evidence.s, values[:, layer], label=f"layer {layer}", **_layer_look(subject, layer)
        )
    return suit(axes, [values], name, named=named)


def _layer_look(subject: Subject, layer: int) -> dict[str, object]:
    """Return the look of a layer's line: that of its cluster if it has one, else dashes, of many layers in shades."""
    if subject.separated:
        return look(layer)
    layers = subject.evidence.n_layers
    return {
        "color": "black" if layers <= len(DASHES) else shades(layers)[layer],
        "linestyle": DASHES[layer % len(DASHES)],
    }


def _turning(axes: Axes, subject: Subject) -> str:
    """Draw ‖Ω_ℓ‖ of each layer."""
    turning = subject.turning.copy()
    turning[turning <= ROUNDING * float(np.nanmax(turning, initial=0.0))] = 0.0
    return _by_layer(axes, subject, turning, r"$\Vert\Omega_\ell\Vert_F$", named=False)
