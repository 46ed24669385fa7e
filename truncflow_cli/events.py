"""The event log's vocabulary, shared by the integrators, the run file and the reports."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Kind(IntEnum):
    """What happened (the names, in lower case, are those of the run file's enum)."""

    TRUNCATE = 0
    RELEASE = 1
    PIN = 2
    UNPIN = 3
    SEPARATION_LOST = 4
    SEPARATION_REGAINED = 5
    COLLAPSE = 6
    UNCOLLAPSE = 7
    REST = 8


#: One event: time, kind and the indices it concerns (0-based, -1 where an index does not apply).
#: ``point`` counts rows of ``Problem.x``; ``side`` is where an unpinned point went (1 untruncated, 0 truncated).
EVENT_DTYPE = np.dtype(
    [
        ("s", "f8"),
        ("kind", "i1"),
        ("layer", "i4"),
        ("point", "i8"),
        ("coordinate", "i4"),
        ("cluster", "i4"),
        ("side", "i1"),
    ]
)

EventLog = NDArray[np.void]

#: Events that a growing log has room for at first.
_FIRST_ROOM = 4096


def event_log(rows: Sequence[tuple[float, int, int, int, int, int, int]]) -> EventLog:
    """Return the rows (s, kind, layer, point, coordinate, cluster, side) as an array of ``EVENT_DTYPE``."""
    return np.array(list(rows), dtype=EVENT_DTYPE)


class GrowingLog:
    """Events put one behind the other in one piece of memory, which grows where it is: they are never there twice."""

    def __init__(self) -> None:
        self._rows = np.empty(_FIRST_ROOM, EVENT_DTYPE)
        self._count = 0

    def add(self, events: EventLog) -> None:
        """Put some behind those that there are."""
        end = self._count + events.size
        if end > self._rows.size:
            self._rows.resize(end + end // 4, refcheck=False)
        self._rows[self._count : end] = events
        self._count = end

    def taken(self) -> EventLog:
        """Return all of them; there can be no more."""
        self._rows.resize(self._count, refcheck=False)
        return self._rows


def joined_events(parts: Sequence[EventLog]) -> EventLog:
    """Put logs one after the other. (``np.concatenate`` compares their fields by name, which takes longer.)"""
    if len(parts) == 1:
        return parts[0]
    whole = np.empty(sum(part.size for part in parts), EVENT_DTYPE)
    put = 0
    for part in parts:
        whole[put : put + part.size] = part
        put += part.size
    return whole


def of_kind(events: EventLog, *kinds: Kind) -> NDArray[np.bool_]:
    """Return which events are of one of these kinds. (``np.isin`` sorts them, which takes longer.)"""
    found: NDArray[np.bool_] = np.logical_or.reduce([events["kind"] == kind for kind in kinds])
    return found
