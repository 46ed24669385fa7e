"""Two runs side by side, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from truncflow_cli.events import Kind
from truncflow_cli.report.compare.events import Matching, match
from truncflow_cli.report.compare.states import Difference, differences
from truncflow_cli.report.compare.times import CommonTimes, common_times
from truncflow_cli.report.content import section_of
from truncflow_cli.report.numbers import count, short
from truncflow_cli.report.tables import differing_keys
from truncflow_cli.run_data import RunLike

#: Event times agree if they differ by no more than the looser of the two relative tolerances, times this,
#: times the length of the run: the error of a crossing is that of the state over the speed of the crossing.
AGREEMENT = 1000.0
#: The relative tolerance of a run whose config does not say.
USUAL_RTOL = 1e-9


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


def compare(first: RunLike, second: RunLike) -> Comparison:
    """Compare two runs of any flows, sizes and saved times, as far as they can be compared."""
    runs = first, second
    times = common_times(first.s, second.s)
    found = differences(runs, times)
    obstacle = _obstacle(first, second)
    matching = None
    if not obstacle:
        tolerance = AGREEMENT * max(_rtol(run) for run in runs) * max(1.0, float(times.s[-1]))
        matching = match((first.events, second.events), float(times.s[-1]), tolerance)
    return Comparison(
        paths=(str(first.path), str(second.path)),
        config={key: (values[0], values[1]) for key, values in differing_keys(runs).items()},
        times=times,
        differences=found,
        matching=matching,
        remarks=[*_remarks(first, second, found), *filter(None, [obstacle])],
    )


def _rtol(run: RunLike) -> float:
    value = section_of(run, "integrator").get("rtol", USUAL_RTOL)
    return float(value) if isinstance(value, (int, float)) else USUAL_RTOL


def _n_points(run: RunLike) -> int:
    return 0 if run.x is None else int(run.x.shape[0])


def _obstacle(first: RunLike, second: RunLike) -> str:
    """Return why events cannot be matched; nothing if they can."""
    if not first.events.size and not second.events.size:
        return ""
    if _n_points(first) != _n_points(second):
        return f"The runs have {count(_n_points(first), 'point')} and {_n_points(second)}: events are not matched."
    if not np.array_equal(_clusters(first), _clusters(second)):
        return "The points are distributed over the clusters differently: events are not matched."
    return ""


def _clusters(run: RunLike) -> Any:
    return np.empty(0) if run.cluster is None else run.cluster


def _remarks(first: RunLike, second: RunLike, found: list[Difference]) -> Iterator[str]:
    flows = [str(run.attrs["flow"]) for run in (first, second)]
    dims = [run.y.shape[1] for run in (first, second)]
    if len(found) == 1 and dims[0] != dims[1]:
        yield f"The runs are in {dims[0]} and {dims[1]} dimensions: only the losses are compared."
    elif len(found) == 1:
        yield f"The states of {flows[0]} and {flows[1]} have no part of one shape: only the losses are compared."
    layers = [0 if run.beta is None else run.beta.shape[1] for run in (first, second)]
    if len(found) > 1 and all(layers) and layers[0] != layers[1]:
        yield f"The runs have {layers[0]} and {layers[1]} layers: those of the same index are compared."
    if first.x is not None and second.x is not None and first.x.shape == second.x.shape and first.x.size:
        apart = float(np.abs(first.x - second.x).max())
        if apart > 0.0:
            yield f"The points themselves differ, by up to {short(apart)}; those of the same index are compared."
    if sorted(flows) == ["general", "separated"]:
        yield from _separation_remark(first if flows[0] == "separated" else second)
    for run in (first, second):
        if run.attrs["status"] != "complete":
            yield f"{run.path} is {run.attrs['status']}, at s = {short(float(run.s[-1]))}."


def _separation_remark(separated: RunLike) -> Iterator[str]:
    lost = separated.events["s"][separated.events["kind"] == Kind.SEPARATION_LOST]
    if lost.size:
        yield (
            f"Separation (3.3) is lost at s = {short(float(lost[0]))}: up to there Theorems 3.2 and 5.1 are the "
            "same flow, from there on they are not. What is lost separation in `separated` is in `general` the "
            "truncation of a foreign point: the two are matched."
        )
    else:
        yield "Separation (3.3) is never lost: Theorems 3.2 and 5.1 are the same flow here."
