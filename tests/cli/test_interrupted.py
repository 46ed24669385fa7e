"""A run that is stopped, or that cannot go on, keeps what there is, and says so by its exit code."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import endless_command, environment

from truncflow_cli import runfile

#: Three clusters in the plane, as the made-up solver has them.
CONFIG = """\
flow: separated
clusters:
  - {center: [2.0, 0.0], shape: ball, radius: 0.5, size: 3}
  - {center: [0.0, 2.0], shape: ball, radius: 0.5, size: 3}
  - {center: [2.0, 2.0], shape: ball, radius: 0.5, size: 3}
labels: [[1, 0], [0, 1], [1, 1]]
"""

FAILURE = "if chunk.s > 4: raise truncflow_cli.errors.RunFailed('the step vanished', chunk.s)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(CONFIG)
    return tmp_path


def start(folder: Path, *arguments: str, then: str = "pass") -> subprocess.Popen[str]:
    return subprocess.Popen(
        endless_command("run", "small.yaml", "-o", "run.h5", *arguments, then=then),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path) -> None:
    limit = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < limit, f"{path} does not appear"
        time.sleep(0.005)


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal(folder: Path, stop: signal.Signals, code: int) -> None:
    process = start(folder)
    wait_for(folder / "run.h5")
    process.send_signal(stop)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert out == "run.h5\n"
    assert "Traceback" not in err
    assert err.splitlines()[-1] == ("interrupted" if code == 130 else "terminated")
    with runfile.open_run(folder / "run.h5") as run:
        assert run.status == "interrupted"
        assert len(run.s) > 5
        np.testing.assert_array_equal(run.s, np.arange(len(run.s)))
        assert len(run.events) in (len(run.s), len(run.s) - 1)
    assert sorted(entry.name for entry in folder.iterdir()) == ["run.h5", "small.yaml"]


def test_stopped_before_it_has_begun(folder: Path) -> None:
    process = start(folder)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGINT)
    assert [entry.name for entry in folder.iterdir() if entry.name.startswith(".")] == []


def test_killed_leaves_its_last_checkpoint(folder: Path) -> None:
    process = start(folder, "--set", "save.checkpoint_every=0")
    wait_for(folder / "run.h5")
    process.kill()
    process.communicate()
    with runfile.open_run(folder / "run.h5") as run:
        assert run.status == "running"
        assert len(run.s) >= 1


def test_a_second_run_on_the_same_output_is_refused(folder: Path) -> None:
    first = start(folder)
    try:
        wait_for(folder / ".run.h5.lock")
        second = start(folder, "--force")
        out, err = second.communicate(timeout=30)
        assert (second.returncode, out) == (2, "")
        assert f"another run (process {first.pid}) is writing this file" in err.splitlines()[-1]
    finally:
        first.kill()
        first.communicate()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_run_that_cannot_go_on(folder: Path, as_json: bool) -> None:
    process = start(folder, *["--json"] * as_json, then=FAILURE)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert '"status": "failed"' in out if as_json else out == "run.h5\n"
    assert err.splitlines()[-1] == "error: the run failed at s = 5: the step vanished"
    with runfile.open_run(folder / "run.h5") as run:
        assert run.status == "failed"
        assert run.attrs["message"] == "the step vanished"
        np.testing.assert_array_equal(run.s, np.arange(6))


def test_a_defect_keeps_the_run_too(folder: Path) -> None:
    process = start(folder, then="if chunk.s > 4: raise ValueError('odd')")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "defect of truncflow, ValueError: odd" in err
    with runfile.open_run(folder / "run.h5") as run:
        assert (run.status, len(run.s)) == ("failed", 6)
        assert "ValueError: odd" in run.attrs["message"]
