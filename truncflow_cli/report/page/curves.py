"""The curves of a page: which quantities each flow has, at the shown times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from truncflow_cli.certificate import Certificate
from truncflow_cli.diagnostics.collapsed import spectral_gap
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Array
from truncflow_cli.report.page.eventdata import MOST_EVENTS
from truncflow_cli.report.page.frames import MOST_CURVES, MOST_LAYERS, Frames
from truncflow_cli.report.page.markup import number
from truncflow_cli.report.quantities import Condition, any_flow, has, has_only, modes_of, norms_of
from truncflow_cli.report.sparkline import scale_of
from truncflow_cli.runfile import RunFile


@dataclass(frozen=True)
class Curve:
    """One curve.

    Attributes:
        name: what it is called.
        values: (F,) its values at the shown times, NaN where there is none.
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
        title: its heading.
        caption: what is shown, a sentence or two.
        curves: the curves.
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


def charts_of(
    run: RunFile, frames: Frames, certificates: Mapping[str, Certificate], names: list[str]
) -> list[Chart]:
    """Return the pictures of a run; names (C,) are what its clusters are called."""
    flow, charts = flow_named(run.flow), [_loss(run, frames, names), _balance(run, frames, certificates)]
    for suits, draw in CHARTS:
        charts += draw(run, frames) if suits(flow) else []
    return charts


def _first(most: int, count: int, what: str, does: str = "are drawn") -> str:
    """Say that not all of a number of things are shown; nothing if they are."""
    return f" The first {most} of {count} {what} {does}." if count > most else ""


def _loss(run: RunFile, frames: Frames, names: list[str]) -> Chart:
    at, n = frames.times, run.n_clusters
    all_listed = run.events.size <= MOST_EVENTS
    curves = [Curve("total", run.loss[at])]
    caption = "The flow's own loss and its parts by cluster." if n > 1 else "The flow's own loss."
    if run.events.size:
        caption += f" Ticks on the axis are {'events' if all_listed else 'times at which events came'}."
    if n > 1:
        curves += [Curve(names[k], run.loss_cluster[at, k], tint=k) for k in range(min(n, MOST_CURVES))]
        if run.beta is not None and all_listed and run.events.size:
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


def spans_much(values: Array) -> bool:
    """Return whether a logarithmic axis suits values (n,), some of which may not be finite."""
    seen = values[np.isfinite(values)]
    return bool(seen.any()) and scale_of(seen).logarithmic


def _balance(run: RunFile, frames: Frames, certificates: Mapping[str, Certificate]) -> Chart:
    curves = [Curve("D", run.energy_balance[frames.times])]
    largest = float(np.abs(run.energy_balance).max())
    caption = (
        "D(s) = C(0) − C(s) − ∫ |grad C|² ds, zero for an exact solution: the run's own measure of its error. "
        f"|D| is drawn; at most {number(largest)} over all saved times."
    )
    balance = certificates.get("energy_balance")
    if balance is not None and np.isfinite(balance.bound):
        curves.append(Curve("tolerance", np.full(frames.s.size, balance.bound), bound=True))
        caption += f" Dashed: the tolerance, {number(balance.bound)}."
    return Chart("balance", "Energy balance", caption, tuple(curves), logarithmic=True, magnitude=True)


def _layers(run: RunFile, frames: Frames) -> Iterator[Chart]:
    """Yield how far the layers have come."""
    beta, R = _state(run, "beta"), _state(run, "R")
    at, shown = frames.times, range(min(run.n_layers, MOST_CURVES))
    few = _first(MOST_CURVES, run.n_layers, "layers")
    if flow_named(run.flow).acts_on == "own":
        distance = [np.linalg.norm(beta[at, k] + run.y_tilde[k], axis=1) for k in shown]
        yield Chart(
            "distance",
            "|β + ỹ|",
            f"How far each layer's apex −β is from the pulled-back label ỹ of its cluster.{few}",
            _numbered("layer {}", distance),
            logarithmic=any(spans_much(values) for values in distance),
        )
    yield Chart(
        "turned",
        "‖R − R(0)‖",
        f"How far each layer's orthant has turned since the start (Frobenius norm).{few}",
        _numbered("layer {}", [np.linalg.norm(R[at, k] - R[0, k], axis=(1, 2)) for k in shown]),
    )


def _state(run: RunFile, name: str) -> Array:
    values: Array = getattr(run, name)
    return values


def _numbered(name: str, values: Iterable[Array]) -> tuple[Curve, ...]:
    return tuple(Curve(name.format(k), each, tint=k) for k, each in enumerate(values))


def _per_layer(run: RunFile, frames: Frames) -> Iterator[Chart]:
    """Yield the truncated fraction and the bias of each layer, by coordinate."""
    beta, fraction, at = _state(run, "beta"), run.truncated_fraction, frames.times
    few = _first(MOST_CURVES, run.dim, "coordinates")
    few += _first(MOST_LAYERS, run.n_layers, "layers", "have pictures")
    of, switched = "all points", run.attrs.get("switched_at")
    if flow_named(run.flow).acts_on == "own":
        later = f", and of all points from s = {number(float(switched))} on" if switched is not None else ""
        of = f"its own cluster's points{later}"
    for layer in range(min(run.n_layers, MOST_LAYERS)):
        if fraction is None:
            break
        yield Chart(
            f"truncated-{layer}",
            f"Truncated fraction, layer {layer}",
            f"The share of {of} that the layer truncates, by coordinate of its frame.{few}",
            _numbered("coordinate {}", fraction[at, layer, :MOST_CURVES].T),
        )
    for layer in range(min(run.n_layers, MOST_LAYERS)):
        yield Chart(
            f"beta-{layer}",
            f"β, layer {layer}",
            f"The layer's cumulative bias, by coordinate of input space; the apex of its orthant is −β.{few}",
            _numbered("β[{}]", beta[at, layer, :MOST_CURVES].T),
        )


def _collapsed(run: RunFile, frames: Frames) -> Iterator[Chart]:
    B, W = _state(run, "B"), _state(run, "W")
    b, w = B[frames.times], W[frames.times]
    invariant = b @ b.swapaxes(1, 2) - w.swapaxes(1, 2) @ w
    start = B[0] @ B[0].T - W[0].T @ W[0]
    spectrum: Array = np.full((len(b), run.dim), np.nan)
    finite = np.isfinite(invariant).all(axis=(1, 2))
    spectrum[finite] = np.linalg.eigvalsh(invariant[finite])
    shown = _ends(run.dim)
    few = f" The least and the largest of {run.dim} are drawn." if len(shown) < run.dim else ""
    residual = np.linalg.norm(w @ b + run.y.T, axis=(1, 2))
    yield Chart(
        "residual",
        "‖WB + Y‖",
        "The distance of the product WB from its limit −Y (8.28).",
        (Curve("‖WB + Y‖", residual),),
        logarithmic=spans_much(residual),
    )
    yield Chart(
        "spectrum",
        "Eigenvalues of I",
        f"I = BBᵀ − WᵀW is conserved (8.21), so these are level lines; all of one sign gives a rate (Thm 8.4).{few}",
        tuple(Curve(f"eigenvalue {k}", spectrum[:, k], tint=n) for n, k in enumerate(shown)),
    )
    yield Chart(
        "drift",
        "‖I − I(0)‖",
        "How far the conserved matrix has drifted: an error of the integration.",
        (Curve("drift", np.linalg.norm(invariant - start, ord=2, axis=(1, 2))),),
        logarithmic=True,
    )
    sizes = {"‖B‖": b, "‖W‖": w}
    yield Chart(
        "norms",
        "‖B‖ and ‖W‖",
        "The sizes of the biases and of the output weight (operator norms).",
        tuple(
            Curve(name, np.linalg.norm(each, ord=2, axis=(1, 2)), tint=k)
            for k, (name, each) in enumerate(sizes.items())
        ),
    )


def _ends(count: int) -> list[int]:
    """Return all indices below ``count``, or the first and the last few."""
    if count <= MOST_CURVES:
        return list(range(count))
    half = MOST_CURVES // 2
    return [*range(half), *range(count - half, count)]


def _clustered(run: RunFile, frames: Frames) -> Iterator[Chart]:
    """Yield what is left of each mode (9.10)."""
    if not run.n_points:
        return
    modes, w = modes_of(run), _state(run, "W")[frames.times]
    left = modes.left(w)
    shown, half = _ends(run.dim)[::-1], MOST_CURVES // 2
    few = f" The {half} fastest and slowest of {run.dim} are drawn." if len(shown) < run.dim else ""
    yield Chart(
        "modes",
        "Modes",
        "What is left of each mode, |(W − W(∞)) v|, v an eigenvector of A = XXᵀ/N: it falls like e^{−λs} (9.10)."
        f"{few}{'' if modes.moving.all() else ' Modes with λ = 0 do not move.'}",
        tuple(
            Curve(f"λ = {number(max(float(modes.rates[k]), 0.0))}", left[:, k], tint=n)
            for n, k in enumerate(shown)
        ),
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
    yield Chart(
        "norms",
        "‖W‖",
        "The size of the output weight (Frobenius norm).",
        (Curve("‖W‖", np.linalg.norm(w, axis=(1, 2))),),
    )


def _states(run: RunFile, frames: Frames) -> Iterator[Chart]:
    """Yield the norms of what no other picture is about."""
    for name, values in norms_of(run).items():
        yield Chart(
            name, f"‖{name}‖", f"The size of {name} (Frobenius norm).", (Curve(name, values[frames.times]),)
        )


#: Which flows have which pictures besides loss and energy balance.
CHARTS: tuple[tuple[Condition, Callable[[RunFile, Frames], Iterator[Chart]]], ...] = (
    (has("beta", "R"), _layers),
    (has("beta", "R"), _per_layer),
    (has("B", "W"), _collapsed),
    (has_only("W"), _clustered),
    (any_flow, _states),
)
