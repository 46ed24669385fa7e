"""Independent solvers, side by side: their samples and events put together in order of s."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import numpy as np

from truncflow_cli.chunk import Chunk
from truncflow_cli.errors import RunFailed
from truncflow_cli.events import EVENT_DTYPE, EventLog, Kind, event_log, joined_events
from truncflow_cli.problem import Array, Problem
from truncflow_cli.saved_state import Saved, State, integer, number, under
from truncflow_cli.solver.closed_form import ClosedForm
from truncflow_cli.solver.loop import Piece, Solver

#: A chunk is handed out when this many samples or events are ready.
CHUNK = 256

#: Samples are taken in one go for so many coordinates of points, about: a request to stop has to be heard in between.
MOST_SAMPLED = 5_000_000
_NO_EVENTS = event_log([])

EVENT_NAMES: tuple[str, ...] = EVENT_DTYPE.names or ()

#: From this many coordinates on, threads gain more than they cost.
WORTH_THREADS = 5_000
#: Trajectory arrays with an axis over layers or clusters, along which the solvers' parts are put together.
BY_LAYER = ("beta", "R", "truncated_fraction", "loss_cluster")


#: Arrays that a solver gives samples of, with their shapes but for the time.
SampleShapes = dict[str, tuple[int, ...]]


def sample_shapes(problem: Problem) -> SampleShapes:
    """Return what each solver of ``problem`` gives samples of: all layers and clusters, or one of each."""
    dim = problem.dim
    layers, clusters = (problem.n_layers, problem.n_clusters) if problem.flow == "general" else (1, 1)
    return {
        "beta": (layers, dim),
        "R": (layers, dim, dim),
        "truncated_fraction": (layers, dim),
        "loss_cluster": (clusters,),
        "energy": (),
    }


class Lane:
    """One solver with what it has produced beyond the point that all have reached.

    Attributes:
        solver: the solver.
        events, n_events: the events that have not been handed out, and how many they are.
        samples: the samples that have not been handed out.
        next: number of the next saved time.
        piece: the last piece.
    """

    def __init__(
        self, solver: Solver | ClosedForm, s_save: Array, saved: Saved | None, shapes: SampleShapes
    ) -> None:
        self.solver = solver
        self.events: list[EventLog] = []
        self.n_events = 0
        self.samples: list[dict[str, Array]] = []
        self._s_save = s_save
        self.next = 0
        self.piece: Piece
        if saved is None:
            self._take(solver.start())
        else:
            self._restore(saved, shapes)

    def step(self) -> None:
        """Advance by one piece."""
        self._take(self.solver.advance())

    def step_ahead(self, upto: int) -> None:
        """Advance to the saved time before number ``upto``, or to the end, in one go, as far as that goes."""
        saved = self._s_save[self.next : upto]
        self._take(self.solver.advance(float(saved[-1]) if saved.size else np.inf, saved))

    def _take(self, piece: Piece) -> None:
        self.piece = replace(piece, events=_NO_EVENTS)  # which may be many, and go their own way
        if piece.events.size:
            self.events.append(piece.events)
            self.n_events += piece.events.size
        if piece.samples is not None:
            self.samples.append(piece.samples)
            self.next += piece.samples["energy"].size
        upto = int(np.searchsorted(self._s_save, piece.s1, side="right"))
        if upto > self.next:
            self.samples.append(piece.sample(self._s_save[self.next : upto]))
            self.next = upto

    def pop_events(self, upto: float) -> EventLog:
        """Return and forget the events up to ``upto``."""
        events = joined_events(self.events)
        passed = events["s"] <= upto  # times may go back by a rounding error
        if passed.all():
            self.events, self.n_events = [], 0
            return events
        left = events[~passed]
        self.events, self.n_events = ([left] if left.size else []), left.size
        return events[passed]

    def pop_samples(self, count: int) -> dict[str, Array]:
        """Return and forget the first ``count`` samples."""
        whole = joined(self.samples)
        self.samples = [{name: array[count:] for name, array in whole.items()}]
        return {name: array[:count] for name, array in whole.items()}

    def state(self, *, with_piece: bool) -> State:
        """Return what the lane goes on from; its last piece only if it will be asked for samples again."""
        state = {
            **under("solver", self.solver.state()),
            "next": integer(self.next),
            **under("events", columns(joined_events(self.events))),
        }
        if self.samples:
            state |= under("samples", joined(self.samples))
        if with_piece:
            state["piece"] = np.array([self.piece.s0, self.piece.s1])
            state |= under("output", self.piece.output.state())
        return state

    def _restore(self, saved: Saved, shapes: SampleShapes) -> None:
        self.solver.restore(saved.part("solver"))
        self.next = saved.integer("next", (0, self._s_save.size + 1))
        events = restored_events(saved.part("events"))
        if events.size:
            self.events, self.n_events = [events], events.size
        samples = saved.part("samples")
        if samples.names():
            length = samples.array("energy", "f8", (None,)).size
            self.samples = [
                {name: samples.array(name, "f8", (length, *shape)) for name, shape in shapes.items()}
            ]
        if "piece" in saved:
            s0, s1 = saved.array("piece", "f8", (2,)).tolist()
            self.piece = Piece(s0, s1, self.solver.restored_output(saved.part("output")), _NO_EVENTS)


def columns(events: EventLog) -> State:
    """Return events as arrays, one a field."""
    return {name: events[name].astype("f8" if name == "s" else "i8") for name in EVENT_NAMES}


def restored_events(saved: Saved) -> EventLog:
    """Return the events that ``columns`` has given.

    Raises:
        UserError: they do not fit.
    """
    events = np.empty(saved.array("s", "f8", (None,)).size, EVENT_DTYPE)
    for name in EVENT_NAMES:
        bounds = {"s": None, "kind": (0, len(Kind)), "side": (-1, 2)}.get(name, (-1, 1 << 31))
        events[name] = saved.array(name, "f8" if name == "s" else "i8", events.shape, bounds)
    return events


def joined(samples: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """Put samples at consecutive times together."""
    return {name: np.concatenate([part[name] for part in samples]) for name in samples[0]}


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def never() -> bool:
    """Return that nobody is waiting for a chunk."""
    return False


def run_layers(
    problem: Problem,
    solvers: Sequence[Solver | ClosedForm],
    saved: Saved | None = None,
    due: Callable[[], bool] = never,
) -> Iterator[Chunk]:
    """Advance the solvers together, always the one furthest behind, and yield what all of them have passed.

    Args:
        problem: what they solve.
        solvers: unused ones.
        saved: the state of an earlier chunk, to go on from there.
        due: asked after each step whether a chunk is wanted at once.
    """
    with Merger(problem, solvers, saved) as merger:
        yield from drive(merger, due)
        yield from merger.sample_where_stopped()


def drive(merger: Merger, due: Callable[[], bool] = never) -> Iterator[Chunk]:
    """Advance ``merger`` to the end of the run, or to where it is to stop, and yield what it has passed.

    Raises:
        RunFailed: a solver cannot go on, or there are more events than allowed.
    """
    if not merger.begun:
        yield merger.chunk(0.0)
    while not merger.finished:
        try:
            merger.step()
        except RunFailed as failure:
            yield replace(merger.chunk(merger.front), state=None)
            raise RunFailed(str(failure), merger.front) from None
        overfull = merger.overfull
        if overfull is not None:
            full, next_one = overfull
            sampled_until = max(full, float(np.nextafter(next_one, -np.inf)))
            yield replace(merger.chunk(full, sampled_until=sampled_until), state=None)
            limit = merger.problem.settings.max_events
            many = f"{limit} event{'' if limit == 1 else 's'}"
            raise RunFailed(
                f"more than {many}, the last allowed at s = {full:.6g}; raise integrator.max_events to go on",
                full,
            )
        if not merger.finished and (merger.ready or due()):
            yield merger.chunk(merger.front, at_end=False)
    if not merger.ended:
        yield merger.chunk(merger.front)


class Merger:
    """The lanes, and how far their common output has been handed out.

    What is handed out does not depend on when: events at one instant come in the order of the lanes.
    """

    def __init__(
        self, problem: Problem, solvers: Sequence[Solver | ClosedForm], saved: Saved | None = None
    ) -> None:
        self.problem = problem
        parts = [saved.part(f"lane {k}") if saved else None for k in range(len(solvers))]
        shapes = sample_shapes(problem)
        self.lanes = [
            Lane(solver, problem.s_save, part, shapes) for solver, part in zip(solvers, parts, strict=True)
        ]
        self.begun = self.ended = self._stop_sampled = False
        self.stop_at = np.inf
        self._threads = ThreadPoolExecutor(cores) if (cores := self._useful_cores()) > 1 else None
        self._most_samples = max(1, min(CHUNK, MOST_SAMPLED // max(1, problem.x.size)))
        self.sampled = 0
        self.events_out = 0
        self._last_event = 0.0
        self._loss_start: float | None = None
        self._note_stop()
        if saved is not None:
            self._restore(saved)

    def __enter__(self) -> Merger:
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown()

    def _useful_cores(self) -> int:
        """Return how many lanes can go on at the same time."""
        together = self.problem.settings.on_separation_lost != "record"
        if together or len(self.lanes) == 1 or self.problem.x.size < WORTH_THREADS:
            return 1
        return min(len(self.lanes), available_cores())

    def state(self) -> State:
        """Return what ``drive`` goes on from."""
        with_piece = self.problem.settings.on_separation_lost != "record"
        lanes = [lane.state(with_piece=with_piece) for lane in self.lanes]
        assert self._loss_start is not None, "the first chunk has the first sample"
        return {
            "sampled": integer(self.sampled),
            "events_out": integer(self.events_out),
            "last_event": number(self._last_event),
            "loss_start": number(self._loss_start),
            "stop_at": number(self.stop_at),
            "ended": np.array([self.ended, self._stop_sampled], dtype=np.int64),
            **{key: array for k, lane in enumerate(lanes) for key, array in under(f"lane {k}", lane).items()},
        }

    def _restore(self, saved: Saved) -> None:
        self.sampled = saved.integer("sampled", (1, self.problem.s_save.size + 1))
        self.events_out = saved.integer("events_out")
        self._last_event = saved.number("last_event")
        self._loss_start = saved.number("loss_start")
        self.stop_at = saved.number("stop_at")
        ended, stop_sampled = saved.array("ended", "i8", (2,)).tolist()
        self.begun = True
        self.ended = bool(ended) and self.finished  # not if s_end has been raised
        self._stop_sampled = bool(stop_sampled)

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
        samples = int(np.searchsorted(self.problem.s_save, front, side="right")) - self.sampled
        return samples >= CHUNK or sum(lane.n_events for lane in self.lanes) >= CHUNK

    @property
    def overfull(self) -> tuple[float, float] | None:
        """When the last event that the run may have takes place, and the one after it; None if there are no more."""
        allowed = self.problem.settings.max_events - self.events_out
        if sum(lane.n_events for lane in self.lanes) <= allowed:
            return None
        front = self.front
        times = np.concatenate([part["s"] for lane in self.lanes for part in lane.events])
        times = np.sort(times[times <= front])
        if times.size <= allowed:
            return None
        full = float(times[allowed - 1]) if allowed > 0 else self._last_event
        return full, (float(times[allowed]) if allowed >= 0 else full)

    def step(self) -> None:
        """Advance the lane that is furthest behind, and those beside it if there are cores for them."""
        going = [lane for lane in self.lanes if not lane.solver.finished and lane.solver.s < self.stop_at]
        last = min(going, key=lambda lane: lane.solver.s)
        if self.problem.settings.on_separation_lost != "record":
            last.step()
            self._note_stop()
            return
        upto = min(lane.next for lane in going) + self._most_samples
        if self._threads is None:
            last.step_ahead(upto)
            return
        steps = [(lane, self._threads.submit(lane.step_ahead, upto)) for lane in going if lane.next < upto]
        failed = {lane: failure for lane, step in steps if (failure := step.exception()) is not None}
        if failed:
            self._let_catch_up(going, failed)
            raise failed[min(failed, key=lambda lane: lane.solver.s)]

    def _let_catch_up(self, going: list[Lane], failed: dict[Lane, BaseException]) -> None:
        """Let the other lanes come as far as those that cannot go on, which ends the run for all."""
        while True:
            end = min(lane.solver.s for lane in failed)
            behind = [lane for lane in going if lane not in failed and lane.solver.s < end]
            if not behind:
                return
            lane = min(behind, key=lambda lane: lane.solver.s)
            try:
                lane.step_ahead(lane.next + 1)
            except RunFailed as failure:
                failed[lane] = failure

    def _note_stop(self) -> None:
        if self.problem.settings.on_separation_lost == "record":
            return
        for lane in self.lanes:
            for events in lane.events:
                lost = events["s"][events["kind"] == Kind.SEPARATION_LOST]
                self.stop_at = min(self.stop_at, lost.min(initial=np.inf))

    def chunk(self, upto: float, *, at_end: bool = True, sampled_until: float | None = None) -> Chunk:
        """Return all samples and events up to ``upto``, which every lane has reached.

        Args:
            upto: flow time.
            at_end: whether the lanes stay there; else there may be more events at this very instant, and all of them
                come with the next chunk.
            sampled_until: where the samples end, if not there.
        """
        end = upto if sampled_until is None else sampled_until
        count = int(np.searchsorted(self.problem.s_save, end, side="right")) - self.sampled
        samples = {}
        if count > 0:
            parts = [lane.pop_samples(count) for lane in self.lanes]
            samples = self._join(parts, self.problem.s_save[self.sampled : self.sampled + count])
            self.sampled += count
        events = self._pop_events(upto if at_end else float(np.nextafter(upto, -np.inf)))
        self.begun = True
        self.ended = at_end and self.finished
        return Chunk(upto, samples, events, self.counters(), state=self.state)

    def sample_where_stopped(self) -> Iterator[Chunk]:
        """Yield a sample at the very instant at which a run stopped early, unless there is one."""
        upto = self.front
        early = upto < self.problem.settings.s_end and upto > self.problem.s_save[self.sampled - 1]
        if early and not self._stop_sampled:
            self._stop_sampled = True
            yield Chunk(upto, self._sample(upto), event_log([]), self.counters(), state=self.state)

    def standing(self, at: float) -> tuple[dict[str, Array], float]:
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
        # One after the other, whatever the number of times: numpy's sum would pair the parts if there is one time.
        dissipated = sum((part["energy"] for part in parts), np.zeros(s.size))
        balance = self._loss_start - loss - dissipated
        return {"s": s.copy(), "loss": loss, "energy_balance": balance, **samples}

    def _pop_events(self, upto: float) -> EventLog:
        events = joined_events([lane.pop_events(upto) for lane in self.lanes])
        if (events["s"][1:] < events["s"][:-1]).any():
            events = events[np.argsort(events["s"], kind="stable")]
        self.events_out += events.size
        if events.size:
            self._last_event = float(events["s"][-1])
        return events

    def counters(self) -> dict[str, int]:
        """Return the work done by all lanes."""
        totals: dict[str, int] = {}
        for lane in self.lanes:
            for name, value in asdict(lane.solver.counters).items():
                totals[name] = totals.get(name, 0) + value
        return totals
