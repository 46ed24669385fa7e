"""A local worker: a process that runs one member after another for as long as the sweep that started it lives."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

# Everything that a run needs is imported here, once, by the process that all workers are forked from.
import truncflow_cli.flows.separated_run  # noqa: F401
from truncflow_cli.diagnostics import certify  # noqa: F401
from truncflow_cli.runfile.deferred_signals import undisturbed
from truncflow_cli.sweep import folder
from truncflow_cli.sweep.member import GRACE, SHORT, Returned, Underway, perform
from truncflow_cli.sweep.plan import Source

#: Seconds between two messages on how far a run is.
_MESSAGE_EVERY = 0.25


class Stopped(KeyboardInterrupt):
    """The worker has been told to stop."""


def work(connection: Connection, source: Source) -> None:
    """Take tasks from the connection and send ``Message`` back, until None or the end comes.

    SIGTERM stops the member that is running; its file has what there was. SIGINT is left to the leader, to whom the
    terminal sends it as well. A worker whose leader has died stops likewise.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sys.unraisablehook = _say_unless_stopped
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop.receive)
    threading.Thread(target=_end_with_the_leader, daemon=True).start()
    try:
        folder.join(source.folder)
        while not stop.asked and (task := connection.recv()) is not None:
            result = perform(source, task, _Messages(connection, task.index, stop).take)
            with undisturbed():
                connection.send(result)
    except (KeyboardInterrupt, EOFError, OSError):
        return


class _Stop:
    """Whether the worker has been told to stop.

    Python drops an exception that a signal raises inside certain callbacks; so it is noted too, and asked for.
    """

    def __init__(self) -> None:
        self.asked = False

    def receive(self, number: int, frame: object) -> None:
        """Handle the signal; once is enough, a second one would cut off what the first has the run write and say."""
        if not self.asked:
            self.asked = True
            raise Stopped


def _say_unless_stopped(dropped: sys.UnraisableHookArgs) -> None:
    if not issubclass(dropped.exc_type, Stopped):
        sys.__unraisablehook__(dropped)


class _Messages:
    """Says how far a run is: at its first step, which is when the solver is loaded, and now and then.

    Of a run that is not short it gives back the task that has come after it.
    """

    def __init__(self, connection: Connection, index: int, stop: _Stop) -> None:
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
    if (main := threading.main_thread().ident) is not None:
        signal.pthread_kill(main, signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)
