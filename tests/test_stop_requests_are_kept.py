"""Requests to stop that come while a file must not be left half done are all delivered, and nothing stays behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_file_samples import made_up_problem

from truncflow_cli import api, config, runfile
from truncflow_cli.runfile.atomic import WorkingFile
from truncflow_cli.signals import Terminated, undisturbed


@pytest.fixture(autouse=True)
def termination_is_an_exception() -> Iterator[None]:
    def terminate(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    yield
    signal.signal(signal.SIGTERM, before)


def test_termination_after_an_interrupt_is_not_lost() -> None:
    with pytest.raises(Terminated), undisturbed():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)


def test_all_are_delivered_in_the_order_in_which_they_came() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        with undisturbed():
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
            assert received == []
        assert received == [signal.SIGINT, signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_stopped_while_its_file_is_made_a_run_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    reserve = WorkingFile.reserve

    def interrupted(self: WorkingFile, size: int) -> None:
        made.extend(tmp_path.iterdir())
        os.kill(os.getpid(), signal.SIGINT)
        reserve(self, size)

    monkeypatch.setattr(WorkingFile, "reserve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runfile.RunWriter(tmp_path / "run.h5", made_up_problem(n_points=100_000), "")
    assert made, "there has been something to leave behind"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_stopped_is_not_complete_whatever_the_handler_does(tmp_path: Path, number: int) -> None:
    """A worker that has been told to stop in two ways at once does nothing about the second one."""
    text = "flow: separated\nclusters: [{points: [[1.0]]}]\nintegrator: {s_end: 1.0}\nsave: {count: 40001}\n"
    plan = api.prepare(config.load_text(text, tmp_path, "run"), tmp_path / "run.h5")
    before = signal.signal(number, lambda number, frame: None)
    try:
        outcome = api.execute(plan, watch=lambda chunk: signal.raise_signal(number))
    finally:
        signal.signal(number, before)
    assert isinstance(outcome.error, KeyboardInterrupt)
    with runfile.open_run(tmp_path / "run.h5") as run:
        assert run.status == "interrupted"
        assert run.s[-1] < 1.0
