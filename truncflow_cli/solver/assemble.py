"""The trajectory of any flow, put together from solvers side by side: samples and events in order of s, in chunks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace

import numpy as np

from truncflow_cli.errors import RunFailed
from truncflow_cli.events import EventLog, Kind, joined_events
from truncflow_cli.problem import Array, Problem
from truncflow_cli.saved_state import Chunk, Saved, State, integer, number, under
from truncflow_cli.solver.part import Part, joined
from truncflow_cli.solver.piece import Solver

#: A chunk is handed out when this many samples or events are ready.
CHUNK = 256
#: Samples are taken in one go for so many coordinates of points, about: a request to stop has to be heard in between.
MOST_SAMPLED = 5_000_000
#: From this many coordinates on, threads gain more than they cost.
WORTH_THREADS = 5_000


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def never() -> bool:
    """Return that nobody is waiting for a chunk."""
    return False


class Assembler:
    """The solvers' parts of the trajectory, and how far what they have in common has been handed out.

    What is handed out does not depend on when: events at one instant come in the order of the solvers. Where there are
    several, each has a layer and a cluster: all arrays are joined along their first axis after s.
    """

    def __init__(
        self,
        problem: Problem,
        solvers: Sequence[Solver],
        saved: Saved | None = None,
        *,
        lost: Kind = Kind.SEPARATION_LOST,
        most_samples: int | None = None,
    ) -> None:
        """Start the solvers of ``problem``, or go on from a chunk's state.

        ``lost`` is the event at which a run stops, if its settings say so; ``most_samples`` are evaluated in one go and
        make a chunk: by default what suits the points.
        """
        self.problem = problem
        self._most = most_samples or max(1, min(CHUNK, MOST_SAMPLED // max(1, problem.x.size)))
        self._enough = most_samples or CHUNK
        self.parts = [
            Part(solver, problem.s_save, self._most, saved.part(f"part {k}") if saved else None)
            for k, solver in enumerate(solvers)
        ]
        self.begun = self.ended = False
        self.stop_at = np.inf
        self.sampled = self.events_out = 0
        self._lost = lost
        wanted = problem.settings.on_separation_lost
        self._in_step = wanted != "record"  # nobody gets far ahead of where separation is lost
        self._stops = wanted == "stop"
        self._threads: ThreadPoolExecutor | None = None
        self._last_event = 0.0
        self._loss_start: float | None = None
        self._note_stop()
        if saved is None:
            return
        self.sampled = saved.integer("sampled", (1, problem.s_save.size + 1))
        self.events_out = saved.integer("events_out")
        self._last_event, self._loss_start = saved.number("last_event"), saved.number("loss_start")
        self.stop_at = saved.number("stop_at")
        self.begun = True
        self.ended = bool(saved.integer("ended", (0, 2))) and self.finished  # not if s_end has been raised

    def run(self, due: Callable[[], bool] = never) -> Iterator[Chunk]:
        """Advance to the end of the run, or to where it is to stop, and yield what all have passed.

        ``due`` is asked after each step whether a chunk is wanted at once. RunFailed says that a solver cannot go on,
        or that there are more events than allowed.
        """
        if not self.begun:
            yield self.chunk(0.0)
        with self._workers() as self._threads:
            while not self.finished:
                try:
                    self._step()
                except RunFailed as failure:
                    yield replace(self.chunk(self.front), state=None)
                    raise RunFailed(str(failure), self.front) from None
                yield from self._stopped_overfull()
                if not self.finished and (self._ready or due()):
                    yield self.chunk(self.front, at_end=False)
        if not self.ended:
            yield self.chunk(self.front)

    @property
    def front(self) -> float:
        """How far all have come."""
        return min(*(part.s for part in self.parts), self.stop_at)

    @property
    def finished(self) -> bool:
        """Whether all are at the end, or past the instant at which the run is to stop."""
        return all(part.finished or part.s >= self.stop_at for part in self.parts)

    def chunk(self, upto: float, *, at_end: bool = True) -> Chunk:
        """Return all samples and events up to ``upto``, which all have reached.

        Unless they stay there (``at_end``), there may be more events at this very instant, and all of them come with
        the next chunk.
        """
        count = int(np.searchsorted(self.problem.s_save, upto, side="right")) - self.sampled
        samples = []
        if count > 0:
            times = self.problem.s_save[self.sampled : self.sampled + count]
            samples.append(self._joined([part.pop_samples(count) for part in self.parts], times))
            self.sampled += count
        events = self._pop_events(upto if at_end else float(np.nextafter(upto, -np.inf)))
        self.begun = True
        self.ended = at_end and self.finished
        if self.ended and self._stops and self.problem.s_save[self.sampled - 1] < upto:
            samples.append(self.sample(upto))
        return Chunk(upto, joined(samples) if samples else {}, events, self.counters(), state=self.state)

    def sample(self, at: float) -> dict[str, Array]:
        """Return the trajectory's arrays at one time that all have just passed."""
        s = np.array([at])
        return self._joined([part.piece.sample(s) for part in self.parts], s)

    def counters(self) -> dict[str, int]:
        """Return the work done by all."""
        totals: Counter[str] = Counter()
        for part in self.parts:
            totals.update(asdict(part.solver.counters))
        return dict(totals)

    def state(self) -> State:
        """Return what ``run`` goes on from."""
        assert self._loss_start is not None, "the first chunk has the first sample"
        state = {
            "sampled": integer(self.sampled),
            "events_out": integer(self.events_out),
            "last_event": number(self._last_event),
            "loss_start": number(self._loss_start),
            "stop_at": number(self.stop_at),
            "ended": integer(self.ended),
        }
        for k, part in enumerate(self.parts):
            state |= under(f"part {k}", part.state(with_piece=self._in_step))
        return state

    def _workers(self) -> AbstractContextManager[ThreadPoolExecutor | None]:
        """Return threads for the solvers, where they can go on at the same time and that is worth it."""
        if self._in_step or len(self.parts) == 1 or self.problem.x.size < WORTH_THREADS:
            return nullcontext()
        cores = min(len(self.parts), available_cores())
        return ThreadPoolExecutor(cores) if cores > 1 else nullcontext()

    def _step(self) -> None:
        """Advance the one that is furthest behind, and those beside it if there are cores for them."""
        going = [part for part in self.parts if not part.finished and part.s < self.stop_at]
        last = min(going, key=lambda part: part.s)
        upto = min(part.next for part in going) + self._most
        if self._in_step:
            last.step()
            self._note_stop()
        elif self._threads is None:
            last.step(upto)
        else:
            steps = [(part, self._threads.submit(part.step, upto)) for part in going if part.next < upto]
            failed = {part: failure for part, step in steps if (failure := step.exception()) is not None}
            if failed:
                self._let_catch_up(going, failed)
                raise failed[min(failed, key=lambda part: part.s)]

    def _let_catch_up(self, going: list[Part], failed: dict[Part, BaseException]) -> None:
        """Let the others come as far as those that cannot go on, which ends the run for all."""
        while True:
            end = min(part.s for part in failed)
            behind = [part for part in going if part not in failed and part.s < end]
            if not behind:
                return
            part = min(behind, key=lambda part: part.s)
            try:
                part.step(part.next + 1)
            except RunFailed as failure:
                failed[part] = failure

    def _note_stop(self) -> None:
        if self._in_step:
            for events in (log for part in self.parts for log in part.events):
                lost = events["s"][events["kind"] == self._lost]
                self.stop_at = min(self.stop_at, lost.min(initial=np.inf))

    @property
    def _ready(self) -> bool:
        """Whether there is enough for a chunk."""
        samples = int(np.searchsorted(self.problem.s_save, self.front, side="right")) - self.sampled
        return samples >= self._enough or sum(part.n_events for part in self.parts) >= CHUNK

    def _stopped_overfull(self) -> Iterator[Chunk]:
        """Yield what there is up to the first event that the run may not have, and fail; nothing if there is none."""
        limit = self.problem.settings.max_events
        allowed = limit - self.events_out
        if sum(part.n_events for part in self.parts) <= allowed:
            return
        times = np.concatenate([log["s"] for part in self.parts for log in part.events])
        times = np.sort(times[times <= self.front])
        if times.size <= allowed:
            return
        last = float(times[allowed - 1]) if allowed > 0 else self._last_event
        before = float(np.nextafter(times[allowed], -np.inf)) if allowed >= 0 else last
        at = last if limit > 0 else before
        yield replace(self.chunk(max(last, before)), s=at, state=None)
        many = f"{limit} event{'' if limit == 1 else 's'}"
        raise RunFailed(
            f"more than {many}, the last allowed at s = {at:.6g}; raise integrator.max_events to go on", at
        )

    def _joined(self, parts: list[dict[str, Array]], s: Array) -> dict[str, Array]:
        """Return the trajectory's arrays at times s (T,) from the solvers' parts of them."""
        # One after the other, whatever the number of times: numpy's sum would pair the parts if there is one time.
        dissipated = sum((part.pop("energy") for part in parts), np.zeros(s.size))
        samples = parts[0]
        if len(parts) > 1:
            samples = {name: np.concatenate([part[name] for part in parts], axis=1) for name in samples}
        loss = samples["loss_cluster"].sum(axis=1)
        if self._loss_start is None:
            self._loss_start = float(loss[0])
        balance = self._loss_start - loss - dissipated
        return {"s": s.copy(), "loss": loss, "energy_balance": balance, **samples}

    def _pop_events(self, upto: float) -> EventLog:
        events = joined_events([part.pop_events(upto) for part in self.parts])
        if (events["s"][1:] < events["s"][:-1]).any():
            events = events[np.argsort(events["s"], kind="stable")]
        self.events_out += events.size
        if events.size:
            self._last_event = float(events["s"][-1])
        return events


def only_finite(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Hand on chunks until a sample is not finite, and fail; what comes before it in its chunk is handed on too."""
    reached: float | None = None
    for chunk in chunks:
        finite = np.ones(len(chunk.samples.get("s", ())), dtype=bool)
        for values in chunk.samples.values():
            finite &= np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if finite.all():
            reached = chunk.s
            yield chunk
            del chunk  # it can have very many events, and so can the next one
            continue
        first = int(np.argmin(finite))
        at = float(chunk.samples["s"][first])
        if first > 0:
            reached = float(chunk.samples["s"][first - 1])
        if reached is not None:
            events = chunk.events[chunk.events["s"] < at]
            yield replace(
                chunk,
                s=max(reached, events["s"].max(initial=0.0)),
                samples={name: values[:first] for name, values in chunk.samples.items()},
                events=events,
                state=None,
            )
        raise RunFailed(
            f"the solution is no longer finite at s = {at:.6g}: data of this size overflow double precision; "
            "scale points and labels down",
            at if reached is None else reached,
        )
