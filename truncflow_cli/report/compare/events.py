"""Which events two runs have in common, and where they part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
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
    return np.setdiff1d(np.arange(len(here)), pairs[:, 0]), np.setdiff1d(np.arange(len(there)), pairs[:, 1])


def _disagreements(matching: Matching) -> Iterator[tuple[float, At]]:
    """Yield time and indices of every event that is not at one time in both runs, in order of time."""
    shifted = matching.pairs[np.abs(matching.shifts) > matching.tolerance]
    alone = [np.stack([rows, np.full_like(rows, -1)], axis=1) for rows in matching.alone]
    at = np.concatenate([shifted, alone[0], alone[1][:, ::-1]])
    s = np.full(at.shape, np.inf)
    for which, log in enumerate(matching.logs):
        there = at[:, which] >= 0
        s[there, which] = log["s"][at[there, which]]
    earliest = s.min(axis=1)
    for row in np.argsort(earliest, kind="stable").tolist():
        i, j = at[row].tolist()
        yield float(earliest[row]), (None if i < 0 else i, None if j < 0 else j)


def _parting(matching: Matching) -> Parting | None:
    for s, at in _disagreements(matching):
        if None not in at or matching.event(at)["kind"] in CROSSINGS:
            earlier = np.minimum(
                *(log["s"][rows] for log, rows in zip(matching.logs, matching.pairs.T, strict=True))
            )
            agreeing = np.abs(matching.shifts) <= matching.tolerance
            return Parting(at, int(np.count_nonzero(agreeing & (earlier <= s))))
    return None


def first_differences(matching: Matching, most: int) -> list[At]:
    """Return the indices, in the two logs, of the first events that do not agree; None where one is missing."""
    return [at for _, at in islice(_disagreements(matching), most)]
