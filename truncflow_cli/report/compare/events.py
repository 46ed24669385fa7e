"""Which events two runs have in common, and where they part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from truncflow_cli.events import EventLog, Kind
from truncflow_cli.problem import Array, IntArray

#: An event of two runs by its index in the log of each, None where a run does not have it.
At = tuple[int | None, int | None]
#: What tells an event from every other, besides the number of its occurrence.
KEY = ("kind", "layer", "cluster", "coordinate", "point")
#: Events are numbered below this: two such numbers multiplied by a handful stay within 64 bits.
MOST_CODES = 1 << 60
#: Kinds that change the equations; the others only say what has become of layers and clusters.
CROSSINGS = (Kind.TRUNCATE, Kind.RELEASE, Kind.PIN, Kind.UNPIN)
#: Crossings of foreign points, which `separated` logs as the first column and `general` as the second.
SAME_CROSSING = ((Kind.SEPARATION_LOST, Kind.TRUNCATE), (Kind.SEPARATION_REGAINED, Kind.RELEASE))


@dataclass(frozen=True)
class Matching:
    """The events of two runs, paired: the k-th of a kind, layer, cluster, coordinate and point with the k-th.

    Attributes:
        logs: the events of the two runs, up to the last common time.
        pairs: (P, 2) indices into the two logs, in the order of the first.
        alone: indices of the events that one run has and the other has not.
        beyond: how many events each run has after the end of the other.
        tolerance: event times that differ by no more than this agree.
    """

    logs: tuple[EventLog, EventLog]
    pairs: IntArray
    alone: tuple[IntArray, IntArray]
    beyond: tuple[int, int]
    tolerance: float

    @property
    def shifts(self) -> Array:
        """(P,) by how much later the second run has each event of a pair."""
        return np.asarray(self.logs[1]["s"][self.pairs[:, 1]] - self.logs[0]["s"][self.pairs[:, 0]])

    @cached_property
    def parting(self) -> Parting | None:
        """The first event at which the runs part; None if all of their events agree."""
        return _parting(self)

    def event(self, at: At) -> np.void:
        """Return the event of these indices, as the first run that has it logged it."""
        which = 0 if at[0] is not None else 1
        return cast("np.void", self.logs[which][at[which]])

    def times(self, at: At) -> tuple[float | None, float | None]:
        """Return when the two runs have it; None where one does not."""
        here, there = (
            None if k is None else float(log["s"][k]) for log, k in zip(self.logs, at, strict=True)
        )
        return here, there


@dataclass(frozen=True)
class Parting:
    """The first event that only one of two runs has (a crossing), or that they have at different times.

    Attributes:
        at: its index in the logs of the two runs, None where a run does not have it.
        before: how many pairs of events agree before it.
    """

    at: At
    before: int


def match(logs: tuple[EventLog, EventLog], stop: float, tolerance: float) -> Matching:
    """Pair the events of two logs up to the time ``stop``.

    A `separation_lost` and a `truncate` of the same point, layer and coordinate are one crossing, logged by
    `separated` (to which the point is foreign) and by `general`; likewise `separation_regained` and `release`.
    """
    sizes = [int(np.searchsorted(log["s"], stop + tolerance, "right")) for log in logs]
    beyond = (len(logs[0]) - sizes[0], len(logs[1]) - sizes[1])
    here, there = logs[0][: sizes[0]], logs[1][: sizes[1]]
    pairs = _pair(here, there, _codes(here, there))
    rest = _alone(pairs, here, there)
    for foreign, own in SAME_CROSSING:
        for kinds in ((foreign, own), (own, foreign)):
            chosen = tuple(
                indices[log["kind"][indices] == kind]
                for indices, log, kind in zip(rest, (here, there), kinds, strict=True)
            )
            if not (chosen[0].size and chosen[1].size):
                continue
            crossings = here[chosen[0]], there[chosen[1]]
            found = _pair(*crossings, _codes(*crossings, KEY[1:]))
            more = np.column_stack([chosen[0][found[:, 0]], chosen[1][found[:, 1]]])
            pairs = np.concatenate([pairs, more])
            rest = _alone(pairs, here, there)
    return Matching((here, there), pairs[np.argsort(pairs[:, 0])], rest, beyond, tolerance)


def _codes(here: EventLog, there: EventLog, key: tuple[str, ...] = KEY) -> tuple[IntArray, IntArray]:
    """Return a number for each event, equal where the fields of the key are."""
    code = np.zeros(len(here) + len(there), dtype=np.int64)
    codes = 1
    for name in key:
        values = np.concatenate([here[name], there[name]]).astype(np.int64) + 1
        size = int(values.max(initial=0)) + 1
        if codes * size > MOST_CODES:  # count only those that occur
            code = np.unique(code, return_inverse=True)[1]
            codes = int(code.max(initial=0)) + 1
        code = code * size + values
        codes *= size
    if codes > MOST_CODES // max(1, code.size):  # leaves room for the number of an occurrence
        code = np.unique(code, return_inverse=True)[1]
    return code[: len(here)], code[len(here) :]


def _pair(here: EventLog, there: EventLog, codes: tuple[IntArray, IntArray]) -> IntArray:
    """Return the indices (P, 2) of events with the same code and the same number of its occurrence."""
    occurrences = _occurrence(codes[0]), _occurrence(codes[1])
    most = 1 + max(int(each.max(initial=0)) for each in occurrences)
    numbered = codes[0] * most + occurrences[0], codes[1] * most + occurrences[1]
    _, first, second = np.intersect1d(numbered[0], numbered[1], assume_unique=True, return_indices=True)
    return np.column_stack([first, second])


def _occurrence(code: IntArray) -> IntArray:
    """Return how many equal codes stand before each one."""
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if code.size else np.empty(0, int)
    lengths = np.diff(np.r_[begins, code.size])
    occurrence = np.empty(code.size, dtype=np.int64)
    occurrence[order] = np.arange(code.size) - np.repeat(begins, lengths)
    return occurrence


def _alone(pairs: IntArray, here: EventLog, there: EventLog) -> tuple[IntArray, IntArray]:
    missing = np.ones(len(here), dtype=bool), np.ones(len(there), dtype=bool)
    for which in (0, 1):
        missing[which][pairs[:, which]] = False
    return np.flatnonzero(missing[0]), np.flatnonzero(missing[1])


def _parting(matching: Matching) -> Parting | None:
    here, there = (log["s"] for log in matching.logs)
    apart = np.flatnonzero(np.abs(matching.shifts) > matching.tolerance)
    candidates: list[tuple[float, At]] = []
    earlier = np.minimum(here[matching.pairs[:, 0]], there[matching.pairs[:, 1]])
    if apart.size:
        i, j = matching.pairs[apart[earlier[apart].argmin()]]
        candidates.append((float(min(here[i], there[j])), (int(i), int(j))))
    for which, (log, alone) in enumerate(zip(matching.logs, matching.alone, strict=True)):
        crossings = alone[np.isin(log["kind"][alone], CROSSINGS)]
        if crossings.size:
            k = int(crossings[0])
            candidates.append((float(log["s"][k]), (None, k) if which else (k, None)))
    if not candidates:
        return None
    s, at = min(candidates, key=lambda candidate: candidate[0])
    agreeing = np.abs(matching.shifts) <= matching.tolerance
    return Parting(at, int(np.count_nonzero(agreeing & (earlier <= s))))


def first_differences(matching: Matching, most: int) -> list[At]:
    """Return the indices, in the two logs, of the first events that do not agree; None where one is missing."""
    shifted = matching.pairs[np.abs(matching.shifts) > matching.tolerance]
    times = [log["s"] for log in matching.logs]
    found: list[tuple[float, At]] = []
    earliest = np.minimum(times[0][shifted[:, 0]], times[1][shifted[:, 1]])
    for row in np.argsort(earliest, kind="stable")[:most]:
        found.append((float(earliest[row]), (int(shifted[row, 0]), int(shifted[row, 1]))))
    found += [(float(times[0][k]), (int(k), None)) for k in matching.alone[0][:most]]
    found += [(float(times[1][k]), (None, int(k))) for k in matching.alone[1][:most]]
    return [at for _, at in sorted(found, key=lambda entry: entry[0])[:most]]
