"""Set a run of the solver beside its reference, and say what differs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reference.runs import Reference
from truncflow_cli.events import Kind
from truncflow_cli.problem import Problem
from truncflow_cli.solver import solve

#: The events that change the field; the others only watch.
CROSSINGS = {Kind.TRUNCATE: "truncate", Kind.RELEASE: "release", Kind.PIN: "pin", Kind.UNPIN: "unpin"}


@dataclass(frozen=True)
class Solved:
    """All chunks of a run put together; ``events`` is the whole log."""

    samples: dict[str, np.ndarray]
    events: np.ndarray
    counters: dict[str, int]

    @property
    def crossings(self) -> list[tuple[float, str, int, int, int, int]]:
        """The events that change the field, as the reference writes them."""
        return sorted(
            (
                float(e["s"]),
                CROSSINGS[Kind(e["kind"])],
                int(e["layer"]),
                int(e["point"]),
                int(e["coordinate"]),
                int(e["side"]),
            )
            for e in self.events
            if Kind(e["kind"]) in CROSSINGS
        )


def run_solver(problem: Problem) -> Solved:
    """Return everything that the solver hands out."""
    chunks = list(solve(problem))
    names = chunks[0].samples.keys()
    return Solved(
        samples={
            name: np.concatenate([chunk.samples[name] for chunk in chunks if chunk.samples]) for name in names
        },
        events=np.concatenate([chunk.events for chunk in chunks]),
        counters=chunks[-1].counters,
    )


@dataclass(frozen=True)
class Difference:
    """What a run and its reference differ in.

    Attributes:
        state: greatest difference of beta and R over all saved times.
        loss: greatest difference of the loss over all saved times.
        times: greatest difference of the times of the events that both have.
        unmatched: events that only one of them has: ("solver" or "reference", event).
    """

    state: float
    loss: float
    times: float
    unmatched: tuple[tuple[str, tuple], ...]


def events_by_what(events: list[tuple]) -> dict[tuple, list[float]]:
    """Return the times at which each (kind, layer, point, coordinate, side) happens."""
    found: dict[tuple, list[float]] = {}
    for s, *what in events:
        found.setdefault(tuple(what), []).append(s)
    return found


def difference(solved: Solved, reference: Reference, s_end: float, tolerance: float = 1e-6) -> Difference:
    """Return the difference; events within ``tolerance`` of the end may be missing on one side."""
    ours, theirs = events_by_what(solved.crossings), events_by_what(reference.events)
    times, unmatched = 0.0, []
    for what in sorted(set(ours) | set(theirs)):
        a, b = sorted(ours.get(what, [])), sorted(theirs.get(what, []))
        both = min(len(a), len(b))
        apart = [abs(x - y) for x, y in zip(a[:both], b[:both], strict=True)]
        times = max([times, *apart])
        unmatched += [("solver", (s, *what)) for s in a[both:] if s < s_end - tolerance]
        unmatched += [("reference", (s, *what)) for s in b[both:] if s < s_end - tolerance]
    state = max(
        np.abs(solved.samples["beta"] - reference.beta).max(), np.abs(solved.samples["R"] - reference.R).max()
    )
    loss = np.abs(solved.samples["loss"] - reference.loss).max()
    return Difference(float(state), float(loss), times, tuple(unmatched))
