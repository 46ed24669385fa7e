"""Ctrl-C (SIGINT) and termination (SIGTERM): what they end, what they must not cut in two, and what they only ask for.

Python's main thread alone is ever interrupted by signals; in other threads everything here leaves them as they are.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType, TracebackType
from typing import Any, NoReturn

_REQUESTS = (signal.SIGINT, signal.SIGTERM)

#: Seconds after which somebody who waits for a step to end is told so.
_PATIENCE = 1.0

_WAITING = "stopping at the end of this step (once more: at once, and back to the last checkpoint)"


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM)."""


def terminated_by_exception() -> None:
    """From now on SIGTERM raises ``Terminated``, so that files are closed and locks released."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: object) -> NoReturn:
    raise Terminated


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold requests to stop back inside the block; what came meanwhile is delivered at its end, in order."""
    received: list[int] = []
    numbers = _REQUESTS if _in_main_thread() else ()
    handlers = {number: found for number in numbers if (found := signal.getsignal(number)) is not None}
    for number in handlers:
        signal.signal(number, lambda received_number, _frame: received.append(received_number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        with ExitStack() as deliveries:  # the next one even if a handler leaves by an exception
            for came in reversed(received):
                deliveries.callback(signal.raise_signal, came)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C inside the block; what is started there ignores it for good."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if _in_main_thread() else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


class StopRequests:
    """A context manager inside which the first request to stop is only noted, and the second is obeyed at once.

    Leaving the block obeys the first: SIGINT raises KeyboardInterrupt, SIGTERM does what it would have done before. If
    that is nothing (a handler that only takes note), leaving raises KeyboardInterrupt: what was stopped is not done.

    Attributes:
        asked: whether the run is to stop.
    """

    def __init__(self, say: Callable[[str], None] = lambda message: None) -> None:
        """Prepare; ``say`` is called if the step takes long to end, from another thread."""
        self.asked = False
        self._number = 0
        self._handlers: dict[int, Any] = {}
        self._patience = threading.Timer(_PATIENCE, say, [_WAITING])
        self._patience.daemon = True

    def __enter__(self) -> StopRequests:
        for number in _REQUESTS if _in_main_thread() else ():
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patience.cancel()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self.asked and kind is None:
            self._handlers[self._number](self._number, None)
            raise KeyboardInterrupt

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._handlers[number](number, frame)
            return
        self.asked, self._number = True, number
        self._patience.start()


class Stopped(KeyboardInterrupt):
    """This process, which works for another one, has been told to stop."""


class StopOnce:
    """The first SIGTERM stops a process that works for another one; Ctrl-C is left to the leader, who has it as well.

    A second SIGTERM would cut off what the first has the process write and say. Python drops an exception that a signal
    raises inside certain callbacks; so it is noted too, and asked for.

    Attributes:
        asked: whether the process has been told to stop.
    """

    def __init__(self) -> None:
        """Begin, in the main thread, for as long as the process lives."""
        self.asked = False
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        sys.unraisablehook = _say_unless_stopped
        signal.signal(signal.SIGTERM, self._receive)

    def _receive(self, number: int, frame: object) -> None:
        if not self.asked:
            self.asked = True
            raise Stopped


def _say_unless_stopped(dropped: sys.UnraisableHookArgs) -> None:
    if not issubclass(dropped.exc_type, Stopped):
        sys.__unraisablehook__(dropped)


def stop_main_thread() -> None:
    """Send SIGTERM to this process's own main thread, from another one."""
    if (main := threading.main_thread().ident) is not None:
        signal.pthread_kill(main, signal.SIGTERM)
