"""The curves of a page: which quantities each flow has, at the shown times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from truncflow_cli.certificate import Certificate
from truncflow_cli.diagnostics.collapsed import spectral_gap
from truncflow_cli.problem import Array
from truncflow_cli.report.flow_stories import second_moment
from truncflow_cli.report.page.eventdata import MOST_EVENTS
from truncflow_cli.report.page.frames import MOST_CURVES, MOST_LAYERS, Frames
from truncflow_cli.report.page.markup import number
from truncflow_cli.report.sparkline import scale_of
from truncflow_cli.runfile import RunFile

#: Eigenvalues below this share of the largest count as zero, and their modes as at rest.
RANK_SHARE = 1e-12


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
    charts = [_loss(run, frames, names), _balance(run, frames, certificates)]
    if run.beta is not None and run.R is not None:
        charts += _layers(run, frames, run.beta, run.R)
    elif run.B is not None and run.W is not None:
        charts += _collapsed(frames, run.B, run.W, run.y)
    elif run.W is not None and run.x is not None:
        charts += _clustered(run, frames, run.W, run.x)
    return charts


def _loss(run: RunFile, frames: Frames, names: list[str]) -> Chart:
    at = frames.times
    curves = [Curve("total", run.loss[at])]
    all_listed = run.events.size <= MOST_EVENTS
    ticks = (
        " Ticks on the axis are events."
        if all_listed
        else " Ticks on the axis are times at which events came."
    )
    ticks = ticks if run.events.size else ""
    caption = f"The flow's own loss.{ticks}"
    n = run.loss_cluster.shape[1]
    if n > 1:
        curves += [Curve(names[k], run.loss_cluster[at, k], tint=k) for k in range(min(n, MOST_CURVES))]
        dots = " Dots are those of the cluster." if run.beta is not None and all_listed and ticks else ""
        caption = f"The flow's own loss and its parts by cluster.{ticks}{dots}"
    if n > MOST_CURVES:
        caption += f" The first {MOST_CURVES} of {n} clusters are drawn."
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


def _layers(run: RunFile, frames: Frames, beta: Array, R: Array) -> Iterator[Chart]:
    at = frames.times
    layers = beta.shape[1]
    shown = range(min(layers, MOST_CURVES))
    few = f" The first {MOST_CURVES} of {layers} layers are drawn." if layers > MOST_CURVES else ""
    if run.attrs["flow"] == "separated" and layers == run.y_tilde.shape[0]:
        distance = [np.linalg.norm(beta[at, k] + run.y_tilde[k], axis=1) for k in shown]
        yield Chart(
            "distance",
            "|β + ỹ|",
            f"How far each layer's apex −β is from the pulled-back label ỹ of its cluster.{few}",
            tuple(Curve(f"layer {k}", values, tint=k) for k, values in enumerate(distance)),
            logarithmic=any(spans_much(values) for values in distance),
        )
    moved = [np.linalg.norm(R[at, k] - R[0, k], axis=(1, 2)) for k in shown]
    yield Chart(
        "turned",
        "‖R − R(0)‖",
        f"How far each layer's orthant has turned since the start (Frobenius norm).{few}",
        tuple(Curve(f"layer {k}", values, tint=k) for k, values in enumerate(moved)),
    )
    yield from _per_layer(run, frames, beta)


def _per_layer(run: RunFile, frames: Frames, beta: Array) -> Iterator[Chart]:
    """Yield the truncated fraction and the bias of each layer, by coordinate."""
    at, layers, dim = frames.times, beta.shape[1], beta.shape[2]
    shown = range(min(dim, MOST_CURVES))
    few = f" The first {MOST_CURVES} of {dim} coordinates are drawn." if dim > MOST_CURVES else ""
    more = f" The first {MOST_LAYERS} of {layers} layers have pictures." if layers > MOST_LAYERS else ""
    own = run.attrs["flow"] == "separated"
    switched = run.attrs.get("switched_at")
    of = "its own cluster's points" if own else "all points"
    if own and switched is not None:
        of = f"its own cluster's points, and of all points from s = {number(float(switched))} on"
    for layer in range(min(layers, MOST_LAYERS)):
        fraction = run.truncated_fraction
        if fraction is not None:
            yield Chart(
                f"truncated-{layer}",
                f"Truncated fraction, layer {layer}",
                f"The share of {of} that the layer truncates, by coordinate of its frame.{few}{more}",
                tuple(Curve(f"coordinate {r}", fraction[at, layer, r], tint=r) for r in shown),
            )
    for layer in range(min(layers, MOST_LAYERS)):
        yield Chart(
            f"beta-{layer}",
            f"β, layer {layer}",
            f"The layer's cumulative bias, by coordinate of input space; the apex of its orthant is −β.{few}{more}",
            tuple(Curve(f"β[{r}]", beta[at, layer, r], tint=r) for r in shown),
        )


def _collapsed(frames: Frames, B: Array, W: Array, y: Array) -> Iterator[Chart]:
    b, w = B[frames.times], W[frames.times]
    invariant = b @ b.swapaxes(1, 2) - w.swapaxes(1, 2) @ w
    start = B[0] @ B[0].T - W[0].T @ W[0]
    spectrum: Array = np.full((len(b), b.shape[1]), np.nan)
    finite = np.isfinite(invariant).all(axis=(1, 2))
    spectrum[finite] = np.linalg.eigvalsh(invariant[finite])
    shown = _ends(spectrum.shape[1])
    few = (
        f" The least and the largest of {spectrum.shape[1]} are drawn."
        if len(shown) < spectrum.shape[1]
        else ""
    )
    residual = np.linalg.norm(w @ b + y.T, axis=(1, 2))
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
    yield Chart(
        "norms",
        "‖B‖ and ‖W‖",
        "The sizes of the biases and of the output weight (operator norms).",
        (
            Curve("‖B‖", np.linalg.norm(b, ord=2, axis=(1, 2)), tint=0),
            Curve("‖W‖", np.linalg.norm(w, ord=2, axis=(1, 2)), tint=1),
        ),
    )


def _ends(count: int) -> list[int]:
    """Return all indices below ``count``, or the first and the last few."""
    if count <= MOST_CURVES:
        return list(range(count))
    half = MOST_CURVES // 2
    return [*range(half), *range(count - half, count)]


def _clustered(run: RunFile, frames: Frames, W: Array, x: Array) -> Iterator[Chart]:
    """Yield the modes of (9.10): with A v = λ v, (W(s) − W(∞)) v = e^{−λs} (W(0) − W(∞)) v."""
    assert run.cluster is not None, "points have clusters"
    asked = run.settings.get("point_weights")
    weights = np.full(x.shape[0], 1.0 / max(1, x.shape[0]))
    if asked == "1/N_j":
        weights = 1.0 / np.bincount(run.cluster)[run.cluster]
    rates, vectors = np.linalg.eigh(second_moment(x, run.cluster, asked))
    moving = rates > RANK_SHARE * max(float(rates[-1]), 0.0)
    labelled = (run.y[run.cluster] * weights[:, None]).T @ x @ vectors
    limit = W[0] @ vectors
    limit[:, moving] = labelled[:, moving] / rates[moving]
    w = W[frames.times]
    left = np.asarray(np.linalg.norm(w @ vectors - limit, axis=1), dtype=np.float64)
    shown = _ends(rates.size)[::-1]
    few = (
        f" The {len(shown) // 2} fastest and slowest of {rates.size} are drawn."
        if len(shown) < rates.size
        else ""
    )
    yield Chart(
        "modes",
        "Modes",
        "What is left of each mode, |(W − W(∞)) v|, v an eigenvector of A = XXᵀ/N: it falls like e^{−λs} (9.10)."
        + few
        + ("" if moving.all() else " Modes with λ = 0 do not move."),
        tuple(
            Curve(f"λ = {number(max(float(rates[k]), 0.0))}", left[:, k], tint=n) for n, k in enumerate(shown)
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
