"""Flow `separated` as long as it is separated, then `general` from the same state: ``on_separation_lost: switch``.

The loss and the energy balance go on from one to the other; where an image of a cluster is cut by a later layer (which
(3.3) does not exclude) the two losses differ at the switch, and D(s) counts each flow's own. From the switch on, layers
see images of points and not the points of (3.3), and separation is not watched any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from truncflow_cli.errors import RunFailed
from truncflow_cli.events import EventLog, Kind, event_log
from truncflow_cli.flows.general_run import general_solver
from truncflow_cli.network_field import forward_pass
from truncflow_cli.problem import Array, IntArray, Problem
from truncflow_cli.saved_state import Chunk, Saved, State, counts, integer, number, under
from truncflow_cli.solver.assemble import Assembler, never
from truncflow_cli.solver.piece import Solver
from truncflow_cli.truncation import Surface


@dataclass(frozen=True)
class Switch:
    """Where one flow goes on with the other: at time ``at``, with R (L, Q, Q) and β (L, Q).

    ``balance`` is the energy balance then, ``events`` how many there have been, ``counters`` the work done before;
    ``pinned`` are the surfaces that were pinned, ``lost`` those by which separation was lost.
    """

    at: float
    R: Array
    beta: Array
    balance: float
    events: int
    counters: dict[str, int]
    pinned: Collection[Surface]
    lost: Collection[Surface]

    def state(self) -> State:
        """Return it as a state."""
        numbers = {"at": number(self.at), "balance": number(self.balance), "events": integer(self.events)}
        surfaces = {"pinned": _rows(self.pinned), "lost": _rows(self.lost)}
        done = under("counters", counts(self.counters))
        return {**numbers, "R": self.R, "beta": self.beta, **surfaces, **done}


def run_switching(
    problem: Problem,
    layers: Callable[[], Sequence[Solver]],
    saved: Saved | None = None,
    due: Callable[[], bool] = never,
) -> Iterator[Chunk]:
    """Run ``layers`` until separation is first lost, then `general` for what is left; see ``solver.solve``."""
    if saved is not None and saved.has_part("switch"):
        switch = _restored_switch(problem, saved.part("switch"))
        yield from _go_on_with_general(problem, switch, saved.part("general"), due)
        return
    before = Assembler(problem, layers(), saved.part("layers") if saved else None)
    pinned = set(_saved_surfaces(problem, saved, "pinned")) if saved else set()
    lost = _saved_surfaces(problem, saved, "lost") if saved else []

    def state() -> State:
        return {"pinned": _rows(sorted(pinned)), "lost": _rows(lost), **under("layers", before.state())}

    for chunk in before.run(due):
        _follow_pins(chunk.events, pinned)
        lost += [_surface(event) for event in chunk.events if event["kind"] == Kind.SEPARATION_LOST]
        yield replace(chunk, state=chunk.state and state)
    at = before.stop_at
    if np.isinf(at):
        return
    there = before.sample(at)
    balance, done = float(there["energy_balance"][0]), before.counters()
    switch = Switch(
        at, there["R"][0], there["beta"][0], balance, before.events_out, done, sorted(pinned), lost
    )
    yield from _go_on_with_general(problem, switch, None, due)


def _go_on_with_general(
    problem: Problem, switch: Switch, saved: Saved | None, due: Callable[[], bool]
) -> Iterator[Chunk]:
    """Run what is left after the switch, in the run's own time, samples and totals."""
    at = switch.at
    left = problem.s_save[problem.s_save > at]
    rest = replace(
        problem,
        flow="general",
        R0=switch.R,
        beta0=switch.beta,
        s_save=np.concatenate([[0.0], left - at]),
        settings=problem.settings.replace(
            s_end=problem.settings.s_end - at,
            max_events=problem.settings.max_events - switch.events,
            on_separation_lost="record",
        ),
    )
    after = Assembler(rest, [general_solver(rest)], saved)

    def state() -> State:
        return under("switch", switch.state()) | under("general", after.state())

    first = saved is None
    try:
        for chunk in after.run(due):
            samples, events = chunk.samples, chunk.events.copy()
            if first:  # the state at the switch itself is not among the saved times
                samples = {name: array[1:] for name, array in samples.items()}
                events = np.concatenate(
                    [_crossings(rest, switch.lost, events), _without_repeats(events, switch.pinned)]
                )
                first = False
            if samples:
                taken = after.sampled - 1
                samples["s"] = left[taken - samples["s"].size : taken].copy()
                samples["energy_balance"] = samples["energy_balance"] + switch.balance
            events["s"] += at
            done = Counter(switch.counters)
            done.update(chunk.counters)
            s = min(chunk.s + at, problem.settings.s_end)
            yield Chunk(s, samples, events, dict(done), switched_at=at, state=chunk.state and state)
    except RunFailed as failure:
        raise RunFailed(f"after the switch to general at s = {at:.17g}: {failure}", failure.s + at) from None


def _restored_switch(problem: Problem, saved: Saved) -> Switch:
    counters = saved.part("counters")
    return Switch(
        saved.number("at"),
        saved.array("R", "f8", problem.R0.shape),
        saved.array("beta", "f8", problem.beta0.shape),
        saved.number("balance"),
        saved.integer("events"),
        {name: counters.integer(name) for name in counters.names()},
        _saved_surfaces(problem, saved, "pinned"),
        _saved_surfaces(problem, saved, "lost"),
    )


def _saved_surfaces(problem: Problem, saved: Saved, name: str) -> list[Surface]:
    rows = saved.array(name, "i8", (None, 3))
    if (rows < 0).any() or (rows >= np.array([problem.n_layers, len(problem.x), problem.dim])).any():
        raise saved.misfit(name)
    return [(layer, point, r) for layer, point, r in rows.tolist()]


def _rows(surfaces: Collection[Surface]) -> IntArray:
    return np.array(list(surfaces), dtype=np.int64).reshape(-1, 3)


def _surface(event: np.void) -> Surface:
    return int(event["layer"]), int(event["point"]), int(event["coordinate"])


def _crossings(rest: Problem, lost: Collection[Surface], events: EventLog) -> EventLog:
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
    """Keep ``pinned`` the set of pinned surfaces."""
    for event in events[np.isin(events["kind"], (Kind.PIN, Kind.UNPIN))]:
        change = pinned.add if event["kind"] == Kind.PIN else pinned.discard
        change(_surface(event))


def _without_repeats(events: EventLog, pinned: Collection[Surface]) -> EventLog:
    """Return the events at the switch without those that only say again what has been logged before."""
    keep = np.ones(events.size, dtype=bool)
    for index in np.flatnonzero(events["s"] <= 0.0):
        event = events[index]
        known = _surface(event) in pinned
        if event["kind"] == Kind.COLLAPSE or (event["kind"] == Kind.PIN and known):
            keep[index] = False
        elif event["kind"] == Kind.RELEASE and known:
            event["kind"], event["side"] = Kind.UNPIN, 1
    return events[keep]
