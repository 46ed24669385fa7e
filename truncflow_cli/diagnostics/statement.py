"""How a certificate comes by its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from truncflow_cli.certificate import Certificate, Verdict
from truncflow_cli.problem import Array


@dataclass(frozen=True)
class Statement:
    """A statement of the paper, before a run is looked at: see ``Certificate`` for the fields."""

    name: str
    source: str
    text: str

    def compare(
        self, hypothesis: str, value: float, bound: float, series: Mapping[str, Array] | None = None
    ) -> Certificate:
        """Return "holds" if value ≤ bound, else "violated" (a value that is not a number never holds)."""
        holds = value <= bound
        margin = bound - value if math.isfinite(value) else (math.nan if math.isnan(value) else -value)
        return self._certificate(hypothesis, "holds" if holds else "violated", value, bound, margin, series)

    def reach(
        self, hypothesis: str, value: float, bound: float, series: Mapping[str, Array] | None = None
    ) -> Certificate:
        """Return "holds" if value > bound, else "violated"."""
        verdict: Verdict = "holds" if value > bound else "violated"
        return self._certificate(hypothesis, verdict, value, bound, value - bound, series)

    def vacuous(self, hypothesis: str) -> Certificate:
        """Return "holds" without a value: there is nothing that could violate the statement."""
        return self._certificate(hypothesis, "holds", math.nan, math.nan, math.nan, None)

    def violated(
        self, hypothesis: str, value: float, bound: float, series: Mapping[str, Array] | None = None
    ) -> Certificate:
        """Return "violated", whatever the saved states show: the event log says so."""
        return self._certificate(hypothesis, "violated", value, bound, bound - value, series)

    def not_met(
        self,
        hypothesis: str,
        value: float = math.nan,
        bound: float = math.nan,
        series: Mapping[str, Array] | None = None,
    ) -> Certificate:
        """Return "hypothesis not met": the statement says nothing about this run."""
        return self._certificate(hypothesis, "hypothesis not met", value, bound, bound - value, series)

    def not_applicable(self, hypothesis: str) -> Certificate:
        """Return "not applicable": the statement is about something that this run does not have."""
        return self._certificate(hypothesis, "not applicable", math.nan, math.nan, math.nan, None)

    def _certificate(
        self,
        hypothesis: str,
        verdict: Verdict,
        value: float,
        bound: float,
        margin: float,
        series: Mapping[str, Array] | None,
    ) -> Certificate:
        return Certificate(
            name=self.name,
            statement=self.text,
            source=self.source,
            hypothesis=hypothesis,
            verdict=verdict,
            value=float(value),
            bound=float(bound),
            margin=float(margin),
            series={} if series is None else dict(series),
        )


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
