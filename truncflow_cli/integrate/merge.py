"""Independent solvers, side by side: their samples and events put together in order of s."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np

from truncflow_cli.errors import RunFailed
from truncflow_cli.integrate.closed_form import ClosedForm
from truncflow_cli.integrate.solver import Piece, Solver, TimedRow
from truncflow_cli.model.chunk import Chunk
from truncflow_cli.model.events import EventLog, Kind, event_log
from truncflow_cli.model.problem import Array, Problem

#: A chunk is handed out when this many samples or events are ready.
CHUNK = 256

#: Trajectory arrays with an axis over layers or clusters, along which the solvers' parts are put together.
BY_LAYER = ("beta", "R", "truncated_fraction", "loss_cluster")


class Lane:
    """One solver with what it has produced beyond the point that all have reached."""

    def __init__(self, solver: Solver | ClosedForm, s_save: Array) -> None:
        self.solver = solver
        self.events: list[TimedRow] = []
        self.samples: list[dict[str, Array]] = []
        self.piece: Piece = solver.start()
        self._s_save = s_save
        self._next = 0
        self._take(self.piece)

    def step(self, *, together: bool) -> None:
        """Advance by one piece; to the next saved time in one go, unless the lanes have to stay ``together``."""
        until = -np.inf if together or self._next >= self._s_save.size else float(self._s_save[self._next])
        self._take(self.solver.advance(until))

    def _take(self, piece: Piece) -> None:
        self.piece = piece
        self.events += piece.events
        upto = int(np.searchsorted(self._s_save, piece.s1, side="right"))
        if upto > self._next:
            self.samples.append(piece.sample(self._s_save[self._next : upto]))
            self._next = upto

    def pop_samples(self, count: int) -> dict[str, Array]:
        """Return and forget the first ``count`` samples."""
        joined = {name: np.concatenate([part[name] for part in self.samples]) for name in self.samples[0]}
        self.samples = [{name: array[count:] for name, array in joined.items()}]
        return {name: array[:count] for name, array in joined.items()}


def run_layers(problem: Problem, solvers: Sequence[Solver | ClosedForm]) -> Iterator[Chunk]:
    """Advance the solvers together, always the one furthest behind, and yield what all of them have passed."""
    merger = Merger(problem, solvers)
    yield from drive(merger)
    yield from merger.sample_where_stopped()


def drive(merger: Merger) -> Iterator[Chunk]:
    """Advance ``merger`` to the end of the run, or to where it is to stop, and yield what it has passed.

    Raises:
        RunFailed: a solver cannot go on, or there are more events than allowed.
    """
    yield merger.chunk(0.0)
    while not merger.finished:
        try:
            merger.step()
        except RunFailed as failure:
            yield merger.chunk(merger.front)
            raise RunFailed(str(failure), merger.front) from None
        full = merger.last_allowed_event
        if full is not None:
            yield merger.chunk(full)
            limit = merger.problem.settings.max_events
            raise RunFailed(
                f"more than {limit} events, the last allowed at s = {full:.6g}; raise integrator.max_events to go on",
                full,
            )
        if merger.ready:
            yield merger.chunk(merger.front)
    yield merger.chunk(merger.front)


class Merger:
    """The lanes, and how far their common output has been handed out."""

    def __init__(self, problem: Problem, solvers: Sequence[Solver | ClosedForm]) -> None:
        self.problem = problem
        self.lanes = [Lane(solver, problem.s_save) for solver in solvers]
        self.stop_at = np.inf
        self._sampled = 0
        self.events_out = 0
        self._last_event = 0.0
        self._loss_start: float | None = None
        self._note_stop()

    @property
    def front(self) -> float:
        """How far all lanes have come."""
        return min(*(lane.solver.s for lane in self.lanes), self.stop_at) if self.lanes else 0.0

    @property
    def finished(self) -> bool:
        """Whether every lane is at the end, or past the instant at which the run is to stop."""
        return all(lane.solver.finished or lane.solver.s >= self.stop_at for lane in self.lanes)

    @property
    def ready(self) -> bool:
        """Whether there is enough for a chunk."""
        front = self.front
        samples = int(np.searchsorted(self.problem.s_save, front, side="right")) - self._sampled
        return samples >= CHUNK or sum(len(lane.events) for lane in self.lanes) >= CHUNK

    @property
    def last_allowed_event(self) -> float | None:
        """When the last event that the run may have takes place; None as long as there are no more than that."""
        allowed = self.problem.settings.max_events - self.events_out
        if sum(len(lane.events) for lane in self.lanes) <= allowed:
            return None
        front = self.front
        times = sorted(s for lane in self.lanes for s, _ in lane.events if s <= front)
        if len(times) <= allowed:
            return None
        return times[allowed - 1] if allowed > 0 else self._last_event

    def step(self) -> None:
        """Advance the lane that is furthest behind."""
        lane = min(
            (lane for lane in self.lanes if not lane.solver.finished and lane.solver.s < self.stop_at),
            key=lambda lane: lane.solver.s,
        )
        lane.step(together=self.problem.settings.on_separation_lost != "record")
        self._note_stop()

    def _note_stop(self) -> None:
        if self.problem.settings.on_separation_lost == "record":
            return
        for lane in self.lanes:
            for s, row in lane.events:
                if row[0] == Kind.SEPARATION_LOST:
                    self.stop_at = min(self.stop_at, s)
                    break

    def chunk(self, upto: float) -> Chunk:
        """Return all samples and events up to ``upto``, which every lane has reached."""
        count = int(np.searchsorted(self.problem.s_save, upto, side="right")) - self._sampled
        samples = {}
        if count > 0:
            parts = [lane.pop_samples(count) for lane in self.lanes]
            samples = self._join(parts, self.problem.s_save[self._sampled : self._sampled + count])
            self._sampled += count
        return Chunk(s=upto, samples=samples, events=self._pop_events(upto), counters=self.counters())

    def sample_where_stopped(self) -> Iterator[Chunk]:
        """Yield a sample at the very instant at which a run stopped early, unless there is one."""
        upto = self.front
        if upto < self.problem.settings.s_end and upto > self.problem.s_save[self._sampled - 1]:
            samples = self._sample(upto)
            yield Chunk(s=upto, samples=samples, events=event_log([]), counters=self.counters())

    def state(self, at: float) -> tuple[dict[str, Array], float]:
        """Return the trajectory's arrays at one time that all lanes have just passed, and the energy balance there."""
        samples = self._sample(at)
        return samples, float(samples["energy_balance"][0])

    def _sample(self, at: float) -> dict[str, Array]:
        s = np.array([at])
        return self._join([lane.piece.sample(s) for lane in self.lanes], s)

    def _join(self, parts: list[dict[str, Array]], s: Array) -> dict[str, Array]:
        samples = {name: np.concatenate([part[name] for part in parts], axis=1) for name in BY_LAYER}
        loss = samples["loss_cluster"].sum(axis=1)
        if self._loss_start is None:
            self._loss_start = float(loss[0])
        dissipated = np.sum([part["energy"] for part in parts], axis=0)
        balance = self._loss_start - loss - dissipated
        return {"s": s.copy(), "loss": loss, "energy_balance": balance, **samples}

    def _pop_events(self, upto: float) -> EventLog:
        rows = []
        for lane in self.lanes:
            passed = [event for event in lane.events if event[0] <= upto]
            lane.events = lane.events[len(passed) :]
            rows += [(s, *row) for s, row in passed]
        rows.sort(key=lambda row: row[0])
        self.events_out += len(rows)
        if rows:
            self._last_event = rows[-1][0]
        return event_log(rows)

    def counters(self) -> dict[str, int]:
        """Return the work done by all lanes."""
        totals: dict[str, int] = {}
        for lane in self.lanes:
            for name, value in asdict(lane.solver.counters).items():
                totals[name] = totals.get(name, 0) + value
        return totals
