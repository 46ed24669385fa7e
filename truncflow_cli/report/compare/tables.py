"""A comparison as data."""

from __future__ import annotations

from typing import Any

import numpy as np

from truncflow_cli.events import EventLog, Kind
from truncflow_cli.report.compare.compare import Comparison
from truncflow_cli.report.compare.events import Matching
from truncflow_cli.report.json_output import clean

#: Pairs of events, and events without a partner, that are listed; all are counted.
MOST_LISTED = 10_000
#: What an event is about.
INDICES = ("layer", "point", "coordinate", "cluster")


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return everything that was found as plain Python values; what is not a finite number is None."""
    times = comparison.times
    cleaned: dict[str, Any] = clean(
        {
            "with": comparison.paths[0],
            "remarks": comparison.remarks,
            "config": {
                key: {"first": values[0], "second": values[1]} for key, values in comparison.config.items()
            },
            "times": {
                "count": times.s.size,
                "end": times.s[-1],
                "interpolated": times.interpolated,
                "how": times.how("the first run", "the second"),
            },
            "differences": {
                each.name: {
                    "last": each.last,
                    "largest": each.largest,
                    "at": times.s[each.where],
                    "size": each.size,
                    "interpolation_error": each.error,
                }
                for each in comparison.differences
            },
            "events": None if comparison.matching is None else _events(comparison.matching),
        }
    )
    return cleaned


def _events(matching: Matching) -> dict[str, Any]:
    shifts = np.abs(matching.shifts)
    first, second = matching.logs
    pairs = matching.pairs[:MOST_LISTED]
    alone = [log[rows[:MOST_LISTED]] for log, rows in zip(matching.logs, matching.alone, strict=True)]
    return {
        "tolerance": matching.tolerance,
        "matched": len(shifts),
        "first_only": len(matching.alone[0]),
        "second_only": len(matching.alone[1]),
        "beyond": {"first": matching.beyond[0], "second": matching.beyond[1]},
        "median_shift": np.median(shifts) if shifts.size else None,
        "largest_shift": shifts.max() if shifts.size else None,
        "parting": _parting(matching),
        "pairs": {**_columns(first[pairs[:, 0]]), "s_second": second["s"][pairs[:, 1]]},
        "only_first": _columns(alone[0]),
        "only_second": _columns(alone[1]),
    }


def _parting(matching: Matching) -> dict[str, Any] | None:
    parting = matching.parting
    if parting is None:
        return None
    event, times = matching.event(parting.at), matching.times(parting.at)
    return {
        "in_common_before": parting.before,
        "s_first": times[0],
        "s_second": times[1],
        "kind": Kind(int(event["kind"])).name.lower(),
        **{name: event[name] for name in INDICES},
    }


def _columns(log: EventLog) -> dict[str, Any]:
    kinds = [kind.name.lower() for kind in Kind]
    return {
        "s": log["s"],
        "kind": [kinds[kind] for kind in log["kind"].tolist()],
        **{name: log[name] for name in INDICES},
    }
