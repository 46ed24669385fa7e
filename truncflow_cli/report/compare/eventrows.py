"""The matching of two event logs as rows of text and as a sentence."""

from __future__ import annotations

import numpy as np

from truncflow_cli.events import Kind
from truncflow_cli.report.compare.events import Matching, first_differences
from truncflow_cli.report.numbers import count, short

#: Events that are listed from where two runs part.
MOST_EVENTS = 8


def kind_rows(matching: Matching) -> list[list[str]]:
    """Return a row for each kind that occurs, and their sum where there are several.

    Kind, events of the first and of the second run, pairs, those of one run only, and the median and the
    largest difference in time. A pair counts as the kind that the first run calls it.
    """
    first, second = (log["kind"] for log in matching.logs)
    paired = first[matching.pairs[:, 0]]
    shifts = np.abs(matching.shifts)
    rows = []
    for kind in Kind:
        numbers = (
            np.count_nonzero(first == kind),
            np.count_nonzero(second == kind),
            np.count_nonzero(paired == kind),
            np.count_nonzero(first[matching.alone[0]] == kind),
            np.count_nonzero(second[matching.alone[1]] == kind),
        )
        if any(numbers):
            rows.append([_spoken(kind), *map(str, numbers), *_spread(shifts[paired == kind])])
    if len(rows) > 1:
        totals = len(first), len(second), len(shifts), *(len(alone) for alone in matching.alone)
        rows.append(["all", *map(str, totals), *_spread(shifts)])
    return rows


def _spoken(kind: int) -> str:
    return Kind(kind).name.lower().replace("_", " ")


def _spread(shifts: np.ndarray) -> tuple[str, str]:
    if not shifts.size:
        return "-", "-"
    return short(float(np.median(shifts))), short(float(shifts.max()))


def parting_sentence(matching: Matching, names: tuple[str, str]) -> str:
    """Return where two runs, called by their names, part."""
    parting = matching.parting
    if parting is None:
        if not len(matching.pairs):
            return "They share no event."
        return f"All crossings agree, to {short(matching.tolerance)} in s: the runs never part."
    event, times = matching.event(parting.at), matching.times(parting.at)
    what = f"{_spoken(event['kind'])}{_where(event)}"
    before = "no event" if not parting.before else count(parting.before, "event")
    start = f"They part after {before} in common (to {short(matching.tolerance)} in s): {what}"
    if times[0] is None or times[1] is None:
        which = names[0] if times[1] is None else names[1]
        return f"{start}, s = {short(float(event['s']))}, is in {which} only."
    return f"{start}, s = {short(times[0])} in {names[0]} and {short(times[1])} in {names[1]}."


def _where(event: np.void) -> str:
    named = [
        f"{name} {event[name]}" for name in ("point", "coordinate", "layer", "cluster") if event[name] >= 0
    ]
    return f" of {', '.join(named)}" if named else ""


def event_rows(matching: Matching) -> list[list[str]]:
    """Return a row for each of the first events, in order of time, that are not at one time in both runs.

    Time in the first and in the second run, by how much later, kind, layer, point and coordinate.
    """
    rows = []
    for at in first_differences(matching, MOST_EVENTS):
        event, (here, there) = matching.event(at), matching.times(at)
        shift = "" if here is None or there is None else f"{there - here:+.3g}"
        indices = [str(event[name]) if event[name] >= 0 else "-" for name in ("layer", "point", "coordinate")]
        times = ["-" if s is None else short(s) for s in (here, there)]
        rows.append([*times, shift, _spoken(int(event["kind"])), *indices])
    return rows
