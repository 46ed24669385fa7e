"""`truncflow run --resume`: goes on with a run, extends a finished one, and refuses everything else in a sentence."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from run_file_equality import differences

import truncflow_cli as truncflow
from truncflow_cli import runfile, solver
from truncflow_cli.cli.app import main
from truncflow_cli.errors import UserError
from truncflow_cli.runfile.checkpoint import computing_sources

CONFIG = """\
flow: separated
clusters:
  - {file: right.csv}
  - {center: [0.0, 2.0], shape: gaussian, std: 0.7, size: 20}
initial: {rotation: random, bias: {normal: 1.0}}
integrator: {s_end: 2.0}
save: {count: 21}
"""

POINTS = "2.0,0.0\n2.3,0.1\n1.7,-0.2\n1.9,0.4\n2.2,-0.3\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "run.yaml").write_text(CONFIG)
    (tmp_path / "right.csv").write_text(POINTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["truncflow", "run", "run.yaml", "-o", "run.h5", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capfd.readouterr())

    return command


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, signal.Signals], None]:
    """Let a run get a signal after so many steps, once."""
    solve = solver.solve

    def stop_after(count: int, number: signal.Signals = signal.SIGINT) -> None:
        def stopped(problem: object, resume: object, *_: object) -> Iterator[object]:
            monkeypatch.setattr(solver, "solve", solve)
            for k, chunk in enumerate(solve(problem, resume, lambda: True)):
                yield chunk
                if k == count:
                    signal.raise_signal(number)

        monkeypatch.setattr(solver, "solve", stopped)

    return stop_after


@contextmanager
def edited(path: str) -> Iterator[h5py.File]:
    """Open a run file for changes, even if this process has it open."""
    shutil.copyfile(path, "copy.h5")
    with h5py.File("copy.h5", "r+") as file:
        yield file
    Path("copy.h5").replace(path)


def test_interrupted_and_gone_on_with(folder: Path, run, stopping) -> None:
    assert run("-o", "whole.h5")[0] == 0
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
        stopping(0, number)
        assert run("--resume")[0] == code
        with runfile.open_run("run.h5") as found:
            assert (found.status, found.certificates) == ("interrupted", {})
    code, out, err = run("--resume")
    assert (code, out) == (0, "run.h5\n")
    assert "run.h5: going on from s = " in err
    assert differences(Path("whole.h5"), Path("run.h5")) == []
    with runfile.open_run("run.h5") as found:
        assert found.attrs["resumed"] == 3


def test_what_has_begun_needs_to_be_told_so(folder: Path, run, stopping) -> None:
    stopping(2)
    run()
    before = Path("run.h5").read_bytes()
    code, out, err = run()
    assert (code, out) == (2, "")
    assert "exists with status interrupted" in err
    assert "--resume goes on with it, --force replaces it" in err
    code, out, err = run("--resume", "--force")
    assert (code, err) == (2, "error: --force starts again and --resume goes on; give one of them\n")
    assert Path("run.h5").read_bytes() == before


def _written(path: Path) -> tuple[int, ...]:
    """Return everything by which it shows that a file has been written; reading it only changes when it was read."""
    found = path.stat()
    return (found.st_ino, found.st_mode, found.st_nlink, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def test_nothing_there_starts_at_the_beginning_and_what_is_complete_is_left_alone(folder: Path, run) -> None:
    code, _, err = run("--resume")
    assert code == 0
    assert "run.h5: nothing there yet; starting at the beginning\n" in err
    before = _written(Path("run.h5"))
    code, out, err = run("--resume")
    assert (code, out) == (0, "run.h5\n")
    assert "already there, complete and of this config" in err
    assert _written(Path("run.h5")) == before
    with truncflow.run("run.yaml", out="run.h5", resume=True) as again:
        assert again.status == "complete"


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("integrator.rtol=1e-8", "(integrator.rtol)"),
        ("save.count=22", "(save.count)"),
        ("integrator.s_end=1.5", "integrator.s_end = 2, more than 1.5"),
        ("integrator.s_end=3", "integrator.s_end = 2 and is not finished"),
    ],
)
def test_another_config_is_refused_by_the_names_of_its_keys(
    folder: Path, run, stopping, setting: str, named: str
) -> None:
    stopping(2)
    run()
    before = Path("run.h5").read_bytes()
    code, out, err = run("--resume", "--set", setting)
    assert (code, out) == (2, "")
    assert named in err
    assert [line.startswith("error: ") for line in err.splitlines()][1:] == [True]
    assert Path("run.h5").read_bytes() == before


def test_other_data_is_refused(folder: Path, run, stopping) -> None:
    stopping(2)
    run()
    (folder / "right.csv").write_text(POINTS.replace("2.3", "2.4"))
    code, _, err = run("--resume")
    assert code == 2
    assert "made from other data (data/x differs)" in err


def test_the_program_is_all_that_computes() -> None:
    sources = {path.relative_to(Path(solver.__file__).parents[1]).as_posix() for path in computing_sources()}
    assert {"flows/separated.py", "solver/loop.py", "kernels/library.py", "truncation.py"} <= sources
    assert not any(name.startswith(("cli/", "report/")) for name in sources)


def test_another_program_is_refused_and_another_library_is_told(
    folder: Path, run, stopping, monkeypatch
) -> None:
    stopping(2)
    run()
    monkeypatch.setattr("truncflow_cli.runfile.checkpoint._program", lambda: "of another time")
    code, _, err = run("--resume")
    assert code == 2
    assert "begun by truncflow 0.1.0, but not quite this one" in err
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("truncflow_cli.runfile.checkpoint._machine", lambda: "an abacus")
    code, _, err = run("--resume")
    assert code == 0
    assert "with an abacus instead of" in err
    assert "within tolerance and not to the bit" in err


@pytest.mark.parametrize("where", ["state", "sha256", "saved", "program"])
def test_a_damaged_checkpoint_is_refused(folder: Path, run, stopping, where: str) -> None:
    stopping(2)
    run()
    with edited("run.h5") as file:
        if where == "state":
            row = file["checkpoint/state"]
            row[len(row) // 2] ^= 1
        else:
            old = file["checkpoint"].attrs[where]
            file["checkpoint"].attrs[where] = old - 1 if where == "saved" else "0" + old[1:-1]
    code, _, err = run("--resume")
    assert code == 2
    assert "its checkpoint is damaged" in err
    assert "--force starts again" in err


def test_a_file_without_a_checkpoint_starts_again(folder: Path, run, stopping) -> None:
    run("-o", "whole.h5")
    stopping(2)
    run()
    with edited("run.h5") as file:
        del file["checkpoint"]
    code, _, err = run("--resume")
    assert code == 0
    assert "there is no checkpoint in it; starting again at the beginning" in err
    assert differences(Path("whole.h5"), Path("run.h5")) == []


@pytest.mark.parametrize("save", ["count=21", "every=0.3", "spacing=log"])
def test_a_larger_s_end_extends_a_finished_run(folder: Path, run, stopping, save: str) -> None:
    options = ["--set", f"save.{save}", *(["--set", "save.count=null"] if "every" in save else [])]
    assert run(*options)[0] == 0
    with runfile.open_run("run.h5") as first:
        s, loss, events = first.s, first.loss, first.events
    stopping(0)
    longer = [*options, "--set", "integrator.s_end=4", "--resume"]
    code, _, err = run(*longer)
    assert code == 130
    assert f"extending the finished run from s = 2; its {len(s)} saved times stay" in err
    assert run(*longer)[0] == 0
    with runfile.open_run("run.h5") as extended:
        assert (extended.status, extended.s[-1], extended.attrs["extended_at"]) == ("complete", 4.0, 2.0)
        assert (np.diff(extended.s) > 1e-9).all()
        assert np.array_equal(extended.s[: len(s)], s)
        assert np.array_equal(extended.loss[: len(s)], loss)
        assert np.array_equal(extended.events[: len(events)], events)
        assert extended.certificates["energy_balance"].verdict == "holds"
        assert "s_end: 4.0" in extended.config
        at_the_end = extended.loss[-1]
    assert run("-o", "from-zero.h5", *options, "--set", "integrator.s_end=4")[0] == 0
    with runfile.open_run("from-zero.h5") as whole:
        assert abs(whole.loss[-1] - at_the_end) < 1e-9
        later = np.isin(extended.s, whole.s) & (extended.s > 2.0)
        assert np.array_equal(extended.s[later], whole.s[whole.s > 2.0])
    code, _, err = run(*options, "--resume")
    assert code == 2
    assert "integrator.s_end = 4, more than 2" in err


def test_stopped_where_separation_was_lost_there_is_nothing_to_extend(folder: Path, run) -> None:
    text = "clusters: [{points: [[2, 0], [2.2, 0.1], [1.5, 0.4]]}, {points: [[0, 2], [0.5, 2.5]]}]\n"
    rest = "labels: [[-6, 9], [9, -6]]\ninitial: {construct: separated}\n"
    rest += "integrator: {s_end: 9, on_separation_lost: stop}\n"
    Path("run.yaml").write_text(f"flow: separated\n{text}{rest}save: {{count: 21}}\n")
    assert run()[0] == 0
    with runfile.open_run("run.h5") as found:
        assert found.s[-1] < 9
    code, _, err = run("--resume", "--set", "integrator.s_end=12")
    assert code == 2
    assert "where separation was lost: a larger integrator.s_end changes nothing" in err


def test_interrupted_while_certificates_are_made_only_these_are_left(folder: Path, run, monkeypatch) -> None:
    run("-o", "whole.h5")

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("truncflow_cli.diagnostics.certify", interrupted)
        assert run()[0] == 130
    steps = []
    with monkeypatch.context() as patch:
        patch.setattr("truncflow_cli.solver.loop.EventLoop.advance", lambda *_: steps.append(1))
        assert run("--resume")[0] == 0
    assert steps == []
    assert differences(Path("whole.h5"), Path("run.h5")) == []


def test_dry_run_says_what_resume_would_do(folder: Path, run, stopping) -> None:
    stopping(2)
    run()
    code, out, _ = run("--resume", "--dry-run")
    assert code == 0
    assert "going on from s = " in out
    facts = json.loads(run("--resume", "--dry-run", "--json", "--set", "seed=1")[1])
    assert "would be refused" in facts["output_state"]
    assert "(seed)" in facts["output_state"]


def test_the_python_door_goes_on_too(folder: Path, stopping) -> None:
    with truncflow.run("run.yaml", out="whole.h5") as whole:
        assert whole.status == "complete"
    stopping(2)
    with pytest.raises(KeyboardInterrupt):
        truncflow.run("run.yaml", out="run.h5")
    with pytest.raises(UserError, match="force starts again and resume goes on"):
        truncflow.run("run.yaml", out="run.h5", force=True, resume=True)
    with truncflow.run("run.yaml", out="run.h5", resume=True) as again:
        assert again.status == "complete"
    assert differences(Path("whole.h5"), Path("run.h5")) == []
