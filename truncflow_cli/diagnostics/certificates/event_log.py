"""The event log against the saved states: every truncation and release is accounted for."""

from __future__ import annotations

import numpy as np

from truncflow_cli.diagnostics.analysis import has_data
from truncflow_cli.diagnostics.certificates import certificate
from truncflow_cli.diagnostics.layered import ON_SURFACE, LayeredAnalysis
from truncflow_cli.diagnostics.outcome import Outcome, compare, not_met
from truncflow_cli.events import Kind
from truncflow_cli.problem import Array


@certificate(
    "event_log",
    order=3.1,
    source="(3.42), (3.43)",
    statement="between two saved times as many points are truncated and released as the event log has",
    meaning="Counting the truncated points at the saved times gives what the event log says: no event is "
    "missing and none is invented.",
    applies=LayeredAnalysis,
    needs=(has_data,),
)
def event_log(ev: LayeredAnalysis) -> Outcome:
    """Certify the event log coordinate by coordinate of each layer."""
    counts, nearest = _counts(ev)
    certain = nearest > ON_SURFACE * ev.reach
    events = ev.run.events
    # A log does not say from which side a point came to be pinned, so these coordinates are left out.
    pinned = events[events["kind"] == Kind.PIN]
    certain[:, pinned["layer"], pinned["coordinate"]] = False
    if np.isfinite(ev.switched_at):
        # What a layer counts as its points changes there.
        certain[ev.s >= ev.switched_at] = False
    unlogged = counts - _logged(ev)
    # Each certain time is compared with the last one before it.
    last = np.maximum.accumulate(np.where(certain, np.arange(ev.s.size)[:, None, None], -1), axis=0)[:-1]
    pairs = certain[1:] & (last >= 0)
    change = np.abs(unlogged[1:] - np.take_along_axis(unlogged, np.maximum(last, 0), axis=0)).round()
    compared = int(np.count_nonzero(pairs))
    wrong = np.concatenate([[0.0], np.where(pairs, change, 0.0).sum(axis=(1, 2))])
    if not compared:
        return not_met(
            f"{ev.sampling()}: nothing can be compared (points on their surfaces, or a single time)"
        )
    text = (
        f"{ev.sampling()}; {compared} changes compared, over all layers and coordinates without pinned points"
    )
    if wrong.any():
        text += f"; the first that is not accounted for by s = {ev.s[int(np.argmax(wrong > 0))]:.6g}"
    return compare(text, wrong.sum(), 0.0, {"unaccounted": ev.along(wrong)})


def _logged(ev: LayeredAnalysis) -> Array:
    """Return how many more points the log has truncated than released by each time, (M, L, Q)."""
    logged = np.zeros((ev.s.size, ev.n_layers, ev.dim))
    for kind, sign in ((Kind.TRUNCATE, 1.0), (Kind.RELEASE, -1.0)):
        of_kind = ev.run.events[ev.run.events["kind"] == kind]
        seen = np.searchsorted(ev.s, of_kind["s"], "left")
        inside = seen < ev.s.size
        np.add.at(logged, (seen[inside], of_kind["layer"][inside], of_kind["coordinate"][inside]), sign)
    return np.cumsum(logged, axis=0, out=logged)


def _counts(ev: LayeredAnalysis) -> tuple[Array, Array]:
    """Return how many points each layer truncates in each coordinate, and the least |z| there, (M, L, Q)."""
    counts = np.zeros((ev.s.size, ev.n_layers, ev.dim))
    nearest = np.full_like(counts, np.inf)
    for k, group in enumerate(ev.groups):
        if ev.flow.acts_on == "own":
            counts[:, k] = group.size * ev.own[k].truncated[:, 0]
            nearest[:, k] = ev.own[k].nearest[:, 0]
        else:
            counts += group.size * ev.composed[k].truncated
            nearest = np.minimum(nearest, ev.composed[k].nearest)
    return counts, nearest
