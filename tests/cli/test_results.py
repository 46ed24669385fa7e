"""`events`, `trajectory`, `schema`, `report`: exact to the last digit, well-behaved in pipes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from command_line import ROOT, command, environment, truncflow
from run_file_samples import made_up_chunks, made_up_events, made_up_problem, made_up_samples

import truncflow_cli
from truncflow_cli import runfile
from truncflow_cli.events import Kind
from truncflow_cli.run_data import Certificate
from truncflow_cli.saved_state import Chunk


def write_run(path: Path, flow: str = "separated", verdict: str = "holds") -> Path:
    problem = made_up_problem(flow)
    with runfile.RunWriter(path, problem, "") as writer:
        for chunk in made_up_chunks(problem):
            writer.append(chunk)
        writer.finish("complete", lambda run: [Certificate("c", "s", "p", "h", verdict, 1.0, 1.0, 0.0)])
    return path


def table(text: str) -> dict[str, list[str]]:
    header, *rows = csv.reader(io.StringIO(text))
    return {name: [row[column] for row in rows] for column, name in enumerate(header)}


def test_events_as_csv(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5")
    done = truncflow("events", "run.h5", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    columns = table(done.stdout)
    assert list(columns) == ["s", "kind", "layer", "point", "coordinate", "cluster", "side"]
    with runfile.open_run(path) as run:
        assert [Kind[kind.upper()] for kind in columns.pop("kind")] == run.events["kind"].tolist()
        for name, column in columns.items():
            np.testing.assert_array_equal(np.array(column, dtype=float), run.events[name])


@pytest.mark.parametrize("flow", ["general", "collapsed", "clustered"])
def test_trajectory_as_csv(tmp_path: Path, flow: str) -> None:
    write_run(tmp_path / "run.h5", flow)
    done = truncflow("trajectory", "run.h5", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    columns = {name: np.array(column, dtype=float) for name, column in table(done.stdout).items()}
    assert list(columns)[:6] == ["s", "loss", "loss_0", "loss_1", "loss_2", "energy_balance"]
    problem = made_up_problem(flow)
    for name, values in made_up_samples(problem, problem.s_save).items():
        prefix = "loss" if name == "loss_cluster" else name
        for index in np.ndindex(values.shape[1:]):
            column = columns.pop("_".join([prefix, *map(str, index)]))
            np.testing.assert_array_equal(column, values[(slice(None), *index)])
    assert not columns


def test_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    problem = made_up_problem()
    events = made_up_events(problem, np.linspace(0, 1, 20_000))
    with runfile.RunWriter(tmp_path / "run.h5", problem, "") as writer:
        writer.append(Chunk(1.0, made_up_samples(problem, np.array([0.0])), events))
        writer.finish("complete")
    with subprocess.Popen(
        command("events", "run.h5"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline().startswith("s,kind")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_full_stdout_is_said(tmp_path: Path) -> None:
    write_run(tmp_path / "run.h5")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("trajectory", "run.h5"),
            cwd=tmp_path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "error: stdout: no space left on device\n")


@pytest.mark.parametrize("name", ["events", "trajectory", "report"])
def test_what_is_not_a_run_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "run.h5").write_text("no")
    done = truncflow(name, "run.h5", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: run.h5: not an HDF5 file, so not a run file\n"


def test_schema_is_a_json_schema(tmp_path: Path) -> None:
    done = truncflow("schema", cwd=tmp_path)
    schema = json.loads(done.stdout)
    assert "flow" in schema["properties"]
    assert schema["additionalProperties"] is False


def test_version_and_help(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project.get("version", truncflow_cli.__version__) == truncflow_cli.__version__
    done = truncflow("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"truncflow {truncflow_cli.__version__}\n")
    overview = truncflow("--help", cwd=tmp_path)
    assert (overview.returncode, overview.stderr) == (0, "")
    for name in ("run", "report", "events", "trajectory", "schema"):
        assert f"\n  {name} " in overview.stdout
    assert "--dry-run" in truncflow("run", "--help", cwd=tmp_path).stdout


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = ("numpy", "scipy", "h5py", "pydantic", "yaml", "rich", "matplotlib")
    check = f"import sys; import truncflow_cli.cli.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [*command()[:1], "-c", check], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_report_as_json_and_csv(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / f"{name}.h5")
    one = truncflow("report", "a.h5", "--json", cwd=tmp_path)
    assert isinstance(json.loads(one.stdout), dict)
    two = truncflow("report", "a.h5", "b.h5", "--json", cwd=tmp_path)
    assert json.loads(two.stdout)[0] == json.loads(one.stdout)
    rows = table(truncflow("report", "a.h5", "b.h5", "--csv", cwd=tmp_path).stdout)
    assert len(rows["flow"]) == 2
    assert truncflow("report", "a.h5", "--csv", "--json", cwd=tmp_path).returncode == 2


def test_report_is_readable_when_piped(tmp_path: Path) -> None:
    write_run(tmp_path / "a.h5")
    done = truncflow("report", "a.h5", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_strict_exits_with_4_on_a_violated_certificate(tmp_path: Path) -> None:
    write_run(tmp_path / "good.h5")
    write_run(tmp_path / "bad.h5", verdict="violated")
    assert truncflow("report", "good.h5", "--strict", cwd=tmp_path).returncode == 0
    assert truncflow("report", "bad.h5", cwd=tmp_path).returncode == 0
    done = truncflow("report", "good.h5", "bad.h5", "--json", "--strict", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (4, "violated: bad.h5: c\n")
    assert len(json.loads(done.stdout)) == 2
