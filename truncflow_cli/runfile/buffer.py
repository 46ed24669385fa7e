"""Chunks of a run that wait for their file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.chunk import Chunk
from truncflow_cli.events import EventLog, joined_events


class Gathered:
    """Chunks one after the other, as arrays.

    Attributes:
        nbytes: how much memory they take.
        n_samples: saved times in them.
        n_events: events in them.
    """

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self.nbytes = self.n_samples = self.n_events = 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def take(self, chunk: Chunk) -> None:
        """Add a chunk."""
        self._chunks.append(chunk)
        self.nbytes += chunk.events.nbytes + sum(array.nbytes for array in chunk.samples.values())
        self.n_samples += len(chunk.samples.get("s", ()))
        self.n_events += len(chunk.events)

    @property
    def samples(self) -> dict[str, NDArray[Any]]:
        """The trajectory, by the names of its datasets; empty if there is no saved time."""
        parts = [chunk.samples for chunk in self._chunks if len(chunk.samples.get("s", ()))]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}

    @property
    def events(self) -> EventLog:
        """The events."""
        return joined_events([chunk.events for chunk in self._chunks])
