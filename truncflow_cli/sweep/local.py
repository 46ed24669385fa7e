"""A sweep on this machine: worker processes, each with the program loaded once, that outlive nobody.

A pool of ``concurrent.futures`` would not do: when one of its workers dies it ends all of them, and it has no word
for a member that is told to stop and to keep what it has.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from truncflow_cli.errors import UserError
from truncflow_cli.signals import interrupts_ignored, undisturbed
from truncflow_cli.sweep.grid import Member
from truncflow_cli.sweep.member import GRACE, SHORT, Message, Report, Result, Returned, Underway
from truncflow_cli.sweep.plan import Source

#: More processes than this are a slip of the pen.
MOST_WORKERS = 1024

#: The module with which the process starts that all workers are forked from.
_PRELOADED = ["truncflow_cli.sweep.worker"]

#: One core a worker is what a sweep has to give: each library that would start threads of its own is told so.
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMBA")} | {
    "VECLIB_MAXIMUM_THREADS": "1"
}

#: Memory that a run has freed stays with its worker, for the next one: asking the system for it anew, page by page,
#: takes a while of a small run. glibc comes to these bytes by itself after larger runs; other C libraries ignore them.
_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}

#: Called with everything that a worker reports.
Take = Callable[[Report], None]


def number_of_workers(asked: int | None, members: int) -> int:
    """Return how many processes to start: those asked for, or one a core, and no more than there are members.

    Raises:
        UserError: the number that is asked for is out of range.
    """
    if asked is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(members, cores)
    if not 1 <= asked <= MOST_WORKERS:
        raise UserError(f"--workers {asked}: must be from 1 to {MOST_WORKERS}")
    return asked


def prepare_workers() -> None:
    """Begin to load the program for the workers, in a process that they are forked from, and do not wait for it."""
    forkserver.set_forkserver_preload(_PRELOADED)
    with _apart():
        forkserver.ensure_running()


def run_local(source: Source, members: Iterable[Member], workers: int, take: Take) -> None:
    """Perform members in worker processes.

    The first run is under way, its solver compiled or loaded, before the others start: nothing is compiled twice.
    A worker that dies takes one member with it and is replaced. When this ends early, by Ctrl-C for instance, the
    workers are told to stop, what they still report is taken, and none is left.

    Args:
        source: what all members share.
        members: the runs, in the order in which they are started.
        workers: number of processes.
        take: called with every report, in this thread.
    """
    pool = _Pool(source, deque(members), take)
    try:
        pool.grow(1)
        pool.run(until_warm=True)
        pool.grow(min(workers - 1, len(pool.pending)))
        pool.run()
        pool.dismiss()
    finally:
        with undisturbed():
            pool.stop()


def _work(connection: Connection, source: Source) -> None:
    """Be a worker; what it needs is not loaded into the leader."""
    from truncflow_cli.sweep.worker import work

    work(connection, source)


@dataclass
class _Worker:
    """A process, the leader's end of the connection to it, and what it is to do.

    Attributes:
        members: the one that it is busy with, and perhaps the next one.
        is_warm: whether its first member is under way.
        is_quick: whether its last member was short.
    """

    process: ForkServerProcess
    connection: Connection
    members: deque[Member] = field(default_factory=deque)
    is_warm: bool = False
    is_quick: bool = False

    def send(self, member: Member | None) -> None:
        """Hand out a member, or None: there are no more."""
        with contextlib.suppress(OSError):  # it has died, which its connection is about to tell
            self.connection.send(member)

    def receive(self) -> Message | None:
        """Return what it has to say; None if it has come to its end."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            return None
        return message


class _Pool:
    """The workers of a sweep, as their leader sees them, and the members that no worker has."""

    def __init__(self, source: Source, pending: deque[Member], take: Take) -> None:
        self.pending = pending
        self._source = source
        self._take = take
        self._workers: list[_Worker] = []
        self._context = multiprocessing.get_context("forkserver")
        prepare_workers()

    def grow(self, count: int) -> None:
        """Start so many more workers."""
        for _ in range(count):
            here, there = self._context.Pipe()
            process = self._context.Process(target=_work, args=(there, self._source), daemon=True)
            with undisturbed():
                process.start()
                there.close()
                self._workers.append(_Worker(process, here))

    def run(self, until_warm: bool = False) -> None:
        """Hand out members and take reports, until all is done or, if asked for, the first run is under way."""
        while True:
            for worker in self._workers:
                if self.pending and not worker.members:
                    self._hand_out(worker)
            for worker in self._workers:
                if len(self.pending) >= len(self._workers) and worker.is_quick and len(worker.members) == 1:
                    self._hand_out(worker)
            busy = {worker.connection: worker for worker in self._workers if worker.members}
            if not busy:
                return
            ready = wait(list(busy))
            with undisturbed():
                for connection in ready:
                    self._hear(busy[connection])  # type: ignore[index]
            if until_warm and any(worker.is_warm for worker in self._workers):
                return

    def dismiss(self) -> None:
        """Let the workers end, all being done."""
        for worker in self._workers:
            worker.send(None)
        for worker in self._workers:
            worker.process.join(GRACE)

    def stop(self) -> None:
        """End every worker that is left, taking what it still reports; for good if it takes too long."""
        for worker in self._workers:
            worker.process.terminate()  # also if it seems dead: without the process they came from, all of them do
            worker.send(None)
        limit = time.monotonic() + GRACE
        for worker in self._workers:
            has_ended = self._hear_out(worker, limit)
            worker.process.join(max(0.0, limit - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            if worker.members and not has_ended:  # else it has begun nothing of which it has not told the end
                self._take(Result(worker.members[0].index, "interrupted", 130, "interrupted"))

    def _hand_out(self, worker: _Worker) -> None:
        worker.members.append(self.pending.popleft())
        worker.send(worker.members[-1])
        if len(worker.members) == 1:
            self._take(Underway(worker.members[0].index, 0.0))

    def _hear(self, worker: _Worker) -> None:
        if (message := worker.receive()) is None:
            self._bury(worker)
            return
        worker.is_warm = True
        self._note(worker, message)
        if isinstance(message, Result):
            worker.is_quick = message.fresh and message.seconds < SHORT
            if worker.members:
                self._take(Underway(worker.members[0].index, 0.0))

    def _note(self, worker: _Worker, message: Message) -> None:
        """Take a report, and have in mind what its worker is left with."""
        if isinstance(message, Returned):
            worker.is_quick = False
            self.pending.appendleft(worker.members.pop())
            return
        if isinstance(message, Result):
            worker.members.popleft()
        self._take(message)

    def _bury(self, worker: _Worker) -> None:
        """Record the member that a worker was busy with when it died, and start another worker.

        One that somebody else told to stop has ended in good order: what it has not told the end of is still to do.
        """
        worker.process.join(GRACE)
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        if worker.members and not (worker.is_warm and code == 0):
            cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            hint = "; perhaps for want of memory" if code == -signal.SIGKILL else ""
            lost = worker.members.popleft()
            self._take(Result(lost.index, "failed", 1, f"its process died ({cause}{hint})"))
        self.pending.extendleft(reversed(worker.members))
        self.grow(1)

    def _hear_out(self, worker: _Worker, limit: float) -> bool:
        """Take what a worker that has been stopped still says; return whether it has come to its end."""
        while worker.members:
            if not worker.connection.poll(max(0.0, limit - time.monotonic())):
                return False
            if (message := worker.receive()) is None:
                return True
            if not isinstance(message, Underway):
                self._note(worker, message)
        return True


@contextmanager
def _apart() -> Iterator[None]:
    """Have what is started inside, and all that it forks, use one thread, keep its memory and not hear Ctrl-C."""
    settings = {name: os.environ.get(name, value) for name, value in _KEPT_MEMORY.items()} | _ONE_THREAD
    before = {name: os.environ[name] for name in settings if name in os.environ}
    os.environ.update(settings)
    try:
        with interrupts_ignored():
            yield
    finally:
        for name in settings:
            del os.environ[name]
        os.environ.update(before)
