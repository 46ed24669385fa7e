"""Flow `separated` as long as it is separated, then `general` from the same state: ``on_separation_lost: switch``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from truncflow_cli.chunk import Chunk
from truncflow_cli.errors import RunFailed
from truncflow_cli.events import EventLog, Kind, event_log
from truncflow_cli.network_field import forward_pass
from truncflow_cli.problem import Array, IntArray, Problem
from truncflow_cli.saved_state import Saved, State, counts, integer, number, under
from truncflow_cli.solver.assemble import Merger, drive, never
from truncflow_cli.solver.closed_form import ClosedForm
from truncflow_cli.solver.loop import Solver

Surface = tuple[int, int, int]


@dataclass(frozen=True)
class Handover:
    """Where the flow is handed over.

    Attributes:
        at: when.
        R, beta: (L, Q, Q), (L, Q) the state then.
        balance: the energy balance then.
        events: how many there have been.
        counters: work done before.
        pinned: (k, 3) the surfaces that were pinned.
        lost: (m, 3) those by which separation was lost.
    """

    at: float
    R: Array
    beta: Array
    balance: float
    events: int
    counters: dict[str, int]
    pinned: IntArray
    lost: IntArray

    def state(self) -> State:
        """Return it as a state."""
        return {
            "at": number(self.at),
            "R": self.R,
            "beta": self.beta,
            "balance": number(self.balance),
            "events": integer(self.events),
            "pinned": self.pinned,
            "lost": self.lost,
            **under("counters", counts(self.counters)),
        }


def run_switching(
    problem: Problem,
    layers: Callable[[], Sequence[Solver | ClosedForm]],
    general: Callable[[Problem], Solver],
    saved: Saved | None = None,
    due: Callable[[], bool] = never,
) -> Iterator[Chunk]:
    """Run ``layers`` until separation is first lost, then the solver that ``general`` makes for what is left.

    The loss and the energy balance go on from one to the other; where an image of a cluster is cut by a later layer
    (which (3.3) does not exclude) the two losses differ at the switch, and D(s) counts each flow's own. From the
    switch on, layers see images of points and not the points of (3.3), and separation is not watched any more.

    ``saved`` and ``due`` are those of ``merge.run_layers``.
    """
    if saved is not None and saved.has_part("handover"):
        handover = _restored_handover(problem, saved.part("handover"))
        yield from _go_on_with_general(problem, handover, general, saved.part("general"), due)
        return
    merger = Merger(problem, layers(), saved.part("layers") if saved else None)
    pinned = set(_surfaces(_saved_rows(problem, saved, "pinned"))) if saved else set()
    lost = _surfaces(_saved_rows(problem, saved, "lost")) if saved else []

    def state() -> State:
        return {"pinned": _rows(sorted(pinned)), "lost": _rows(lost), **under("layers", merger.state())}

    for chunk in drive(merger, due):
        _follow_pins(chunk.events, pinned)
        lost += [_surface(event) for event in chunk.events if event["kind"] == Kind.SEPARATION_LOST]
        yield replace(chunk, state=chunk.state and state)
    at = merger.stop_at
    if np.isinf(at):
        return
    samples, balance = merger.standing(at)
    done, events = merger.counters(), merger.events_out
    R, beta = samples["R"][0], samples["beta"][0]
    handover = Handover(at, R, beta, balance, events, done, _rows(sorted(pinned)), _rows(lost))
    yield from _go_on_with_general(problem, handover, general, None, due)


def _go_on_with_general(
    problem: Problem,
    handover: Handover,
    general: Callable[[Problem], Solver],
    saved: Saved | None,
    due: Callable[[], bool],
) -> Iterator[Chunk]:
    """Run what is left after the switch, in the run's own time, samples and totals."""
    at, done = handover.at, handover.counters
    left = problem.s_save[problem.s_save > at]
    rest = replace(
        problem,
        flow="general",
        R0=handover.R,
        beta0=handover.beta,
        s_save=np.concatenate([[0.0], left - at]),
        settings=problem.settings.replace(
            s_end=problem.settings.s_end - at,
            max_events=problem.settings.max_events - handover.events,
            on_separation_lost="record",
        ),
    )
    merger = Merger(rest, [general(rest)], saved)

    def state() -> State:
        return under("handover", handover.state()) | under("general", merger.state())

    taken = merger.sampled
    first = saved is None
    try:
        for chunk in drive(merger, due):
            samples = chunk.samples
            if samples:
                skip = 1 if taken == 0 else 0  # the state at the switch itself is not among the saved times
                samples = {name: array[skip:] for name, array in samples.items()}
                samples["s"] = left[max(taken - 1, 0) : max(taken - 1, 0) + samples["s"].size].copy()
                samples["energy_balance"] = samples["energy_balance"] + handover.balance
                taken += samples["s"].size + skip
            events = chunk.events.copy()
            if first:
                lost, pinned = _surfaces(handover.lost), set(_surfaces(handover.pinned))
                events = np.concatenate([_crossings(rest, lost, events), _without_repeats(events, pinned)])
                first = False
            events["s"] += at
            counters = {name: done.get(name, 0) + value for name, value in chunk.counters.items()}
            s = min(chunk.s + at, problem.settings.s_end)
            yield Chunk(s, samples, events, counters, switched_at=at, state=chunk.state and state)
    except RunFailed as failure:
        raise RunFailed(f"after the switch to general at s = {at:.17g}: {failure}", failure.s + at) from None


def _restored_handover(problem: Problem, saved: Saved) -> Handover:
    counters = saved.part("counters")
    return Handover(
        saved.number("at"),
        saved.array("R", "f8", problem.R0.shape),
        saved.array("beta", "f8", problem.beta0.shape),
        saved.number("balance"),
        saved.integer("events"),
        {name: counters.integer(name) for name in counters.names()},
        _saved_rows(problem, saved, "pinned"),
        _saved_rows(problem, saved, "lost"),
    )


def _saved_rows(problem: Problem, saved: Saved, name: str) -> IntArray:
    rows = saved.array(name, "i8", (None, 3))
    if (rows < 0).any() or (rows >= np.array([problem.n_layers, len(problem.x), problem.dim])).any():
        raise saved.misfit(name)
    return rows


def _rows(surfaces: Sequence[Surface]) -> IntArray:
    return np.array(surfaces, dtype=np.int64).reshape(-1, 3)


def _surfaces(rows: IntArray) -> list[Surface]:
    return [(layer, point, r) for layer, point, r in rows.tolist()]


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
