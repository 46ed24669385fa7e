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
from truncflow_cli.sweep.member import GRACE, SHORT, Progress, Returned, Underway, perform
from truncflow_cli.sweep.plan import Source

#: Seconds between two messages on how far a run is.
_MESSAGE_EVERY = 0.25


def work(connection: Connection, source: Source) -> None:
    """Take members from the connection and send ``Message`` back, until None or the end comes.

    SIGTERM stops the member that is running; its file has what there was. SIGINT is left to the leader, to whom the
    terminal sends it as well. A worker whose leader has died stops likewise.
    """
    stop = StopOnce()
    threading.Thread(target=_end_with_the_leader, daemon=True).start()
    try:
        folder.join(source.folder)
        while not stop.asked and (member := connection.recv()) is not None:
            result = perform(source, member, _messages(connection, member.index, stop))
            with undisturbed():
                connection.send(result)
    except (KeyboardInterrupt, EOFError, OSError):
        return


def _messages(connection: Connection, index: int, stop: StopOnce) -> Progress:
    """Return what says how far a run is: at its first step, which is when the solver is loaded, and now and then.

    Of a run that is not short it gives back the member that has come after it.
    """
    next_message, long_from = 0.0, time.monotonic() + SHORT

    def take(share: float) -> None:
        nonlocal next_message
        if stop.asked:
            raise Stopped
        now = time.monotonic()
        if share <= 0.0 or now < next_message:
            return
        next_message = now + _MESSAGE_EVERY
        try:
            with undisturbed():
                connection.send(Underway(index, share))
                if now < long_from or not connection.poll():
                    return
                if (waiting := connection.recv()) is None:
                    stop.asked = True
                else:
                    connection.send(Returned(waiting.index))
        except (EOFError, OSError):  # nobody listens any more
            raise Stopped from None

    return take


def _end_with_the_leader() -> None:
    """Stop this process when its parent has died: politely, then for good."""
    leader = parent_process()
    if leader is None:
        return
    wait([leader.sentinel])
    stop_main_thread()
    time.sleep(GRACE)
    os._exit(1)
