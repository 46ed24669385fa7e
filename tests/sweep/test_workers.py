"""A worker has its next run ahead; whoever stops or dies, each run is done once, and is said to be what it is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from command_line import ROOT, command, environment
from sweep_samples import QUICK

from truncflow_cli import runfile
from truncflow_cli.runfile.writer import RunWriter
from truncflow_cli.sweep import member
from truncflow_cli.sweep.folder import locked
from truncflow_cli.sweep.local import run_local
from truncflow_cli.sweep.member import Report, Result, Returned, Underway, perform
from truncflow_cli.sweep.plan import plan_sweep
from truncflow_cli.sweep.table import columns_of
from truncflow_cli.sweep.worker import work

#: Tens of thousands of events and a million saved times, minutes: always under way when a test stops it.
LONG = """\
flow: general
clusters:
  - {center: [0.0, 0.0, 0.0], shape: gaussian, std: 1.0, size: 20000}
  - {center: [3.0, 0.0, 0.0], shape: gaussian, std: 1.0, size: 20000}
initial: {rotation: random, bias: {normal: 1.0}}
integrator: {s_end: 10000.0}
save: {count: 1000001}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "quick.yaml").write_text(QUICK)
    (tmp_path / "long.yaml").write_text(LONG)
    monkeypatch.chdir(ROOT)
    return tmp_path


def test_a_long_run_gives_back_the_one_that_waits_behind_it(folder: Path) -> None:
    sweep = plan_sweep(folder / "long.yaml", ["seed=0,1"], folder=folder / "out")
    here, there = multiprocessing.Pipe()
    with locked(sweep.folder):
        process = multiprocessing.get_context("forkserver").Process(target=work, args=(there, sweep.source))
        process.start()
        there.close()
        try:
            for each in sweep.members:
                here.send(each)
            while isinstance(message := here.recv(), Underway):
                assert message.index == 0
            assert message == Returned(1)
        finally:
            process.terminate()
            process.join(20)
        while isinstance(message := here.recv(), Underway):
            pass
        assert (message.index, message.status) == (0, "interrupted")
        with pytest.raises(EOFError):
            here.recv()


def test_a_worker_that_somebody_tells_to_stop_leaves_its_next_run_to_others(folder: Path) -> None:
    sweep = plan_sweep(folder / "quick.yaml", ["seed=0:19:20"], folder=folder / "out")
    results: list[Result] = []
    stops = {7, 12}

    def take(report: Report) -> None:
        if isinstance(report, Result):
            results.append(report)
        elif report.index in stops:
            stops.remove(report.index)
            for worker in multiprocessing.active_children():
                worker.terminate()

    with locked(sweep.folder):
        run_local(sweep.source, sweep.members, 1, take)
    assert sorted(result.index for result in results) == list(range(20))
    assert [result for result in results if result.status not in ("complete", "interrupted")] == []
    assert sum(result.status == "interrupted" for result in results) <= 2
    assert multiprocessing.active_children() == []


def test_what_no_worker_has_begun_is_not_interrupted(folder: Path) -> None:
    sweep = plan_sweep(folder / "quick.yaml", ["seed=0:3:4"], folder=folder / "out")
    results: list[Result] = []

    def take(report: Report) -> None:
        if isinstance(report, Result):
            results.append(report)
        else:
            raise KeyboardInterrupt

    with locked(sweep.folder), pytest.raises(KeyboardInterrupt):
        run_local(sweep.source, sweep.members, 2, take)
    assert results == []
    assert list(sweep.folder.glob("*.h5")) == []


@pytest.mark.parametrize("moment", ["afterwards", "at the end"])
def test_a_run_that_has_come_to_its_end_is_complete(
    folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The request to stop comes when the file is there: before it is told, or while it is being closed."""
    sweep = plan_sweep(folder / "quick.yaml", ["seed=0"], folder=folder / "out")
    sweep.folder.mkdir()
    (only,) = sweep.members
    finish = RunWriter.finish

    def late(*args: Any, **options: Any) -> Any:
        monkeypatch.undo()
        raise KeyboardInterrupt

    def finished_late(writer: RunWriter, *args: Any, **options: Any) -> None:
        monkeypatch.undo()
        finish(writer, *args, **options)
        raise KeyboardInterrupt

    if moment == "afterwards":
        monkeypatch.setattr(member, "columns_of", late)
    else:
        monkeypatch.setattr(RunWriter, "finish", finished_late)
    result = perform(sweep.source, only)
    assert (result.status, result.exit_code, result.fresh) == ("complete", 0, True)
    with runfile.open_run(sweep.folder / only.file_name) as run:
        assert run.status == "complete"
        assert result.row == columns_of(run) | {"file": result.row["file"] if result.row else ""}


def test_workers_are_heard_out_when_the_process_they_came_from_is_gone(folder: Path) -> None:
    sweep = plan_sweep(folder / "long.yaml", ["seed=0"], folder=folder / "out")
    results: list[Result] = []

    def take(report: Report) -> None:
        if isinstance(report, Result):
            results.append(report)
        elif report.share > 0.0:
            os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)  # type: ignore[attr-defined]
            time.sleep(0.2)
            raise KeyboardInterrupt

    with locked(sweep.folder), pytest.raises(KeyboardInterrupt):
        run_local(sweep.source, sweep.members, 1, take)
    assert [(result.index, result.status) for result in results] == [(0, "interrupted")]


@pytest.mark.skipif(not Path("/proc").exists(), reason="asks /proc for the processes")
def test_a_run_that_was_cut_short_is_no_success(folder: Path) -> None:
    process = subprocess.Popen(
        command("sweep", str(folder / "long.yaml"), "--grid", "seed=0", "-o", "out"),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = time.monotonic() + 60
    while not (folder / "out/seed=0.h5").exists():
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.01)
    (server,) = children(process.pid, "forkserver")
    (worker,) = children(server)
    os.kill(worker, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "out/sweep.csv\n")
    assert err.startswith("interrupted: seed=0: interrupted\n0 of 1 runs complete, 1 interrupted, ")


def children(parent: int, words: str = "") -> list[int]:
    """Return the processes that a process has started and whose command has certain words."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            line = (status.parent / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == parent and words in line:
            found.append(int(status.parent.name))
    return found
