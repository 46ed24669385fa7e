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


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return everything that was found as plain Python values; what is not a finite number is None."""
    times = comparison.times
    made = clean(
        {
            "with": comparison.paths[0],
            "remarks": comparison.remarks,
            "config": {
                key: {"first": values[0], "second": values[1]} for key, values in comparison.config.items()
            },
            "times": {
                "count": int(times.s.size),
                "end": float(times.s[-1]),
                "interpolated": times.interpolated,
                "how": times.how("the first run", "the second"),
            },
            "differences": {
                each.name: {
                    "last": each.last,
                    "largest": each.largest,
                    "at": float(times.s[each.where]),
                    "size": each.size,
                    "interpolation_error": each.error,
                }
                for each in comparison.differences
            },
            "events": None if comparison.matching is None else _events(comparison.matching),
        }
    )
    assert isinstance(made, dict)
    return made


def _events(matching: Matching) -> dict[str, Any]:
    shifts = matching.shifts
    first, second = matching.logs
    pairs = matching.pairs[:MOST_LISTED]
    return {
        "tolerance": matching.tolerance,
        "matched": len(shifts),
        "first_only": len(matching.alone[0]),
        "second_only": len(matching.alone[1]),
        "beyond": {"first": matching.beyond[0], "second": matching.beyond[1]},
        "median_shift": float(np.median(np.abs(shifts))) if shifts.size else None,
        "largest_shift": float(np.abs(shifts).max()) if shifts.size else None,
        "parting": _parting(matching),
        "pairs": {
            **_columns(first[pairs[:, 0]]),
            "s_second": second["s"][pairs[:, 1]].tolist(),
        },
        "only_first": _columns(first[matching.alone[0][:MOST_LISTED]]),
        "only_second": _columns(second[matching.alone[1][:MOST_LISTED]]),
    }


def _parting(matching: Matching) -> dict[str, Any] | None:
    parting = matching.parting
    if parting is None:
        return None
    which = 0 if parting.at[0] is not None else 1
    index = parting.at[which]
    event = matching.logs[which][index]
    times = [
        None if at is None else float(log["s"][at]) for log, at in zip(matching.logs, parting.at, strict=True)
    ]
    return {
        "in_common_before": parting.before,
        "s_first": times[0],
        "s_second": times[1],
        "kind": Kind(int(event["kind"])).name.lower(),
        **{name: int(event[name]) for name in ("layer", "point", "coordinate", "cluster")},
    }


def _columns(log: EventLog) -> dict[str, list[Any]]:
    kinds = [kind.name.lower() for kind in Kind]
    return {
        "s": log["s"].tolist(),
        "kind": [kinds[kind] for kind in log["kind"].tolist()],
        **{name: log[name].tolist() for name in ("layer", "point", "coordinate", "cluster")},
    }
