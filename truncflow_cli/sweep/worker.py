"""A local worker: a process that runs one member after another for as long as the sweep that started it lives."""

from __future__ import annotations

import os
import threading
import time
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

# Everything that a run needs is imported here, once, by the process that all workers are forked from.
import truncflow_cli.flows.separated_run  # noqa: F401
from truncflow_cli.diagnostics import certify  # noqa: F401
from truncflow_cli.signals import StopOnce, Stopped, stop_main_thread, undisturbed
from truncflow_cli.sweep import folder
from truncflow_cli.sweep.member import GRACE, SHORT, Returned, Underway, perform
from truncflow_cli.sweep.plan import Source

#: Seconds between two messages on how far a run is.
_MESSAGE_EVERY = 0.25


def work(connection: Connection, source: Source) -> None:
    """Take tasks from the connection and send ``Message`` back, until None or the end comes.

    SIGTERM stops the member that is running; its file has what there was. SIGINT is left to the leader, to whom the
    terminal sends it as well. A worker whose leader has died stops likewise.
    """
    stop = StopOnce()
    threading.Thread(target=_end_with_the_leader, daemon=True).start()
    try:
        folder.join(source.folder)
        while not stop.asked and (task := connection.recv()) is not None:
            result = perform(source, task, _Messages(connection, task.index, stop).take)
            with undisturbed():
                connection.send(result)
    except (KeyboardInterrupt, EOFError, OSError):
        return


class _Messages:
    """Says how far a run is: at its first step, which is when the solver is loaded, and now and then.

    Of a run that is not short it gives back the task that has come after it.
    """

    def __init__(self, connection: Connection, index: int, stop: StopOnce) -> None:
        self._connection = connection
        self._index = index
        self._stop = stop
        self._next = 0.0
        self._long_from = time.monotonic() + SHORT

    def take(self, share: float) -> None:
        if self._stop.asked:
            raise Stopped
        now = time.monotonic()
        if share > 0.0 and now >= self._next:
            self._next = now + _MESSAGE_EVERY
            try:
                with undisturbed():
                    self._connection.send(Underway(self._index, share))
                    if now >= self._long_from:
                        self._give_back()
            except (EOFError, OSError):  # nobody listens any more
                raise Stopped from None

    def _give_back(self) -> None:
        if self._connection.poll():
            task = self._connection.recv()
            if task is None:
                self._stop.asked = True
            else:
                self._connection.send(Returned(task.index))


def _end_with_the_leader() -> None:
    """Stop this process when its parent has died: politely, then for good."""
    leader = parent_process()
    if leader is None:
        return
    wait([leader.sentinel])
    stop_main_thread()
    time.sleep(GRACE)
    os._exit(1)
