"""A sweep on this machine: worker processes, each with the program loaded once, that outlive nobody."""

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
from truncflow_cli.sweep.member import GRACE, SHORT, Message, Report, Result, Returned, Task, Underway
from truncflow_cli.sweep.plan import Source

#: More processes than this are a slip of the pen.
MOST_WORKERS = 1024

#: The module with which the process starts that all workers are forked from.
_PRELOADED = ["truncflow_cli.sweep.worker"]

#: One core a worker is what a sweep has to give: each library that would start threads of its own is told so.
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMBA_NUM_THREADS",
    ),
    "1",
)

#: Memory that a run has freed stays with its worker, for the next one: asking the system for it anew, page by page,
#: takes a while of a small run. glibc comes to these bytes by itself after larger runs; other C libraries ignore them.
_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}

#: Called with everything that a worker reports.
Take = Callable[[Report], None]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare_workers() -> None:
    """Begin to load the program for the workers, in a process that they are forked from, and do not wait for it."""
    forkserver.set_forkserver_preload(_PRELOADED)
    with _apart():
        forkserver.ensure_running()


def run_local(source: Source, tasks: Iterable[Task], workers: int, take: Take) -> None:
    """Perform tasks in worker processes.

    The first run is under way, its solver compiled or loaded, before the others start: nothing is compiled twice.
    A worker that dies takes one member with it and is replaced. When this ends early, by Ctrl-C for instance, the
    workers are told to stop, what they still report is taken, and none is left.

    Args:
        source: what all members share.
        tasks: the members, in the order in which they are started.
        workers: number of processes, from 1 to ``MOST_WORKERS``.
        take: called with every report, in this thread.

    Raises:
        UserError: the number of workers is out of range, or they do not start.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise UserError(f"--workers {workers}: must be from 1 to {MOST_WORKERS}")
    pool = _Pool(source, deque(tasks), take)
    try:
        pool.grow(1)
        pool.run(until_warm=True)
        pool.grow(min(workers - 1, pool.n_pending))
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
    """A process, the connection to it, and what it is to do.

    Attributes:
        process: it.
        connection: the leader's end.
        tasks: the member that it is busy with, and perhaps the next one.
        is_warm: whether its first member is under way.
        is_quick: whether its last member was short.
    """

    process: ForkServerProcess
    connection: Connection
    tasks: deque[Task] = field(default_factory=deque)
    is_warm: bool = False
    is_quick: bool = False


class _Pool:
    """The workers of a sweep, as their leader sees them."""

    def __init__(self, source: Source, pending: deque[Task], take: Take) -> None:
        self._source = source
        self._take = take
        self._pending = pending
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

    @property
    def n_pending(self) -> int:
        """How many tasks no worker has."""
        return len(self._pending)

    def run(self, until_warm: bool = False) -> None:
        """Hand out tasks and take reports, until all is done or, if asked for, the first run is under way."""
        while True:
            for worker in self._workers:
                if self._pending and not worker.tasks:
                    self._hand_out(worker)
            for worker in self._workers:
                if len(self._pending) >= len(self._workers) and worker.is_quick and len(worker.tasks) == 1:
                    self._hand_out(worker)
            busy = [worker for worker in self._workers if worker.tasks]
            if not busy:
                return
            ready = wait([worker.connection for worker in busy])
            with undisturbed():
                for worker in busy:
                    if worker.connection in ready:
                        self._take_report(worker)
            if until_warm and any(worker.is_warm for worker in self._workers):
                return

    def dismiss(self) -> None:
        """Let the workers end, all being done."""
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.connection.send(None)
        for worker in self._workers:
            worker.process.join(GRACE)

    def stop(self) -> None:
        """End every worker that is left, taking what it still reports; for good if it takes too long."""
        for (
            worker
        ) in self._workers:  # also those that seem dead: without the process they came from, all of them do
            worker.process.terminate()
            with contextlib.suppress(OSError):
                worker.connection.send(None)
        limit = time.monotonic() + GRACE
        for worker in self._workers:
            has_ended = self._take_last_reports(worker, limit)
            worker.process.join(max(0.0, limit - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            if worker.tasks and not has_ended:  # else it has begun nothing of which it has not told the end
                self._take(Result(worker.tasks[0].index, "interrupted", 130, "interrupted"))

    def _hand_out(self, worker: _Worker) -> None:
        task = self._pending.popleft()
        worker.tasks.append(task)
        with contextlib.suppress(OSError):  # it has died, which its connection is about to tell
            worker.connection.send(task)
        if len(worker.tasks) == 1:
            self._take(Underway(task.index, 0.0))

    def _take_report(self, worker: _Worker) -> None:
        try:
            report: Message = worker.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self._bury(worker)
            return
        worker.is_warm = True
        if isinstance(report, Result):
            worker.is_quick = report.fresh and report.seconds < SHORT
        self._note(worker, report)
        if isinstance(report, Result) and worker.tasks:
            self._take(Underway(worker.tasks[0].index, 0.0))

    def _note(self, worker: _Worker, report: Message) -> None:
        """Take a report, and have in mind what its worker is left with."""
        if isinstance(report, Returned):
            worker.is_quick = False
            self._pending.appendleft(worker.tasks.pop())
            return
        if isinstance(report, Result):
            worker.tasks.popleft()
        self._take(report)

    def _bury(self, worker: _Worker) -> None:
        """Record the member that a worker was busy with when it died, and start another worker.

        One that somebody else told to stop has ended in good order: what it has not told the end of is still to do.
        """
        worker.process.join(GRACE)
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        if worker.tasks and not (worker.is_warm and code == 0):
            cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            hint = "; perhaps for want of memory" if code == -signal.SIGKILL else ""
            task = worker.tasks.popleft()
            self._take(Result(task.index, "failed", 1, f"its process died ({cause}{hint})"))
        self._pending.extendleft(reversed(worker.tasks))
        self.grow(1)

    def _take_last_reports(self, worker: _Worker, limit: float) -> bool:
        """Take what a worker that has been stopped still says; return whether it has come to its end."""
        with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
            while worker.tasks:
                if not worker.connection.poll(max(0.0, limit - time.monotonic())):
                    return False
                report: Message = worker.connection.recv()
                if not isinstance(report, Underway):
                    self._note(worker, report)
        return True


@contextmanager
def _apart() -> Iterator[None]:
    """Have what is started inside, and all that it forks, use one thread, keep its memory and not hear Ctrl-C."""
    settings = {name: os.environ.get(name, value) for name, value in _KEPT_MEMORY.items()} | _ONE_THREAD
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        with interrupts_ignored():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
