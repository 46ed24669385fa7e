"""What a run says of one statement of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from truncflow_cli.problem import Array

Verdict = Literal["holds", "violated", "hypothesis not met", "not applicable"]


@dataclass(frozen=True)
class Certificate:
    """A statement, its hypothesis as evaluated on a run, and what was found.

    Attributes:
        name: short name, a valid HDF5 link: the group ``certificates/<name>`` of the run file.
        statement: what is claimed, in a sentence.
        source: number of the theorem or equation in the paper.
        hypothesis: what has to be true for the claim, with the numbers found on this run.
        verdict: "holds", "violated", "hypothesis not met" or "not applicable".
        value: the measured quantity (NaN where there is none).
        bound: what the statement allows for it (NaN where there is none).
        margin: how far the value is on the right side of the bound; negative where it is violated
            (NaN where there is none).
        series: quantities along the saved times, each of shape (T,), by name; the name "s" is taken.
    """

    name: str
    statement: str
    source: str
    hypothesis: str
    verdict: Verdict
    value: float
    bound: float
    margin: float
    series: Mapping[str, Array] = field(default_factory=dict)
