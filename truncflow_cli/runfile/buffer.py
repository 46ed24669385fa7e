"""Chunks of a run that wait for their file."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.chunk import Chunk
from truncflow_cli.events import EventLog, joined_events


class Buffer:
    """Chunks one after the other, as arrays.

    Attributes:
        nbytes: how much memory they take.
        n_samples: saved times in them.
        n_events: events in them.
    """

    def __init__(self, names: Set[str]) -> None:
        """Begin without any.

        Args:
            names: what every saved time has.
        """
        self._names = names
        self._chunks: list[Chunk] = []
        self._events: EventLog | None = None
        self.nbytes = self.n_samples = self.n_events = 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def take(self, chunk: Chunk) -> None:
        """Add a chunk.

        Raises:
            ValueError: its samples are not what the layout has.
        """
        n_samples = len(chunk.samples.get("s", ()))
        if n_samples and chunk.samples.keys() != self._names:
            raise ValueError(f"samples are {sorted(chunk.samples)}, the layout has {sorted(self._names)}")
        self._chunks.append(chunk)
        self._events = None
        self.nbytes += chunk.events.nbytes + sum(array.nbytes for array in chunk.samples.values())
        self.n_samples += n_samples
        self.n_events += len(chunk.events)

    def read(self, path: str) -> NDArray[Any] | None:
        """Return the rows that wait for a dataset; None if there are no saved times, or no such dataset."""
        group, _, name = path.partition("/")
        if group == "events":
            if self._events is None:
                self._events = joined_events([chunk.events for chunk in self._chunks])
            return self._events[name]
        if group != "trajectory" or not self.n_samples or name not in self._names:
            return None
        return np.concatenate([c.samples[name] for c in self._chunks if len(c.samples.get("s", ()))])
