"""`truncflow new`: a commented starter for each flow that runs as it is, and never in the place of another file."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import truncflow
from typer.testing import CliRunner, Result

from truncflow_cli import config, runfile, templates
from truncflow_cli.cli.app import app
from truncflow_cli.flows.registry import FLOWS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_there_is_a_starter_for_every_flow() -> None:
    assert templates.flows() == list(FLOWS)


@pytest.mark.parametrize("flow", templates.flows())
def test_a_starter_is_commented_meets_its_hypotheses_and_runs(here: Path, flow: str) -> None:
    made = invoke("new", "study", "--flow", flow)
    assert (made.exit_code, made.stdout) == (0, "study.yaml\n")
    assert "truncflow run study.yaml" in made.stderr
    lines = (here / "study.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert sum("# " in line for line in lines) >= 8
    assert max(map(len, lines)) <= 120
    checked = json.loads(invoke("check", "study.yaml", "--json").stdout)
    assert (checked["flow"], checked["holds"], checked["warnings"]) == (flow, True, [])
    done = invoke("run", "study.yaml", "--set", "integrator.s_end=2")
    assert (done.exit_code, done.stdout) == (0, "runs/study.h5\n"), done.stderr
    with runfile.open_run(here / "runs" / "study.h5") as run:
        assert (run.status, run.attrs["flow"], run.s[-1]) == ("complete", flow, 2.0)
        assert np.abs(run.energy_balance).max() <= 2e-8 * run.loss[0]
        assert run.loss[-1] < run.loss[0]
        verdicts = [certificate.verdict for certificate in run.certificates.values()]
        assert "violated" not in verdicts
        assert verdicts.count("holds") >= 8


@pytest.mark.parametrize(
    ("flow", "overrides"),
    [
        (
            "separated",
            ["initial.construct=null", "initial.rotation=random", "initial.bias={normal: 0.5}"],
        ),
        ("separated", ["integrator.freeze_rotation=true", "integrator.on_separation_lost=stop"]),
        ("separated", ["labels={scale: 3.0}", "save={every: 0.05}"]),
        ("separated", ["clusters.1={points: [[0.1, 1.9], [-0.2, 2.1]]}", "save={at: [0.5, 1, 2]}"]),
        (
            "general",
            ["initial.rotation=null", "initial.bias=null", "initial.construct=separated", "layers=null"],
        ),
        (
            "collapsed",
            ["initial.construct=null", "initial.bias=[[-1.3, 0.0], [0.7, -1.2], [0.7, 1.2]]"],
        ),
        ("collapsed", ["initial.output_weight={normal: 0.5}"]),
        ("clustered", ["point_weights=1/N_j", "initial.rotation=random"]),
        ("clustered", ["initial.output_weight={scale: 2.0}"]),
    ],
)
def test_the_alternatives_in_its_comments_are_valid(flow: str, overrides: list[str]) -> None:
    text = templates.text(flow)
    for override in overrides:
        key = override.partition("=")[0].partition(".")[2].rpartition(".")[2] or override.partition("=")[0]
        assert not key.isidentifier() or f"{key}:" in text
    config.build(config.load_text(text, Path.cwd(), "study", overrides))


#: Keys that a flow has no use for, by flow; every other key of the schema stands in its starter.
FOREIGN = {
    "separated": {"point_weights", "layers", "output_weight"},
    "general": {"equations", "point_weights", "freeze_rotation", "output_weight", "on_separation_lost"},
    "collapsed": {"equations", "point_weights", "layers", "freeze_rotation", "start", "random", "backend"},
    "clustered": {
        "equations",
        "layers",
        "freeze_rotation",
        "on_separation_lost",
        "start",
        "random",
        "backend",
    },
}


def keys_of(schema: dict[str, Any]) -> set[str]:
    return {key for part in (schema, *schema["$defs"].values()) for key in part["properties"]}


@pytest.mark.parametrize("flow", templates.flows())
def test_every_key_that_the_flow_knows_is_there_with_a_comment(flow: str) -> None:
    lines = templates.text(flow).splitlines()
    for key in keys_of(config.json_schema()) - FOREIGN[flow]:
        where = [index for index, line in enumerate(lines) if re.search(rf"\b{key}:( |$)", line)]
        assert where, f"{key} is not in the starter of {flow}"
        near = [lines[index] for index in where] + [lines[index - 1] for index in where]
        near += [lines[index + 1] for index in where if index + 1 < len(lines)]
        assert any(re.search(r"# \S", line) for line in near), (
            f"{key} has no comment in the starter of {flow}"
        )
    for key in FOREIGN[flow]:
        assert not re.search(rf"^\s*#?\s*{key}: ", templates.text(flow), re.MULTILINE)


def test_a_file_that_exists_is_left_alone(here: Path) -> None:
    (here / "study.yaml").write_text("mine\n")
    done = invoke("new", "study", "--flow", "general")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "study.yaml exists already" in done.stderr
    assert (here / "study.yaml").read_text() == "mine\n"
    (here / "link.yaml").symlink_to(here / "elsewhere.yaml")
    assert invoke("new", "link").exit_code == 2
    assert not (here / "elsewhere.yaml").exists()


def test_an_unknown_flow_is_told_the_nearest(here: Path) -> None:
    done = invoke("new", "study", "--flow", "colapsed")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "did you mean 'collapsed'?" in done.stderr
    assert "separated, general, collapsed, clustered" in done.stderr
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["a/b", "..", "", " ", "a\nb", "x" * 201, ".yaml", "-x"])
def test_a_name_that_is_none_is_refused(here: Path, name: str) -> None:
    done = invoke("new", "--", name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "cannot be a config's name" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["study.yaml", "my study", "é", "run.2", "x" * 200])
def test_a_name_can_be_any_file_name(here: Path, name: str) -> None:
    done = invoke("new", name)
    path = here / f"{name.removesuffix('.yaml')}.yaml"
    assert (done.exit_code, done.stdout) == (0, f"{path.name}\n")
    assert config.load(path).name == path.stem


def test_as_a_process(tmp_path: Path) -> None:
    done = truncflow("new", "study", "--flow", "clustered", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "study.yaml\n")
    assert config.load(tmp_path / "study.yaml").config.flow == "clustered"
    assert [entry.name for entry in tmp_path.iterdir()] == ["study.yaml"]
