"""Flow `separated` as long as it is separated, then `general` from the same state: ``on_separation_lost: switch``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from truncflow_cli.errors import RunFailed
from truncflow_cli.integrate.closed_form import ClosedForm
from truncflow_cli.integrate.merge import Merger, drive
from truncflow_cli.integrate.solver import Solver
from truncflow_cli.model.chunk import Chunk
from truncflow_cli.model.events import EventLog, Kind, event_log
from truncflow_cli.model.network import forward_pass
from truncflow_cli.model.problem import Problem

Surface = tuple[int, int, int]


def run_switching(
    problem: Problem, layers: Sequence[Solver | ClosedForm], general: Callable[[Problem], Solver]
) -> Iterator[Chunk]:
    """Run ``layers`` until separation is first lost, then the solver that ``general`` makes for what is left.

    The loss and the energy balance go on from one to the other; where an image of a cluster is cut by a later layer
    (which (3.3) does not exclude) the two losses differ at the switch, and D(s) counts each flow's own. From the
    switch on, layers see images of points and not the points of (3.3), and separation is not watched any more.
    """
    merger = Merger(problem, layers)
    pinned: set[Surface] = set()
    lost: list[Surface] = []
    for chunk in drive(merger):
        _follow_pins(chunk.events, pinned)
        lost += [_surface(event) for event in chunk.events if event["kind"] == Kind.SEPARATION_LOST]
        yield chunk
    at = merger.stop_at
    if np.isinf(at):
        return
    state, balance = merger.state(at)
    left = problem.s_save[problem.s_save > at]
    rest = replace(
        problem,
        flow="general",
        R0=state["R"][0],
        beta0=state["beta"][0],
        s_save=np.concatenate([[0.0], left - at]),
        settings=replace(
            problem.settings,
            s_end=problem.settings.s_end - at,
            max_events=problem.settings.max_events - merger.events_out,
            on_separation_lost="record",
        ),
    )
    done = merger.counters()
    taken = 0
    try:
        for number, chunk in enumerate(drive(Merger(rest, [general(rest)]))):
            samples = chunk.samples
            if samples:
                first = 1 if taken == 0 else 0  # the state at the switch itself is not among the saved times
                samples = {name: array[first:] for name, array in samples.items()}
                samples["s"] = left[max(taken - 1, 0) : max(taken - 1, 0) + samples["s"].size].copy()
                samples["energy_balance"] = samples["energy_balance"] + balance
                taken += samples["s"].size + first
            events = chunk.events.copy()
            if number == 0:
                events = np.concatenate([_crossings(rest, lost, events), _without_repeats(events, pinned)])
            events["s"] += at
            counters = {name: done.get(name, 0) + value for name, value in chunk.counters.items()}
            yield Chunk(min(chunk.s + at, problem.settings.s_end), samples, events, counters, switched_at=at)
    except RunFailed as failure:
        raise RunFailed(f"after the switch to general at s = {at:.17g}: {failure}", failure.s + at) from None


def _surface(event: np.void) -> Surface:
    return int(event["layer"]), int(event["point"]), int(event["coordinate"])


def _crossings(rest: Problem, lost: list[Surface], events: EventLog) -> EventLog:
    """Return the truncations by which separation is lost: of points that were only watched, so that they have no event.

    A point whose image lies elsewhere than itself is not cut; one that ``events`` pins at the start has its event.
    """
    b = np.einsum("lab,lb->la", rest.R0, rest.beta0)
    settled = {_surface(event) for event in events if event["s"] <= 0.0}
    rows = []
    for layer, point, r in lost:
        x = rest.x[point : point + 1]
        z = forward_pass(x, rest.R0, b, lambda _, z: z > 0.0).z[0, layer, r]
        on_surface = abs(z) <= 1e-9 * (np.abs(x).max() + np.abs(b).max())
        if on_surface and (layer, point, r) not in settled:
            rows.append((0.0, Kind.TRUNCATE, layer, point, r, int(rest.cluster[point]), -1))
    return event_log(rows)


def _follow_pins(events: EventLog, pinned: set[Surface]) -> None:
    """Keep ``pinned`` the set of pinned surfaces (layer, point, coordinate)."""
    for event in events[np.isin(events["kind"], (Kind.PIN, Kind.UNPIN))]:
        key = _surface(event)
        if event["kind"] == Kind.PIN:
            pinned.add(key)
        else:
            pinned.discard(key)


def _without_repeats(events: EventLog, pinned: set[Surface]) -> EventLog:
    """Return the events at the switch without those that only say again what has been logged before."""
    keep = np.ones(events.size, dtype=bool)
    for index, event in enumerate(events):
        key = _surface(event)
        if event["s"] > 0.0:
            continue
        if event["kind"] == Kind.COLLAPSE or (event["kind"] == Kind.PIN and key in pinned):
            keep[index] = False
        elif event["kind"] == Kind.RELEASE and key in pinned:
            event["kind"], event["side"] = Kind.UNPIN, 1
    return events[keep]
