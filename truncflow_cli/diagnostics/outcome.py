"""How a certificate comes by its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from truncflow_cli.problem import Array
from truncflow_cli.run_data import Verdict

Series = Mapping[str, Array]
_NONE: Series = {}


@dataclass(frozen=True)
class Outcome:
    """What a run says of a statement: see ``Certificate`` for the fields."""

    hypothesis: str
    verdict: Verdict
    value: float = math.nan
    bound: float = math.nan
    margin: float = math.nan
    series: Series = field(default_factory=dict)


def compare(hypothesis: str, value: float, bound: float, series: Series = _NONE) -> Outcome:
    """Return "holds" if value ≤ bound, else "violated" (a value that is not a number never holds)."""
    margin = bound - value if math.isfinite(value) else (math.nan if math.isnan(value) else -value)
    verdict: Verdict = "holds" if value <= bound else "violated"
    return Outcome(hypothesis, verdict, float(value), float(bound), float(margin), dict(series))


def reach(hypothesis: str, value: float, bound: float, series: Series = _NONE) -> Outcome:
    """Return "holds" if value > bound, else "violated"."""
    verdict: Verdict = "holds" if value > bound else "violated"
    return Outcome(hypothesis, verdict, float(value), float(bound), float(value - bound), dict(series))


def violated(hypothesis: str, value: float, bound: float, series: Series = _NONE) -> Outcome:
    """Return "violated", whatever the saved states show: the event log says so."""
    return Outcome(hypothesis, "violated", float(value), float(bound), float(bound - value), dict(series))


def not_met(
    hypothesis: str, value: float = math.nan, bound: float = math.nan, series: Series = _NONE
) -> Outcome:
    """Return "hypothesis not met": the statement says nothing about this run."""
    margin = float(bound - value)
    return Outcome(hypothesis, "hypothesis not met", float(value), float(bound), margin, dict(series))


def largest_later(ratio: Array) -> float:
    """Return the largest of a quantity over its bound (M,), without the first time, where they are equal."""
    return float((ratio[1:] if ratio.size > 1 else ratio).max())


def listed(indices: list[int], word: str, most: int = 6) -> str:
    """Return "cluster 2", "clusters 0, 1 and 4" or "clusters 0, 1, 2 and 9 more"."""
    if len(indices) == 1:
        return f"{word} {indices[0]}"
    shown = indices[:most] if len(indices) > most else indices[:-1]
    rest = f"{len(indices) - most} more" if len(indices) > most else str(indices[-1])
    return f"{word}s {', '.join(map(str, shown))} and {rest}"
