"""`truncflow run`: results on stdout, the rest on stderr, no file lost, and exit codes for scripts."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import SMALL_CONFIG, command, environment, truncflow

from truncflow_cli import runfile
from truncflow_cli.cli.app import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL_CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Result:
    """What a command run inside this process has printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    def run_command(*arguments: str) -> Result:
        monkeypatch.setattr("sys.argv", ["truncflow", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Result(ended.value.code or 0, *capfd.readouterr())

    return run_command


def test_prints_the_path_and_nothing_else(folder: Path) -> None:
    done = truncflow("run", "small.yaml", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "runs/small.h5\n")
    assert re.fullmatch(r"complete at s = 2: \d+ events, loss .* to .*, D\(s\) = .*, .* s\n", done.stderr)
    with runfile.open_run(folder / "runs/small.h5") as file:
        assert (file.status, file.s[-1], len(file.s)) == ("complete", 2.0, 21)
        assert file.attrs["command"] == "truncflow run small.yaml"
        assert abs(file.energy_balance[-1]) < 1e-6
        assert file.certificates["energy_balance"].verdict == "holds"
    assert [entry.name for entry in (folder / "runs").iterdir()] == ["small.h5"]


def test_quiet_says_nothing_on_stderr(folder: Path, run) -> None:
    done = run("run", "small.yaml", "--quiet", "-o", "elsewhere/there.h5")
    assert (done.code, done.out, done.err) == (0, "elsewhere/there.h5\n", "")


def test_json_is_one_object(folder: Path, run) -> None:
    done = run("run", "small.yaml", "--json")
    facts = json.loads(done.out)
    assert (facts["path"], facts["status"], facts["flow"], facts["s"]) == (
        *("runs/small.h5", "complete", "separated"),
        2.0,
    )
    assert facts["loss"]["first"] > facts["loss"]["last"] > 0
    with runfile.open_run("runs/small.h5") as file:
        assert sum(facts["events"].values()) == file.n_events > 0
        assert facts["energy_balance"] == file.energy_balance[-1]
        assert facts["counters"] == file.counters
        assert facts["certificates"].keys() == file.certificates.keys()
    assert json.loads(run("run", "small.yaml", "--json").out) == facts, "a finished run is reported alike"


def test_a_finished_file_of_the_same_config_is_left_alone(folder: Path, run) -> None:
    run("run", "small.yaml")
    before = Path("runs/small.h5").read_bytes()
    again = run("run", "small.yaml")
    assert (again.code, again.out) == (0, "runs/small.h5\n")
    assert "already there, complete" in again.err
    assert Path("runs/small.h5").read_bytes() == before
    forced = run("run", "small.yaml", "--force")
    assert forced.code == 0
    assert Path("runs/small.h5").read_bytes() != before


def test_any_other_file_needs_force(folder: Path, run) -> None:
    run("run", "small.yaml")
    before = Path("runs/small.h5").read_bytes()
    other = run("run", "small.yaml", "--set", "integrator.rtol=1e-7", "--set", "seed=4")
    assert (other.code, other.out) == (2, "")
    assert "exists and was made with another config (seed, integrator.rtol); --force replaces it" in other.err
    assert Path("runs/small.h5").read_bytes() == before
    Path("mine.h5").write_text("not a run file")
    assert "--force replaces it" in run("run", "small.yaml", "-o", "mine.h5").err
    assert Path("mine.h5").read_text() == "not a run file"
    assert run("run", "small.yaml", "-o", "mine.h5", "--force").code == 0


def test_other_data_under_the_same_config_need_force(folder: Path, run) -> None:
    points = np.random.default_rng(0).normal(size=(5, 2))
    np.save("points.npy", points + 2)
    Path("data.yaml").write_text(
        "flow: separated\nclusters: [{file: points.npy}]\nintegrator: {s_end: 0.1}\n"
    )
    assert run("run", "data.yaml").code == 0
    np.save("points.npy", points + 3)
    changed = run("run", "data.yaml")
    assert changed.code == 2
    assert "made from other data (data/x differs)" in changed.err


def test_an_unfinished_file_needs_resume_or_force(folder: Path, run) -> None:
    run("run", "small.yaml")
    with h5py.File("runs/small.h5", "r+") as file:
        file.attrs["status"] = "interrupted"
    again = run("run", "small.yaml")
    assert again.code == 2
    assert (
        "exists with status interrupted, up to s = 2; --resume goes on with it, --force replaces it"
        in again.err
    )


def test_the_config_in_a_run_file_gives_the_same_run(folder: Path, run) -> None:
    run("run", "small.yaml", "--set", "clusters.1.size=7")
    with runfile.open_run("runs/small.h5") as first:
        Path("elsewhere").mkdir()
        Path("elsewhere/again.yaml").write_text(first.config)
        assert run("run", "elsewhere/again.yaml", "-o", "again.h5").code == 0
        with runfile.open_run("again.h5") as second:
            assert second.config == first.config
            for name in ("x", "s", "beta", "R", "loss", "energy_balance", "events"):
                np.testing.assert_array_equal(getattr(second, name), getattr(first, name))


def test_dry_run_writes_nothing(folder: Path, run) -> None:
    done = run("run", "small.yaml", "--dry-run")
    assert (done.code, done.err) == (0, "")
    for expected in (
        "N = 21 points, C = 2 clusters, Q = 2",
        "21 saved times",
        "runs/small.h5 (new)",
        "margin",
    ):
        assert expected in done.out
    assert [entry.name for entry in folder.iterdir()] == ["small.yaml"]
    facts = json.loads(run("run", "small.yaml", "--dry-run", "--json").out)
    run("run", "small.yaml")
    assert 0.5 < facts["bytes"] / Path("runs/small.h5").stat().st_size < 2
    assert "complete already" in run("run", "small.yaml", "--dry-run").out
    assert "would be refused" in run("run", "small.yaml", "--dry-run", "--set", "seed=1").out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "missing.yaml"], "error: missing.yaml: cannot read"),
        (["run", "small.yaml", "--set", "integrator.rtoll=1"], "rtol"),
        (["run", "small.yaml", "-o", "small.yaml", "--force"], "error: small.yaml: the output would replace"),
        (["run", "small.yaml", "-o", "/dev/null", "--force"], "error: /dev/null is not a regular file"),
        (["run", "small.yaml", "-o", "small.yaml/x.h5"], "small.yaml"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(
    folder: Path, run, arguments: list[str], sentence: str
) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert done.err.count("\n") == 1
    assert [entry.name for entry in folder.iterdir()] == ["small.yaml"]


@pytest.mark.parametrize("arguments", [["run"], ["run", "small.yaml", "--frobnicate"], ["frobnicate"]])
def test_bad_usage(folder: Path, run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage: truncflow" in done.err


def test_a_violated_certificate_is_said(folder: Path, run) -> None:
    done = run("run", "small.yaml", "--set", "equations=printed", "--quiet")
    with runfile.open_run("runs/small.h5") as file:
        violated = [name for name, found in file.certificates.items() if found.verdict == "violated"]
    assert "energy_balance" in violated
    assert done.code == 0
    assert [line.split(":")[1] for line in done.err.splitlines()] == [
        f" violated, {name}" for name in violated
    ]
    assert "energy_balance: THE ENERGY BALANCE IS OUT OF TOLERANCE: |D(s)| reaches" in done.err


def test_a_defect_is_owned_up_to(folder: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("truncflow_cli.solver.solve", broken)
    done = run("run", "small.yaml")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "defect of truncflow, ZeroDivisionError: of all things" in done.err
    assert "Traceback" in run("run", "small.yaml", "--debug").err


@pytest.mark.parametrize("no_color", [False, True])
def test_a_progress_bar_on_a_terminal(folder: Path, no_color: bool) -> None:
    terminal, stderr = pty.openpty()
    variables = {**environment(), "TERM": "xterm-256color", "COLUMNS": "100"}
    variables.pop("NO_COLOR", None)
    if no_color:
        variables["NO_COLOR"] = "1"
    with subprocess.Popen(
        command("run", "small.yaml"), cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=stderr
    ) as process:
        os.close(stderr)
        out = process.stdout.read().decode()
        shown = b""
        try:
            while part := os.read(terminal, 4096):
                shown += part
        except OSError:  # a terminal without a writer answers so
            pass
        os.close(terminal)
    assert (process.returncode, out) == (0, "runs/small.h5\n")
    assert re.search(rb"s = .* of 2.*events.*loss", shown)
    assert (re.search(rb"\x1b\[[0-9;]*3[0-9]", shown) is None) == no_color
