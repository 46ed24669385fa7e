"""What happened in a run, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from truncflow_cli.report.history import rests
from truncflow_cli.report.numbers import listing, share, short
from truncflow_cli.report.summary import Summary
from truncflow_cli.run_data import Certificate, Run
from truncflow_cli.runfile.lock import writer_of

#: What is counted, by the names in the run file.
_WORK = {
    "orders": "Taylor orders",
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


def story(summary: Summary) -> list[str]:
    """Return what happened, a paragraph each: how it ended, the loss, the data, what was found wrong."""
    run, of_the_flow = summary.run, summary.flow.part("story")
    paragraphs = [
        " ".join(_ending(run)),
        " ".join((_loss(run), *_rest(run))),
        "" if of_the_flow is None else " ".join(of_the_flow(summary)),
        " ".join(_findings(summary)),
    ]
    return [paragraph for paragraph in paragraphs if paragraph]


def _ending(run: Run) -> Iterator[str]:
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
    last = f"this is its last checkpoint, s = {reached}."
    if writer is None:
        return f"The run is still going on, or was killed; {last}"
    if writer:
        return f"The run is still going on (process {writer}); {last}"
    return f"The run was killed; {last} `truncflow run --resume` goes on from there."


def _loss(run: Run) -> str:
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


def _rest(run: Run) -> Iterator[str]:
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


def _last_rate(run: Run) -> float | None:
    """Return the rate at which the loss falls over the last tenth of the run, unless lost in rounding."""
    first = int(np.searchsorted(run.s, 0.9 * run.s[-1]))
    a, b = float(run.loss[first]), float(run.loss[-1])
    if first >= run.s.size - 1 or not a > b > 1e-24 * float(run.loss[0]):
        return None
    rate = float(np.log(a / b) / (run.s[-1] - run.s[first]))
    return rate if rate > SLOWEST else None


def _findings(summary: Summary) -> Iterator[str]:
    yield from out_of_tolerance(summary.run, summary.certificates)
    violated = [name for name in summary.certificates if summary.verdict(name) == "violated"]
    others = [name.replace("_", " ") for name in violated if name != "energy_balance"]
    if others:
        yield f"Violated: {listing(others, 12)}."


def out_of_tolerance(run: Run, certificates: Mapping[str, Certificate]) -> list[str]:
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


def work_done(counters: Mapping[str, int], n_events: int) -> str:
    """Return the work that a run has taken, each count with its share of an event."""
    parts = []
    for name, number in counters.items():
        each = f" ({number / n_events:.3g} an event)" if n_events and number else ""
        parts.append(f"{_WORK.get(name, name.replace('_', ' '))} {number:,}{each}")
    return ", ".join(parts)
