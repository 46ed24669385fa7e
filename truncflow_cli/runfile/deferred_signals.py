"""Stretches of work that Ctrl-C or a termination request must not cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STOP_REQUESTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back inside the block; what came meanwhile is delivered at its end, in order.

    Only Python's main thread is ever interrupted by signals; in other threads the block runs as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in _STOP_REQUESTS}
    replaced = [number for number, handler in handlers.items() if handler is not None]
    for number in replaced:
        signal.signal(number, lambda received_number, _frame: received.append(received_number))
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, handlers[number])
        _deliver(received)


def _deliver(numbers: list[int]) -> None:
    """Raise the signals one after the other, the next one even if a handler leaves by an exception."""
    if not numbers:
        return
    try:
        signal.raise_signal(numbers[0])
    finally:
        _deliver(numbers[1:])
