"""The event log against the saved states: every truncation and release is accounted for."""

from __future__ import annotations

import numpy as np

from truncflow_cli.certify.evidence import ON_SURFACE, Evidence
from truncflow_cli.certify.verdicts import Statement
from truncflow_cli.model.certificate import Certificate
from truncflow_cli.model.events import Kind
from truncflow_cli.model.problem import Array

LOG = Statement(
    "event_log",
    "(3.42), (3.43)",
    "between two saved times as many points are truncated and released as the event log has",
)


def certificates(ev: Evidence) -> list[Certificate]:
    """Certify the event log of a `separated` or `general` run, coordinate by coordinate of each layer."""
    if not ev.layered or not ev.x.shape[0]:
        return [LOG.not_applicable(f"flow {ev.flow} truncates no data")]
    counts, nearest = _counts(ev)
    certain = nearest > ON_SURFACE * ev.reach
    events = ev.run.events
    # A log does not say from which side a point came to be pinned, so these coordinates are left out.
    pinned = events[events["kind"] == Kind.PIN]
    certain[:, pinned["layer"], pinned["coordinate"]] = False
    if np.isfinite(ev.switched_at):
        # What a layer counts as its points changes there.
        certain[ev.s >= ev.switched_at] = False
    wrong = np.zeros(ev.s.size)
    compared = 0
    for layer in range(ev.n_layers):
        of_layer = events["layer"] == layer
        time, what, coordinate = (events[name][of_layer] for name in ("s", "kind", "coordinate"))
        for r in range(ev.dim):
            times = np.flatnonzero(certain[:, layer, r])
            if times.size < 2:
                continue
            logged = np.zeros(times.size)
            for kind, sign in ((Kind.TRUNCATE, 1.0), (Kind.RELEASE, -1.0)):
                s = np.sort(time[(what == kind) & (coordinate == r)])
                logged += sign * np.searchsorted(s, ev.s[times], "right")
            change = np.diff(counts[times, layer, r]) - np.diff(logged)
            wrong[times[1:]] += np.abs(change).round()
            compared += times.size - 1
    if not compared:
        return [
            LOG.not_met(
                f"{ev.sampling()}: nothing can be compared (points on their surfaces, or a single time)"
            )
        ]
    text = (
        f"{ev.sampling()}; {compared} changes compared, over all layers and coordinates without pinned points"
    )
    if wrong.any():
        text += f"; the first that is not accounted for by s = {ev.s[int(np.argmax(wrong > 0))]:.6g}"
    return [LOG.compare(text, float(wrong.sum()), 0.0, {"unaccounted": ev.along(wrong)})]


def _counts(ev: Evidence) -> tuple[Array, Array]:
    """Return how many points each layer truncates in each coordinate, and the least |z| there, (M, L, Q)."""
    counts = np.zeros((ev.s.size, ev.n_layers, ev.dim))
    nearest = np.full_like(counts, np.inf)
    for k, group in enumerate(ev.groups):
        if ev.flow == "separated":
            counts[:, k] = group.size * ev.own[k].truncated[:, 0]
            nearest[:, k] = ev.own[k].nearest[:, 0]
        else:
            counts += group.size * ev.composed[k].truncated
            nearest = np.minimum(nearest, ev.composed[k].nearest)
    return counts, nearest
