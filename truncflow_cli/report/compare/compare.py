"""Two runs side by side, as data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from truncflow_cli.events import Kind
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.compare.events import Matching, match
from truncflow_cli.report.compare.states import CommonTimes, Difference, common_times, differences
from truncflow_cli.report.numbers import count, short
from truncflow_cli.report.summary import Summary, number_or_nan
from truncflow_cli.report.tables import differing_keys, flat_settings, run_row
from truncflow_cli.run_data import Run

#: Event times agree if they differ by no more than the looser of the two relative tolerances, times this,
#: times the length of the run: the error of a crossing is that of the state over the speed of the crossing.
AGREEMENT = 1000.0
#: The relative tolerance of a run whose config does not say.
USUAL_RTOL = 1e-9
#: Runs that are compared with the first one in figures; the losses of all are drawn.
MOST_COMPARED = 12


@dataclass(frozen=True)
class Comparison:
    """A run compared with a first one.

    Attributes:
        paths: the two run files.
        config: dotted keys in which the configs differ, with the two values.
        times: where the two are compared.
        differences: distances of the losses and of the parts of the state, along these times.
        matching: their events, paired; None where they cannot be.
        remarks: what one has to know to read it, a sentence each.
    """

    paths: tuple[str, str]
    config: dict[str, tuple[Any, Any]]
    times: CommonTimes
    differences: list[Difference]
    matching: Matching | None
    remarks: list[str]


@dataclass(frozen=True)
class Member:
    """What a comparison of several runs needs of each once its file is closed again.

    Attributes:
        row: its row in a table of runs.
        settings: its config, by dotted keys.
        s: (T,) its saved times.
        loss: (T,) its loss.
        event_times: (E,) times of its events.
        verdicts: names of its certificates, by verdict.
    """

    row: Mapping[str, Any]
    settings: Mapping[str, Any]
    s: Array
    loss: Array
    event_times: Array
    verdicts: Mapping[str, list[str]]

    @property
    def path(self) -> str:
        """The run file."""
        return str(self.row["file"])


def member(run: Run) -> Member:
    """Return what has to be kept of a run."""
    verdicts: dict[str, list[str]] = {}
    for certificate in Summary(run).certificates.values():
        verdicts.setdefault(certificate.verdict, []).append(certificate.name)
    return Member(run_row(run), flat_settings(run), run.s, run.loss, run.events["s"].copy(), verdicts)


def compare(first: Run, second: Run) -> Comparison:
    """Compare two runs of any flows, sizes and saved times, as far as they can be compared."""
    runs = Summary(first), Summary(second)
    times = common_times(first.s, second.s)
    found = differences((first, second), times)
    obstacle = _obstacle(*runs)
    matching = None
    if not obstacle:
        tolerance = AGREEMENT * max(map(_rtol, runs)) * max(1.0, float(times.s[-1]))
        matching = match((first.events, second.events), float(times.s[-1]), tolerance)
    return Comparison(
        paths=(str(first.path), str(second.path)),
        config={key: (here, there) for key, (here, there) in differing_keys((first, second)).items()},
        times=times,
        differences=found,
        matching=matching,
        remarks=[*_remarks(*runs, found), *filter(None, [obstacle])],
    )


def _rtol(summary: Summary) -> float:
    rtol = number_or_nan(summary.section("integrator").get("rtol"))
    return USUAL_RTOL if math.isnan(rtol) else rtol


def _obstacle(first: Summary, second: Summary) -> str:
    """Return why events cannot be matched; nothing if they can."""
    if not first.run.events.size and not second.run.events.size:
        return ""
    here, there = first.sizes["N"], second.sizes["N"]
    if here != there:
        return f"The runs have {count(here, 'point')} and {there}: events are not matched."
    if here and not np.array_equal(_clusters(first), _clusters(second)):
        return "The points are distributed over the clusters differently: events are not matched."
    return ""


def _clusters(summary: Summary) -> IntArray:
    cluster = summary.run.cluster
    return np.empty(0, dtype=np.int64) if cluster is None else cluster


def _remarks(first: Summary, second: Summary, found: list[Difference]) -> Iterator[str]:
    here, there = first.sizes, second.sizes
    if len(found) == 1 and here["Q"] != there["Q"]:
        yield f"The runs are in {here['Q']} and {there['Q']} dimensions: only the losses are compared."
    elif len(found) == 1:
        flows = f"{first.flow.name} and {second.flow.name}"
        yield f"The states of {flows} have no part of one shape: only the losses are compared."
    elif here["L"] and there["L"] and here["L"] != there["L"]:
        yield f"The runs have {here['L']} and {there['L']} layers: those of the same index are compared."
    x, other = first.run.x, second.run.x
    if x is not None and other is not None and x.shape == other.shape and x.size:
        apart = float(np.abs(x - other).max())
        if apart > 0.0:
            yield f"The points themselves differ, by up to {short(apart)}; those of the same index are compared."
    by_layers = {summary.flow.acts_on: summary for summary in (first, second)}
    if set(by_layers) == {"own", "all"}:
        yield _separation_remark(by_layers["own"].run)
    for run in (first.run, second.run):
        if run.attrs["status"] != "complete":
            yield f"{run.path} is {run.attrs['status']}, at s = {short(float(run.s[-1]))}."


def _separation_remark(separated: Run) -> str:
    lost = separated.events["s"][separated.events["kind"] == Kind.SEPARATION_LOST]
    if not lost.size:
        return "Separation (3.3) is never lost: Theorems 3.2 and 5.1 are the same flow here."
    return (
        f"Separation (3.3) is lost at s = {short(float(lost[0]))}: up to there Theorems 3.2 and 5.1 are the "
        "same flow, from there on they are not. What is lost separation in `separated` is in `general` the "
        "truncation of a foreign point: the two are matched."
    )
