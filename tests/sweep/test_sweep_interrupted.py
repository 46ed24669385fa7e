"""A sweep that is killed or interrupted keeps what there is, leaves no process behind, and can be finished."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import ROOT, command, environment, truncflow
from sweep_samples import QUICK, content, stamps

from truncflow_cli import runfile
from truncflow_cli.sweep.folder import locked
from truncflow_cli.sweep.local import run_local
from truncflow_cli.sweep.member import Report, Result, Underway, perform
from truncflow_cli.sweep.plan import plan_sweep

#: More than any machine gets through before it is told to stop.
RUNS = 150
GRID = ("--grid", f"seed=0:{RUNS - 1}:{RUNS}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "quick.yaml").write_text(QUICK)
    return tmp_path


def started(folder: Path) -> subprocess.Popen[str]:
    """Start a sweep in a process group of its own, as a terminal does, and return once some runs are done."""
    process = subprocess.Popen(
        command("sweep", "quick.yaml", *GRID, "--workers", "2", "-o", "out"),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    limit = time.monotonic() + 60
    while len(list((folder / "out").glob("*.h5"))) < 5:
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.01)
    return process


def group_is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def finish(folder: Path) -> None:
    """Start the sweep again; what was complete must stay as it is, and nothing may be missing or left over."""
    complete = {}
    for name, stamp in stamps(folder / "out", "*.h5").items():
        with runfile.open_run(folder / "out" / name) as run:
            if run.status == "complete":
                complete[name] = stamp
    assert 3 <= len(complete) < RUNS
    done = truncflow("sweep", "quick.yaml", *GRID, "--workers", "2", "-o", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"{RUNS} of {RUNS} runs complete ({len(complete)} already there)" in done.stderr
    after = stamps(folder / "out", "*.h5")
    assert {name: after[name] for name in complete} == complete
    assert len(after) == RUNS
    assert [path.name for path in (folder / "out").glob(".*")] == []
    sweep = plan_sweep(folder / "quick.yaml", [GRID[1]], folder=folder / "alone")
    for seed in (0, 7, RUNS - 1):  # as in a sweep that was never stopped
        assert perform(sweep.source, sweep.members[seed]).status == "complete"
        assert content(folder / "alone" / f"seed={seed}.h5") == content(folder / "out" / f"seed={seed}.h5")


def test_killed(folder: Path) -> None:
    process = started(folder)
    process.kill()
    process.communicate()
    limit = time.monotonic() + 30
    while not group_is_empty(process.pid):  # no worker, and not the process that they are forked from
        assert time.monotonic() < limit
        time.sleep(0.05)
    finish(folder)


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped(folder: Path, stop: signal.Signals, code: int) -> None:
    process = started(folder)
    if stop == signal.SIGINT:
        os.killpg(process.pid, stop)  # Ctrl-C goes to everybody
    else:
        process.send_signal(stop)
    began = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 15
    assert (process.returncode, out) == (code, "")
    assert err.splitlines() == ["interrupted" if code == 130 else "terminated"]
    table = (folder / "out" / "sweep.csv").read_text().splitlines()
    assert len(table) == RUNS + 1
    assert any(",not run," in line for line in table)
    assert sum(",interrupted," in line for line in table) <= 2  # what the workers were busy with
    if stop == signal.SIGINT:
        finish(folder)


def test_a_second_sweep_in_the_same_folder_is_refused(folder: Path) -> None:
    with locked(folder / "out"):
        done = truncflow("sweep", "quick.yaml", "--grid", "seed=1", "-o", "out", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: out: another sweep (process {os.getpid()}) is running in this folder; wait for it, stop it, or "
        "choose another folder with -o\n"
    )
    assert not (folder / "out").exists()


def test_a_worker_that_dies_takes_one_run_with_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    sweep = plan_sweep(folder / "quick.yaml", ["seed=0:3:4"], folder=folder / "out")
    results: dict[int, Result] = {}

    def take(report: Report) -> None:
        if isinstance(report, Result):
            results[report.index] = report
        elif isinstance(report, Underway) and report.index == 1 and report.share == 0.0:
            for worker in multiprocessing.active_children():
                assert worker.pid is not None
                os.kill(worker.pid, signal.SIGKILL)

    with locked(sweep.folder):
        run_local(sweep.source, sweep.members, 1, take)
    assert multiprocessing.active_children() == []
    assert [results[index].status for index in range(4)] == ["complete", "failed", "complete", "complete"]
    assert (results[1].exit_code, results[1].row) == (1, None)
    assert results[1].message.startswith("its process died (killed by SIGKILL")
