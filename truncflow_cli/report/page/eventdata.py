"""The event log as a page has it: all of it counted, the first events listed."""

from __future__ import annotations

from typing import Any

import numpy as np

from truncflow_cli.events import Kind
from truncflow_cli.report.history import CROSSINGS, by_kind, truncations
from truncflow_cli.report.page.frames import Frames
from truncflow_cli.report.page.markup import escape, number, paragraphs, table
from truncflow_cli.run_data import Run

#: Events that are listed one by one.
MOST_EVENTS = 2000
#: Rows of the table of clusters and layers.
MOST_ROWS = 24

MEANING = {
    "truncate": "a face passes a point, which is truncated in that coordinate from then on",
    "release": "a face passes a point, which is no longer truncated in that coordinate",
    "pin": "both sides push the point onto the face: it slides along it",
    "unpin": "one side lets go, and the point leaves the face to the side given",
    "separation_lost": "a layer begins to truncate a point of another cluster: (3.3) fails",
    "separation_regained": "the layer leaves that cluster alone again",
    "collapse": "the cluster is now wholly in S⁻ of the layer, so mapped to one point",
    "uncollapse": "the cluster is no longer mapped to one point",
    "rest": "the layer, or the whole flow, does not move any more",
}
SIDES = {0: "truncated", 1: "untruncated"}


def event_data(run: Run, frames: Frames) -> dict[str, Any]:
    """Return the first events and, for each shown time, how many there were since the one before (all events).

    ``counts`` has two numbers a time: crossings and pins, and the other kinds.
    """
    events = run.events
    first = events[:MOST_EVENTS]
    columns = (first[key].tolist() for key in ("kind", "layer", "point", "coordinate", "cluster", "side"))
    rows = [list(row) for row in zip([f"{s:.12g}" for s in first["s"].tolist()], *columns, strict=True)]
    since = np.minimum(np.searchsorted(frames.s, events["s"], "left"), frames.s.size - 1)
    crossing = np.isin(events["kind"], CROSSINGS)
    counts = [np.bincount(since[mask], minlength=frames.s.size) for mask in (crossing, ~crossing)]
    return {
        "total": int(events.size),
        "kinds": [kind.name.lower().replace("_", " ") for kind in Kind],
        "crossings": [int(kind) for kind in CROSSINGS],
        "rows": rows,
        "counts": np.stack(counts, axis=1),
    }


def event_summary(run: Run, names: list[str]) -> str:
    """Return the tables of what happened how often, and to which clusters, called by names (C,)."""
    counts = {kind: many for kind, many in by_kind(run).items() if many}
    if not counts:
        return paragraphs(["There are no events."])
    rows = [
        [escape(kind.replace("_", " ")), f"{many:,}", escape(MEANING[kind])] for kind, many in counts.items()
    ]
    parts = [table("Events by kind", ("kind", "number", "what it means"), rows, numbers=(1,))]
    histories = truncations(run)
    if histories:
        rows = []
        for h in histories[:MOST_ROWS]:
            cut = f"{h.cut[0]} → {h.cut[1]} of {h.points}"
            rows.append(
                [escape(names[h.cluster]), str(h.layer), cut, *map(_when, (h.began, h.ended, h.collapsed))]
            )
        header = (
            "cluster",
            "layer",
            "points truncated, start → end",
            "first",
            "last",
            "wholly truncated from",
        )
        parts.append(table("Clusters and layers", header, rows, numbers=(1, 3, 4, 5)))
        if len(histories) > MOST_ROWS:
            few = f"{MOST_ROWS} of {len(histories)} pairs of cluster and layer are shown."
            parts.append(paragraphs([few]))
    return "\n".join(parts)


def _when(s: float | None) -> str:
    if s is None:
        return "–"
    return "start" if s == 0.0 else number(s)


def left_out(run: Run) -> list[str]:
    """Return what the list of events leaves out, with the command that gives all of it."""
    total = run.events.size
    if total <= MOST_EVENTS:
        return []
    return [
        f"The first {MOST_EVENTS:,} of {total:,} events are listed; the marks and counts are of all of them. "
        "The whole log: `truncflow events RUN.h5`."
    ]
