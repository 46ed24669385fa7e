"""Ctrl-C and termination while a run goes on: it is to stop at the next step, where it can be gone on with."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_REQUESTS = (signal.SIGINT, signal.SIGTERM)

#: Seconds after which somebody who waits for a step to end is told so.
_PATIENCE = 1.0

_WAITING = "stopping at the end of this step (once more: at once, and back to the last checkpoint)"


class StopRequests:
    """A context manager inside which the first request to stop is only noted, and the second is obeyed at once.

    Leaving the block obeys the first: SIGINT raises KeyboardInterrupt, SIGTERM does what it would have done before.
    Only Python's main thread is ever interrupted by signals; in other threads the block runs as it is.

    Attributes:
        asked: whether the run is to stop.
    """

    def __init__(self, say: Callable[[str], None] = lambda message: None) -> None:
        """Prepare.

        Args:
            say: called if the step takes long to end, from another thread.
        """
        self.asked = False
        self._number = 0
        self._handlers: dict[int, Any] = {}
        self._patience = threading.Timer(_PATIENCE, say, [_WAITING])
        self._patience.daemon = True

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            for number in _REQUESTS:
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

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._handlers[number](number, frame)
            return
        self.asked, self._number = True, number
        self._patience.start()
