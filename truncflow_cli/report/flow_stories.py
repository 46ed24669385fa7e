"""What the report says of each flow beyond what it says of all: curves, facts and sentences.

These functions are parts of the flows' entries in the registry: "quantities", "facts" and "story".
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from truncflow_cli.diagnostics.output_weight import spectral_gap
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.history import Truncation, by_kind, longest_pin, separation_spans
from truncflow_cli.report.numbers import count, listing, short
from truncflow_cli.report.summary import Summary


def layered_quantities(summary: Summary) -> dict[str, Array]:
    """Return how far each layer has moved, ‖R − R(0)‖, and |β + ỹ| where layer ℓ is cluster ℓ's own, (T,) each."""
    run, found = summary.run, {}
    assert run.beta is not None and run.R is not None
    own = summary.flow.acts_on == "own" and summary.sizes["L"] == summary.sizes["C"]
    for layer in range(summary.sizes["L"]):
        if own:
            off = run.beta[:, layer] + run.y_tilde[layer]
            found[f"|β + ỹ|, layer {layer}"] = np.linalg.norm(off, axis=1)
        turned = run.R[:, layer] - run.R[0, layer]
        found[f"‖R − R(0)‖, layer {layer}"] = np.linalg.norm(turned, axis=(1, 2))
    return found


def collapsed_quantities(summary: Summary) -> dict[str, Array]:
    """Return the sizes of B, W, WB + Y and of the drift of I = BBᵀ − WᵀW (8.21), (T,) each.

    ‖B‖, ‖W‖ and ‖I − I(0)‖ are operator norms, as in the bounds (8.34)-(8.37) and in (8.21).
    """
    B, W = summary.run.B, summary.run.W
    assert B is not None and W is not None
    conserved = B @ B.swapaxes(1, 2) - W.swapaxes(1, 2) @ W
    return {
        "‖B‖": np.linalg.norm(B, ord=2, axis=(1, 2)),
        "‖W‖": np.linalg.norm(W, ord=2, axis=(1, 2)),
        "‖WB + Y‖": np.linalg.norm(W @ B + summary.run.y.T, axis=(1, 2)),
        "‖I − I(0)‖": np.linalg.norm(conserved - conserved[0], ord=2, axis=(1, 2)),
    }


def clustered_quantities(summary: Summary) -> dict[str, Array]:
    """Return ‖W‖ and the distances of W to its start and to the least-squares minimiser, Frobenius, (T,) each."""
    W = summary.run.W
    assert W is not None
    found = {
        "‖W‖": np.linalg.norm(W, axis=(1, 2)),
        "‖W − W(0)‖": np.linalg.norm(W - W[0], axis=(1, 2)),
    }
    limit = summary.certificates.get("least_squares")
    if limit is not None and "distance" in limit.series:
        found["‖W − Y_ext X⁺‖"] = limit.series["distance"]
    return found


def collapsed_facts(summary: Summary) -> list[str]:
    """Return what I(0) says of the rate, Theorem 8.4."""
    B, W = summary.run.B, summary.run.W
    assert B is not None and W is not None
    gap = spectral_gap(B[0], W[0])
    rate = f"λ0 = {gap.rate:.6g}" if gap.rate > 0.0 else "no λ0 > 0"
    return [f"I = BBᵀ − WᵀW is conserved: {gap.text}; {rate}"]


def clustered_facts(summary: Summary) -> list[str]:
    """Return the rates at which W decays."""
    run = summary.run
    if run.x is None:
        return []
    rates = np.linalg.eigvalsh(second_moment(run.x, run.cluster, run.settings.get("point_weights")))
    return [f"decay rates of W, the eigenvalues of XXᵀ/N: {rates[0]:.6g} … {rates[-1]:.6g}"]


def second_moment(x: Array, cluster: IntArray | None, point_weights: object) -> Array:
    """Return Σ_i w_i x_i x_iᵀ (Q, Q) of points x (N, Q): w_i = 1/N, or 1/N_j if that is asked for."""
    weights = np.full(x.shape[0], 1.0 / max(1, x.shape[0]))
    if point_weights == "1/N_j" and cluster is not None:
        weights = 1.0 / np.bincount(cluster)[cluster]
    return np.asarray((x * weights[:, None]).T @ x)


def layered_story(summary: Summary) -> Iterator[str]:
    """Yield which clusters are truncated, which points were pinned, and whether the clusters stay separated."""
    yield from _truncated(summary.truncations, summary.called)
    yield from _pins(summary)
    if summary.flow.acts_on == "own" and summary.sizes["C"] > 1:
        yield _separation(summary)


def _truncated(histories: list[Truncation], names: list[str]) -> Iterator[str]:
    collapsed = {h.cluster: h for h in histories if h.collapsed is not None}
    total = len({h.cluster for h in histories})
    since = {
        k: "from the start" if not h.collapsed else f"s = {short(h.collapsed)}" for k, h in collapsed.items()
    }
    if total == 1 and collapsed:
        when = since[0] if not collapsed[0].collapsed else f"from {since[0]} on"
        yield f"The cluster is wholly truncated {when}, and so mapped to a point."
    elif collapsed:
        some = f"{len(collapsed)} of {total} clusters {'are' if len(collapsed) > 1 else 'is'}"
        which = "every cluster is" if len(collapsed) == total else some
        each = listing([f"{names[k]} ({since[k]})" for k in sorted(collapsed)])
        yield f"At the end {which} wholly truncated, and so mapped to a point: {each}."
    partly = [h for h in histories if h.cluster not in collapsed and (h.cut[1] or h.cut[0])]
    if partly:
        parts = [
            f"{_how_many(h.cut[1], h.points)} of {names[h.cluster]} by layer {h.layer} "
            f"({h.cut[0]:,} at the start)"
            for h in partly
        ]
        yield f"Truncated in some coordinate, but not wholly, at the end: {listing(parts, 4)}."
    untouched = sorted({h.cluster for h in histories} - {h.cluster for h in histories if h.began is not None})
    if untouched:
        yield f"Nothing of {listing([names[k] for k in untouched])} is ever truncated."


def _how_many(part: int, whole: int) -> str:
    if part == whole:
        return f"all {whole:,} points" if whole != 1 else "the only point"
    return f"{f'{part:,}' if part else 'none'} of {whole:,} points"


def _pins(summary: Summary) -> Iterator[str]:
    longest = longest_pin(summary.run)
    if longest is None:
        return
    pins = by_kind(summary.run)["pin"]
    stop = "the end" if longest.stop is None else f"s = {short(longest.stop)}"
    yield (
        f"{count(pins, 'time')} a point was held on a surface that both sides push it onto. "
        f"{'It was' if pins == 1 else 'The longest was'} from s = {short(longest.start)} to {stop}."
    )


def _separation(summary: Summary) -> str:
    spans = separation_spans(summary.run)
    if not spans:
        return "The clusters stay separated (3.3) throughout."
    first = min(span.start for each in spans.values() for span in each)
    places = listing([f"{summary.called[k]} under layer {layer}" for k, layer in sorted(spans)], 3)
    lost = (
        f"Separation (3.3) is lost at s = {short(first)}"
        if first
        else "The start is not cluster separated (3.3)"
    )
    if summary.run.attrs.get("switched_at") is not None:
        return f"{lost}: {places}. From there on the run follows the general flow."
    still_lost = any(each[-1].stop is None for each in spans.values())
    after = "and is not regained for all of them" if still_lost else "and regained later"
    return (
        f"{lost}: {places}, {after}. While it does not hold, this is not the gradient flow of "
        "the network's loss; that is the flow `general`."
    )


def collapsed_story(summary: Summary) -> Iterator[str]:
    """Yield how near WB has come to −Y, and what Theorem 8.4 and (8.1) say."""
    left = float(summary.quantities["‖WB + Y‖"][-1])
    yield f"WB has come within {short(left)} of −Y."
    told = {
        ("loss_bound", "holds"): "The loss keeps below the bound of Theorem 8.4 at all times.",
        ("loss_bound", "hypothesis not met"): "Theorem 8.4 gives no rate for this start: "
        "I(0) has no spectral gap of the sign that is needed.",
        ("collapsed_data", "violated"): "The data do not stay collapsed, (8.1): "
        "from there on (8.2) is not the network's loss.",
        ("collapsed_data", "hypothesis not met"): "The data do not start collapsed, (8.1): "
        "(8.2) is not the network's loss.",
    }
    yield from (text for (name, verdict), text in told.items() if summary.verdict(name) == verdict)


def clustered_story(summary: Summary) -> Iterator[str]:
    """Yield where W tends to, and whether the data are as (9.2) assumes."""
    distance = summary.quantities.get("‖W − Y_ext X⁺‖")
    if summary.verdict("least_squares") == "hypothesis not met":
        yield "XXᵀ is singular: W tends to the least-squares minimiser nearest to its start."
    elif distance is not None:
        last, first = short(float(distance[-1])), short(float(distance[0]))
        yield f"W is {last} from the least-squares minimiser, {first} at the start."
    if summary.verdict("clustered_data") == "hypothesis not met":
        yield "Some points are truncated at the start, (9.2): (9.3) is not the network's loss."
