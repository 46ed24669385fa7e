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
from truncflow_cli.report.figures.style import BOUND, DASHES, GREY, color, look, shades
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.numbers import count

#: ‖Ω‖ below this share of its largest value is rounding.
ROUNDING = 1e-13


def figure(subject: Subject) -> Figure | None:
    """Draw both panels; nothing if the run has no layers that move."""
    if not subject.layered or not subject.run.n_points:
        return None
    ev, saved, left_out = subject.evidence, subject.run.s.size, subject.descent.left_out
    few = f"evaluated at {ev.times.size:,} of {saved:,} saved times" if ev.times.size < saved else ""
    of = f"{left_out:,} of {count(ev.times.size, 'saved time')}"
    unknown = f"speeds not known at {of}, where points are pinned" if left_out else ""
    draws = [partial(_approach if subject.separated and ev.square else _speed, subject=subject)]
    turning, still = _turning(subject), ""
    if (turning > 0.0).any():
        turning[turning <= ROUNDING * float(np.nanmax(turning))] = 0.0
        name = r"$\Vert\Omega_\ell\Vert_F$"
        draws.append(partial(_by_layer, subject=subject, values=turning, name=name, named=False))
    else:
        still = "rotations are frozen" if ev.frozen else "no layer turns"
    height = 2.9 + 1.7 * (len(draws) - 1)
    return stacked(subject.timeline, height, draws, said=subject.remarks(few, unknown, still))


def _turning(subject: Subject) -> Array:
    """Return ‖Ω_ℓ‖ (Frobenius) of each layer at the evaluated times, (M, L)."""
    ev = subject.evidence
    norms = np.sqrt(np.maximum(-subject.descent.R_part, 0.0))
    if ev.printed and not ev.frozen:
        for k in range(ev.n_clusters):
            _, Omega = ev.velocity[k]
            norms[:, k] = np.linalg.norm(Omega, axis=(1, 2))
    return np.asarray(norms)


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
        constants = concentration(
            ev.points(k), subject.run.y_tilde[k], ev.R[0, k], ev.beta[0, k], turns=not ev.frozen
        )
        if constants.met:
            bounds = True
            shown.append(_bound(axes, subject, constants, k))
    meanings = [
        Line2D([], [], color=GREY, linewidth=0.9, linestyle=dashes, label=label)
        for there, dashes, label in (
            (phases, (0, (1, 1)), "$s_1$: wholly truncated,\n$R$ constant from there on"),
            (bounds, BOUND, "bounds of Prop. 4.2"),
        )
        if there
    ]
    return suit(axes, shown, r"$|\beta^{(\ell)} + \tilde{y}_\ell|$", last=meanings)


def _bound(axes: Axes, subject: Subject, constants: Concentration, k: int) -> Array:
    """Draw e^{−(1−η₀)s}|β + ỹ|(0), (4.28), and mark the bound of s₁ at which it has come to γ|β + ỹ|(0)."""
    s = np.union1d(subject.evidence.s, subject.timeline.grid(200))
    bound = np.exp(-(1.0 - constants.eta0) * s) * constants.distance
    axes.plot(s, bound, color=color(k), linewidth=0.9, linestyle=BOUND)
    if 0.0 < constants.s1 <= subject.timeline.end:
        at = constants.s1, constants.gamma * constants.distance
        axes.plot(*at, marker="|", markersize=12, color=color(k))
        axes.annotate(r"$s_1 \leq$", at, (3, 5), textcoords="offset points", color=color(k))
    return np.asarray(bound)


def _speed(axes: Axes, subject: Subject) -> str:
    """Draw |∂_s β| of each layer."""
    speeds = np.sqrt(np.maximum(-subject.descent.beta_part, 0.0))
    return _by_layer(axes, subject, speeds, r"$|\partial_s \beta^{(\ell)}|$", named=True)


def _by_layer(axes: Axes, subject: Subject, values: Array, name: str, *, named: bool) -> str:
    """Draw values (M, L), a line a layer."""
    for layer, each in enumerate(values.T):
        curve(axes, subject.evidence.s, each, label=f"layer {layer}", **_layer_look(subject, layer))
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
