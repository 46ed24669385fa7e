"""Repeated timings of things that take turns, so that a drift of the machine's speed meets them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Spread:
    """What repeated measurements of one figure gave."""

    values: tuple[float, ...]

    @property
    def min(self) -> float:
        return min(self.values)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def max(self) -> float:
        return max(self.values)

    def over(self, other: Spread) -> Spread:
        """Return the ratio, turn by turn."""
        pairs = zip(self.values, other.values, strict=False)  # the slower may have had fewer turns
        return Spread(tuple(a / b for a, b in pairs))

    def times(self, factor: float) -> Spread:
        """Return the same in another unit."""
        return Spread(tuple(factor * value for value in self.values))


def ratio(slow: Spread, fast: Spread) -> Spread:
    """Return the ratio turn by turn; to the median where the slow one had one turn only."""
    return slow.over(fast) if len(slow.values) > 1 else Spread((slow.median / fast.median,))


@dataclass(frozen=True)
class Timed(Generic[Result]):
    """Seconds of each turn, and what the last one returned."""

    seconds: Spread
    result: Result


def take_turns(
    contestants: Mapping[str, Callable[[], Result]], turns: int, budget: float = float("inf")
) -> dict[str, Timed[Result]]:
    """Call each in turn, A B C A B C ..., and return what each took.

    Args:
        contestants: what to call.
        turns: how often.
        budget: seconds after which a contestant has no further turn; the first one it always has.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    results: dict[str, Result] = {}
    for _ in range(turns):
        for name, call in contestants.items():
            past = seconds[name]
            if past and sum(past) + max(past) > budget:
                continue
            start = time.perf_counter()
            results[name] = call()
            past.append(time.perf_counter() - start)
    return {name: Timed(Spread(tuple(past)), results[name]) for name, past in seconds.items()}
