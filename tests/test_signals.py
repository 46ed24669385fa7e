"""A request to stop is never lost: a run that is cut short does not go on as if it had come to its end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from truncflow_cli.signals import StopOnce, Stopped, StopRequests


@pytest.fixture(autouse=True)
def own_handlers_come_back() -> Iterator[None]:
    """Have the handlers that are in place come back after a test."""
    before = signal.getsignal(signal.SIGTERM)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    hook = sys.unraisablehook
    yield
    signal.signal(signal.SIGTERM, before)
    sys.unraisablehook = hook
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def test_a_handler_that_returns_stops_the_block() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    with pytest.raises(KeyboardInterrupt), StopRequests() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked


def test_a_second_request_whose_exception_is_dropped_stops_the_block() -> None:
    StopOnce()
    with pytest.raises(KeyboardInterrupt), StopRequests() as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):  # as Python drops it inside certain callbacks
            signal.raise_signal(signal.SIGTERM)
        assert stop.asked
