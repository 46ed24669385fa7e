"""How much is to be measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Size = TypeVar("Size")


@dataclass(frozen=True)
class Effort:
    """What the command line asked for.

    Attributes:
        runs: turns of each measurement.
        quick: whether the small sizes will do.
        peer_seconds: after so many seconds a peer has no further turn, and a single turn is cut short.
        folder: where files can be left; it is removed in the end.
    """

    runs: int
    quick: bool
    peer_seconds: float
    folder: Path

    def pick(self, full: Size, quick: Size) -> Size:
        """Return the size that goes with the effort."""
        return quick if self.quick else full
