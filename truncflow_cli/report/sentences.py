"""What happened in a run, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from truncflow_cli.certificate import Certificate
from truncflow_cli.cluster_names import called, cluster_names
from truncflow_cli.report.history import (
    Truncation,
    by_kind,
    longest_pin,
    rests,
    separation_spans,
    truncations,
)
from truncflow_cli.report.numbers import count, listing, share, short
from truncflow_cli.run_data import RunLike
from truncflow_cli.runfile.lock import writer_of

#: What is counted, by the names in the run file.
_WORK = {
    "orders": "evaluations of the field",
    "candidates": "candidates looked at",
    "roots": "roots located",
    "refreshes": "lists made anew",
    "slides": "sliding steps",
}

#: What nobody must miss.
LOUD = "OUT OF TOLERANCE"
FAILED = "The run failed"

#: A loss that changes by less than this share of itself does not change.
UNCHANGED = 1e-12
#: A loss that is less than this share of what it was is not spoken of as a share.
SPOKEN_OF = 1e-4
#: A decay slower than this is not spoken of.
SLOWEST = 1e-6


def story(run: RunLike, certificates: Mapping[str, Certificate]) -> list[str]:
    """Return what happened, a paragraph each: how it ended, the loss, the data, what was found wrong."""
    paragraphs = [
        " ".join(_ending(run)),
        " ".join((_loss(run), *_rest(run))),
        " ".join(_data(run, certificates)),
        " ".join(_findings(run, certificates)),
    ]
    return [paragraph for paragraph in paragraphs if paragraph]


def _ending(run: RunLike) -> Iterator[str]:
    status, reached = run.attrs["status"], short(float(run.s[-1]))
    message = str(run.attrs.get("message") or "").rstrip(".")
    if status == "failed":
        why = f": {message}" if message else ""
        yield f"{FAILED} at s = {reached}{why}. What follows is up to there."
    elif status == "interrupted":
        yield f"The run was interrupted at s = {reached}; `truncflow run --resume` goes on with it."
    elif status == "running":
        yield _going_on(writer_of(run.path), reached)
    if run.attrs.get("equations") == "printed":
        yield (
            "It solves the equations as the paper prints them, without the term −½zzᵀ of Ω: "
            "they are not the gradient flow of the loss."
        )


def _going_on(writer: str | None, reached: str) -> str:
    """Say whether a run is still being written, given the process that does it ("": none, None: unknown)."""
    if writer is None:
        return f"The run is still going on, or was killed; this is its last checkpoint, s = {reached}."
    if writer:
        return f"The run is still going on (process {writer}); this is its last checkpoint, s = {reached}."
    return (
        f"The run was killed; this is its last checkpoint, s = {reached}. "
        "`truncflow run --resume` goes on from there."
    )


def _loss(run: RunLike) -> str:
    first, last, end = float(run.loss[0]), float(run.loss[-1]), short(float(run.s[-1]))
    if run.s.size == 1:
        return f"There is one saved time, with loss {short(first)}."
    if not np.isfinite(run.loss).all():
        since = short(float(run.s[np.argmin(np.isfinite(run.loss))]))
        return f"The loss is not a number from s = {since} on: the file has been changed, or is damaged."
    if first == 0.0 and not run.loss.any():
        return "The loss is zero throughout."
    if np.ptp(run.loss) <= UNCHANGED * first:
        return f"The loss stays at {short(first)}."
    highest = float(run.loss.max())
    if last > first * (1.0 + UNCHANGED):
        return f"The loss rose from {short(first)} to {short(last)} by s = {end}."
    bump = f", after a rise to {short(highest)}" if highest > first * (1.0 + 1e-9) else ""
    left = f", {share(last, first)} of what it was," if last > SPOKEN_OF * first else ""
    return f"The loss fell from {short(first)} to {short(last)}{left} by s = {end}{bump}."


def _rest(run: RunLike) -> Iterator[str]:
    resting = rests(run)
    n_layers = 0 if run.beta is None else run.beta.shape[1]
    if -1 in resting or (n_layers and len(resting) == n_layers):
        when = max(resting.values())
        yield "Nothing moves." if when == 0.0 else f"Nothing moves any more from s = {short(when)} on."
        return
    if resting:
        layers = listing([f"{layer} (s = {short(s)})" for layer, s in sorted(resting.items())])
        yield f"At rest: layer {layers}."
    rate = _last_rate(run)
    if rate is not None:
        yield f"At the end it falls like e^{{−{short(rate)} s}}."


def _last_rate(run: RunLike) -> float | None:
    """Return the rate at which the loss falls over the last tenth of the run, unless lost in rounding."""
    first = int(np.searchsorted(run.s, 0.9 * run.s[-1]))
    a, b = float(run.loss[first]), float(run.loss[-1])
    if first >= run.s.size - 1 or not a > b > 1e-24 * float(run.loss[0]):
        return None
    rate = float(np.log(a / b) / (run.s[-1] - run.s[first]))
    return rate if rate > SLOWEST else None


def _data(run: RunLike, certificates: Mapping[str, Certificate]) -> Iterator[str]:
    if run.attrs["flow"] == "collapsed":
        yield from _collapsed(run, certificates)
    elif run.attrs["flow"] == "clustered":
        yield from _clustered(certificates)
    else:
        yield from _truncated(truncations(run), called(cluster_names(run.notes, len(run.y_tilde))))
        yield from _pins(run)
        yield from _separation(run)


def _truncated(histories: list[Truncation], names: list[str]) -> Iterator[str]:
    collapsed = {h.cluster: h for h in histories if h.collapsed is not None}
    total = len({h.cluster for h in histories})
    if total == 1 and collapsed:
        start = collapsed[0].collapsed or 0.0
        since = "from the start" if start == 0.0 else f"from s = {short(start)} on"
        yield f"The cluster is wholly truncated {since}, and so mapped to a point."
    elif collapsed:
        when = [
            f"{names[k]} ({'from the start' if h.collapsed == 0.0 else f's = {short(h.collapsed or 0.0)}'})"
            for k, h in sorted(collapsed.items())
        ]
        some = f"{len(collapsed)} of {total} clusters {'are' if len(collapsed) > 1 else 'is'}"
        which = "every cluster is" if len(collapsed) == total else some
        yield f"At the end {which} wholly truncated, and so mapped to a point: {listing(when)}."
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


def _pins(run: RunLike) -> Iterator[str]:
    pins = by_kind(run)["pin"]
    longest = longest_pin(run)
    if pins and longest is not None:
        stop = "the end" if longest[1].stop is None else f"s = {short(longest[1].stop)}"
        which = "It was" if pins == 1 else "The longest was"
        yield (
            f"{count(pins, 'time')} a point was held on a surface that both sides push it onto. "
            f"{which} from s = {short(longest[1].start)} to {stop}."
        )


def _separation(run: RunLike) -> Iterator[str]:
    if run.attrs["flow"] != "separated" or run.y_tilde.shape[0] == 1:
        return
    spans = separation_spans(run)
    if not spans:
        yield "The clusters stay separated (3.3) throughout."
        return
    first = min(span.start for each in spans.values() for span in each)
    open_at_end = [key for key, each in spans.items() if each[-1].stop is None]
    names = called(cluster_names(run.notes, len(run.y_tilde)))
    places = [f"{names[k]} under layer {l_}" for k, l_ in sorted(spans)]
    since = (
        "The start is not cluster separated (3.3)"
        if first == 0.0
        else f"Separation (3.3) is lost at s = {short(first)}"
    )
    switched = run.attrs.get("switched_at")
    if switched is not None:
        yield f"{since}: {listing(places, 3)}. From there on the run follows the general flow."
        return
    after = "and is not regained for all of them" if open_at_end else "and regained later"
    yield (
        f"{since}: {listing(places, 3)}, {after}. While it does not hold, this is not the gradient flow of "
        "the network's loss; that is the flow `general`."
    )


def _collapsed(run: RunLike, certificates: Mapping[str, Certificate]) -> Iterator[str]:
    assert run.W is not None and run.B is not None
    left = float(np.linalg.norm(run.W[-1] @ run.B[-1] + run.y.T))
    yield f"WB has come within {short(left)} of −Y."
    bound = certificates.get("loss_bound")
    if bound is not None and bound.verdict == "holds":
        yield "The loss keeps below the bound of Theorem 8.4 at all times."
    elif bound is not None and bound.verdict == "hypothesis not met":
        yield "Theorem 8.4 gives no rate for this start: I(0) has no spectral gap of the sign that is needed."
    data = certificates.get("collapsed_data")
    if data is not None and data.verdict == "violated":
        yield "The data do not stay collapsed, (8.1): from there on (8.2) is not the network's loss."
    elif data is not None and data.verdict == "hypothesis not met":
        yield "The data do not start collapsed, (8.1): (8.2) is not the network's loss."


def _clustered(certificates: Mapping[str, Certificate]) -> Iterator[str]:
    limit = certificates.get("least_squares")
    if limit is not None and limit.verdict == "hypothesis not met":
        yield "XXᵀ is singular: W tends to the least-squares minimiser nearest to its start."
    elif limit is not None and "distance" in limit.series:
        distance = limit.series["distance"]
        yield (
            f"W is {short(float(distance[-1]))} from the least-squares minimiser, "
            f"{short(float(distance[0]))} at the start."
        )
    data = certificates.get("clustered_data")
    if data is not None and data.verdict == "hypothesis not met":
        yield "Some points are truncated at the start, (9.2): (9.3) is not the network's loss."


def _findings(run: RunLike, certificates: Mapping[str, Certificate]) -> Iterator[str]:
    yield from out_of_tolerance(run, certificates)
    others = [c.name.replace("_", " ") for c in certificates.values() if c.verdict == "violated"]
    others = [name for name in others if name != "energy balance"]
    if others:
        yield f"Violated: {listing(others, 12)}."


def out_of_tolerance(run: RunLike, certificates: Mapping[str, Certificate]) -> list[str]:
    """Say that D(s) is larger than the tolerances allow, if it is."""
    balance = certificates.get("energy_balance")
    if balance is None or balance.verdict != "violated":
        return []
    printed = run.attrs.get("equations") == "printed"
    return [
        f"THE ENERGY BALANCE IS {LOUD}: |D(s)| reaches {short(balance.value)}, allowed are "
        f"{short(balance.bound)}.",
        "So it must be with the equations as printed."
        if printed
        else "The trajectory is not a solution to the accuracy that was asked for: do not rely on it, or tighten "
        "integrator.rtol.",
    ]


def is_loud(paragraph: str) -> bool:
    """Whether a paragraph of the story says what nobody must miss."""
    return LOUD in paragraph or paragraph.startswith(FAILED)


def status_of(run: RunLike) -> str:
    """Return how the run ended: its status, or "killed" where nobody goes on with one that says it is running."""
    status = str(run.attrs["status"])
    return "killed" if status == "running" and writer_of(run.path) == "" else status


def work_done(counters: Mapping[str, int], n_events: int) -> str:
    """Return the work that a run has taken, each count with its share of an event."""
    parts = []
    for name, number in counters.items():
        each = f" ({number / n_events:.3g} an event)" if n_events and number else ""
        parts.append(f"{_WORK.get(name, name.replace('_', ' '))} {number:,}{each}")
    return ", ".join(parts)
