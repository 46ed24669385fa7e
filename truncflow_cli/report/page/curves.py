"""The curves of a page: which quantities each flow has, at the shown times, and the frames that they are drawn in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.output_weight import spectral_gap
from truncflow_cli.problem import Array
from truncflow_cli.report.page.eventdata import MOST_EVENTS
from truncflow_cli.report.page.frames import MOST_CURVES, MOST_LAYERS, Frames
from truncflow_cli.report.page.markup import escape, formula, number
from truncflow_cli.report.quantities import Condition, any_flow, has, has_only, modes_of, norms_of
from truncflow_cli.report.sparkline import scale_of
from truncflow_cli.report.summary import Summary


@dataclass(frozen=True)
class Curve:
    """One curve.

    Attributes:
        values: (F,) at the shown times, NaN where there is none.
        tint: index of its colour; -1 for the main curve of a picture.
        bound: whether it is a bound, not a quantity of the run.
    """

    name: str
    values: Array
    tint: int = -1
    bound: bool = False


@dataclass(frozen=True)
class Chart:
    """One picture of curves against s.

    Attributes:
        key: a short name, for addresses in the page.
        title, caption: its heading, and what is shown, a sentence or two.
        logarithmic: whether it opens with a logarithmic axis.
        magnitude: whether |values| are drawn.
        marks: whether events are marked on the curves of their clusters too.
    """

    key: str
    title: str
    caption: str
    curves: tuple[Curve, ...]
    logarithmic: bool = False
    magnitude: bool = False
    marks: bool = False


def charts_of(summary: Summary, frames: Frames, names: list[str]) -> list[Chart]:
    """Return the pictures of a run; names (C,) are what its clusters are called."""
    charts = [_loss(summary, frames, names), _balance(summary, frames)]
    for suits, draw in CHARTS:
        charts += draw(summary, frames) if suits(summary.flow) else []
    return charts


def spans_much(values: Array) -> bool:
    """Return whether a logarithmic axis suits values (n,), some of which may not be finite."""
    seen = values[np.isfinite(values)]
    return bool(seen.any()) and scale_of(seen).logarithmic


def _first(most: int, count: int, what: str, does: str = "are drawn") -> str:
    """Say that not all of a number of things are shown; nothing if they are."""
    return f" The first {most} of {count} {what} {does}." if count > most else ""


def _numbered(name: str, values: Iterable[Array]) -> tuple[Curve, ...]:
    return tuple(Curve(name.format(k), each, tint=k) for k, each in enumerate(values))


def _of_quantities(
    summary: Summary,
    frames: Frames,
    key: str,
    caption: str,
    names: Iterable[str],
    logarithmic: bool | None = None,
) -> Chart:
    """Return the picture of some of the flow's quantities; on an axis that suits them where nothing is said of it."""
    values = {name: summary.quantities[name][frames.times] for name in names}
    if logarithmic is None:
        logarithmic = any(map(spans_much, values.values()))
    if len(values) == 1:
        curves = tuple(Curve(name, each) for name, each in values.items())
    else:
        curves = tuple(Curve(name, each, tint=k) for k, (name, each) in enumerate(values.items()))
    return Chart(key, " and ".join(values), caption, curves, logarithmic)


def _loss(summary: Summary, frames: Frames, names: list[str]) -> Chart:
    run, at, n = summary.run, frames.times, summary.run.n_clusters
    all_listed = run.events.size <= MOST_EVENTS
    curves = [Curve("total", run.loss[at])]
    caption = "The flow's own loss and its parts by cluster." if n > 1 else "The flow's own loss."
    if run.events.size:
        caption += f" Ticks on the axis are {'events' if all_listed else 'times at which events came'}."
    if n > 1:
        parts = zip(names, run.loss_cluster[at, :MOST_CURVES].T, strict=False)
        curves += [Curve(name, values, tint=k) for k, (name, values) in enumerate(parts)]
        if summary.flow.layered and all_listed and run.events.size:
            caption += " Dots are those of the cluster."
    caption += _first(MOST_CURVES, n, "clusters")
    if run.B is not None and run.W is not None:
        rate = spectral_gap(run.B[0], run.W[0]).rate
        if rate > 0.0:
            bound = run.loss[0] * np.exp(-2.0 * rate * frames.s)
            curves.append(Curve("bound (8.27)", bound, bound=True))
            caption += f" Dashed: the bound e^{{−2λ₀s}} C(0) of Theorem 8.4, λ₀ = {number(rate)}."
        else:
            caption += " Theorem 8.4 gives no bound: I(0) has no spectral gap of the sign that is needed."
    return Chart("loss", "Loss", caption, tuple(curves), logarithmic=spans_much(run.loss), marks=all_listed)


def _balance(summary: Summary, frames: Frames) -> Chart:
    error = summary.run.energy_balance
    curves = [Curve("D", error[frames.times])]
    caption = (
        "D(s) = C(0) − C(s) − ∫ |grad C|² ds, zero for an exact solution: the run's own measure of its error. "
        f"|D| is drawn; at most {number(float(np.abs(error).max()))} over all saved times."
    )
    balance = summary.certificates.get("energy_balance")
    if balance is not None and np.isfinite(balance.bound):
        curves.append(Curve("tolerance", np.full(frames.s.size, balance.bound), bound=True))
        caption += f" Dashed: the tolerance, {number(balance.bound)}."
    return Chart("balance", "Energy balance", caption, tuple(curves), logarithmic=True, magnitude=True)


def _layers(summary: Summary, frames: Frames) -> Iterator[Chart]:
    """Yield how far the layers have come."""
    few = _first(MOST_CURVES, summary.run.n_layers, "layers")
    of_apex = "How far each layer's apex −β is from the pulled-back label ỹ of its cluster."
    of_orthant = "How far each layer's orthant has turned since the start (Frobenius norm)."
    for key, name, caption in (("distance", "|β + ỹ|", of_apex), ("turned", "‖R − R(0)‖", of_orthant)):
        found = [each[frames.times] for of, each in summary.quantities.items() if of.startswith(name)]
        curves = _numbered("layer {}", found[:MOST_CURVES])
        logarithmic = key == "distance" and any(spans_much(curve.values) for curve in curves)
        if curves:
            yield Chart(key, name, f"{caption}{few}", curves, logarithmic=logarithmic)


def _per_layer(summary: Summary, frames: Frames) -> Iterator[Chart]:
    """Yield the truncated fraction and the bias of each layer, by coordinate."""
    run, at = summary.run, frames.times
    few = _first(MOST_CURVES, run.dim, "coordinates")
    few += _first(MOST_LAYERS, run.n_layers, "layers", "have pictures")
    of, switched = "all points", run.attrs.get("switched_at")
    if summary.flow.acts_on == "own":
        later = f", and of all points from s = {number(float(switched))} on" if switched is not None else ""
        of = f"its own cluster's points{later}"
    for key, title, curve, values, caption in (
        ("truncated", "Truncated fraction", "coordinate {}", run.truncated_fraction,
         f"The share of {of} that the layer truncates, by coordinate of its frame."),
        ("beta", "β", "β[{}]", run.beta,
         "The layer's cumulative bias, by coordinate of input space; the apex of its orthant is −β."),
    ):  # fmt: skip
        for layer in range(0 if values is None else min(run.n_layers, MOST_LAYERS)):
            assert values is not None
            curves = _numbered(curve, values[at, layer, :MOST_CURVES].T)
            yield Chart(f"{key}-{layer}", f"{title}, layer {layer}", f"{caption}{few}", curves)


def _collapsed(summary: Summary, frames: Frames) -> Iterator[Chart]:
    run, at = summary.run, frames.times
    assert run.B is not None and run.W is not None, "a flow with B and W"
    invariant = run.B[at] @ run.B[at].swapaxes(1, 2) - run.W[at].swapaxes(1, 2) @ run.W[at]
    spectrum: Array = np.full((at.size, run.dim), np.nan)
    finite = np.isfinite(invariant).all(axis=(1, 2))
    spectrum[finite] = np.linalg.eigvalsh(invariant[finite])
    shown = _ends(run.dim)
    few = f" The least and the largest of {run.dim} are drawn." if len(shown) < run.dim else ""
    of_product = "The distance of the product WB from its limit −Y (8.28)."
    yield _of_quantities(summary, frames, "residual", of_product, ["‖WB + Y‖"])
    yield Chart(
        "spectrum",
        "Eigenvalues of I",
        f"I = BBᵀ − WᵀW is conserved (8.21), so these are level lines; all of one sign gives a rate (Thm 8.4).{few}",
        tuple(Curve(f"eigenvalue {k}", spectrum[:, k], tint=n) for n, k in enumerate(shown)),
    )
    drift = "How far the conserved matrix has drifted: an error of the integration."
    yield _of_quantities(summary, frames, "drift", drift, ["‖I − I(0)‖"], logarithmic=True)
    sizes = "The sizes of the biases and of the output weight (operator norms)."
    yield _of_quantities(summary, frames, "norms", sizes, ["‖B‖", "‖W‖"], logarithmic=False)


def _ends(count: int) -> list[int]:
    """Return all indices below ``count``, or the first and the last few."""
    half = MOST_CURVES // 2
    return list(range(count)) if count <= MOST_CURVES else [*range(half), *range(count - half, count)]


def _clustered(summary: Summary, frames: Frames) -> Iterator[Chart]:
    """Yield what is left of each mode (9.10)."""
    run = summary.run
    if not run.n_points:
        return
    assert run.W is not None, "a flow with W"
    modes = modes_of(run)
    left = modes.left(run.W[frames.times])
    shown, half = _ends(run.dim)[::-1], MOST_CURVES // 2
    few = f" The {half} fastest and slowest of {run.dim} are drawn." if len(shown) < run.dim else ""
    names = [f"λ = {number(max(float(rate), 0.0))}" for rate in modes.rates]
    yield Chart(
        "modes",
        "Modes",
        "What is left of each mode, |(W − W(∞)) v|, v an eigenvector of A = XXᵀ/N: it falls like e^{−λs} (9.10)."
        f"{few}{'' if modes.moving.all() else ' Modes with λ = 0 do not move.'}",
        tuple(Curve(names[k], left[:, k], tint=n) for n, k in enumerate(shown)),
        logarithmic=True,
    )
    distance = np.linalg.norm(left, axis=1)
    yield Chart(
        "distance",
        "‖W − W(∞)‖",
        "The distance of the output weight from its limit, the least-squares minimiser if XXᵀ is invertible (9.12).",
        (Curve("distance", distance),),
        logarithmic=spans_much(distance),
    )
    size = "The size of the output weight (Frobenius norm)."
    yield _of_quantities(summary, frames, "norms", size, ["‖W‖"], logarithmic=False)


def _states(summary: Summary, frames: Frames) -> Iterator[Chart]:
    """Yield the norms of what no other picture is about."""
    for name, values in norms_of(summary.run).items():
        array = name.strip("‖")
        curve = Curve(array, values[frames.times])
        yield Chart(array, name, f"The size of {array} (Frobenius norm).", (curve,))


#: Which flows have which pictures besides loss and energy balance.
CHARTS: tuple[tuple[Condition, Callable[[Summary, Frames], Iterator[Chart]]], ...] = (
    (has("beta", "R"), _layers),
    (has("beta", "R"), _per_layer),
    (has("B", "W"), _collapsed),
    (has_only("W"), _clustered),
    (any_flow, _states),
)


def chart_html(chart: Chart) -> str:
    """Return the figure of curves: heading, caption, place for the drawing, and the legend with numbers."""
    rows = "\n".join(_legend_row(curve, place) for place, curve in enumerate(chart.curves))
    title = escape(chart.title)
    return (
        f'<figure class="chart" id="chart-{chart.key}">'
        f"<figcaption><h3>{title}</h3><p>{formula(chart.caption)}</p></figcaption>"
        '<div class="plot"></div>'
        f'<div class="under"><table class="legend"><caption class="unseen">{title} at the chosen s</caption>'
        '<thead><tr><th scope="col">curve</th><th scope="col">start</th>'
        '<th scope="col">at <var>s</var></th><th scope="col">end</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
        f'<button type="button" class="scale" aria-pressed="false" '
        f'aria-label="logarithmic axis: {title}">log axis</button></div></figure>'
    )


def _legend_row(curve: Curve, place: int) -> str:
    first, last = (float(curve.values[k]) for k in (0, -1))
    return (
        f'<tr><th scope="row"><svg class="swatch" data-curve="{place}" aria-hidden="true"></svg>'
        f"{escape(curve.name)}</th>"
        f'<td>{number(first)}</td><td class="now">{number(first)}</td><td>{number(last)}</td></tr>'
    )
