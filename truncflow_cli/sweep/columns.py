"""The columns of a sweep's table: those of ``report --csv``, and what pictures of sweeps are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from truncflow_cli.certificate import Verdict
from truncflow_cli.diagnostics import names
from truncflow_cli.events import Kind, of_kind
from truncflow_cli.report.tables import run_row
from truncflow_cli.run_data import Run

#: Columns that count certificates, and the verdict each counts.
VERDICT_COLUMNS: dict[str, Verdict] = {
    "verdicts_holds": "holds",
    "verdicts_violated": "violated",
    "verdicts_hypothesis_not_met": "hypothesis not met",
    "verdicts_not_applicable": "not applicable",
}


def columns(keys: Iterable[str]) -> list[str]:
    """Return every column that a sweep over these keys has."""
    known = [
        *("status", "exit_code", "flow", "equations", "rotation_frozen", "seed", "N", "Q", "C", "L", "s_end"),
        *(
            "loss_first",
            "loss_last",
            "events",
            *(f"events_{kind.name.lower()}" for kind in Kind),
            "max_abs_D",
        ),
        *(f"certificate_{name}" for name in names()),
        *("elapsed_seconds", *VERDICT_COLUMNS, "s_full_truncation"),
    ]
    return list(dict.fromkeys([*keys, *known]))


def columns_of(run: Run) -> dict[str, Any]:
    """Return the columns of one run: those of ``report --csv``, and what pictures of sweeps are made of.

    These are the number of certificates of each verdict, and ``s_full_truncation``: the time from which every
    cluster stays fully truncated by some layer, None if that is not so at the end.
    """
    verdicts = [certificate.verdict for certificate in run.certificates.values()]
    return {
        **run_row(run),
        **{name: verdicts.count(verdict) for name, verdict in VERDICT_COLUMNS.items()},
        "s_full_truncation": _full_truncation(run),
    }


def _full_truncation(run: Run) -> float | None:
    """Return the time from which every cluster stays in S_ℓ⁻ of some layer ℓ, None if one does not at the end."""
    since: dict[tuple[int, int], float] = {}
    for event in run.events[of_kind(run.events, Kind.COLLAPSE, Kind.UNCOLLAPSE)]:
        place = int(event["cluster"]), int(event["layer"])
        if event["kind"] == Kind.COLLAPSE:
            since[place] = float(event["s"])
        else:
            since.pop(place, None)
    first: dict[int, float] = {}
    for (cluster, _), s in since.items():
        first[cluster] = min(s, first.get(cluster, s))
    return max(first.values()) if first and len(first) == run.n_clusters else None
