"""`truncflow check`: every hypothesis, by how much, which point, what would mend it; and nothing is run."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import ROOT, SMALL_CONFIG, command, environment, truncflow
from typer.testing import CliRunner, Result

from truncflow_cli import config, solver
from truncflow_cli.cli.app import app

#: Two clusters and two layers, the first of which truncates a point of the other cluster by 0.25.
NOT_SEPARATED = """\
flow: separated
clusters:
  - {name: own, points: [[2.0, 0.0], [1.0, 0.5]]}
  - {name: other, points: [[0.0, 2.0], [0.25, 3.0], [-0.5, 2.5]]}
initial:
  rotation: identity
  bias: [[0.25, 1.0], [3.0, 0.1]]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(text: str, *arguments: str) -> Result:
    Path("study.yaml").write_text(text)
    return CliRunner().invoke(app, ["check", "study.yaml", *arguments])


def found(text: str, *arguments: str) -> dict[str, Any]:
    done = check(text, "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def finding(facts: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in facts["findings"] if each["name"] == name)


def test_as_a_process(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(SMALL_CONFIG)
    done = truncflow("check", "study.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Theorem 3.2" in done.stdout
    assert "Every hypothesis of the theorem holds at the start." in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [entry.name for entry in tmp_path.iterdir()] == ["study.yaml"]


def test_into_a_pipe_that_closes(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(SMALL_CONFIG)
    with subprocess.Popen(
        command("check", "study.yaml"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


def test_nothing_is_solved(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def solve(problem: object) -> None:
        raise AssertionError("check must not solve")

    monkeypatch.setattr(solver, "solve", solve)
    assert found(SMALL_CONFIG)["holds"] is True


def test_margins_are_those_of_the_construction(here: Path) -> None:
    facts = found(SMALL_CONFIG)
    assert (facts["flow"], facts["points"], facts["clusters"]) == ("separated", 21, 2)
    for layer in range(2):
        margin = finding(facts, f"separated, layer {layer}")["margin"]
        assert margin >= facts["notes"][f"construct margin of layer {layer}"] - 1e-12
        assert margin > 0.0


def test_a_failing_hypothesis_names_the_point_the_amount_and_a_remedy(here: Path) -> None:
    facts = found(NOT_SEPARATED)
    assert facts["holds"] is False
    failing = finding(facts, "separated, layer 0")
    assert failing["holds"] is False
    assert failing["source"] == "(3.3)"
    assert failing["margin"] == pytest.approx(-0.25)
    assert "point 4 of other, coordinate 0" in failing["closest"]
    assert "initial.construct: separated" in failing["remedy"]
    assert finding(facts, "separated, layer 1")["margin"] == pytest.approx(0.1)
    assert any("(3.3)" in warning for warning in facts["warnings"])
    text = check(NOT_SEPARATED)
    assert text.exit_code == 0
    assert "FAILS" in text.stdout
    assert "1 hypothesis is not met." in re.sub(r"\s+", " ", text.stdout)


def test_the_remedies_it_names_mend_it(here: Path) -> None:
    moved = found(NOT_SEPARATED, "--set", "initial.bias.0.0=0.51")
    assert moved["holds"] is True
    constructed = ["initial.rotation=null", "initial.bias=null", "initial.construct=separated"]
    settings = [part for override in constructed for part in ("--set", override)]
    assert found(NOT_SEPARATED, *settings)["holds"] is True


def test_a_run_that_would_be_refused_for_a_hypothesis_is_checked(here: Path) -> None:
    stopping = "integrator.on_separation_lost=stop"
    run = CliRunner().invoke(app, ["run", "study.yaml", "--set", stopping])
    assert run.exit_code == 2
    assert found(NOT_SEPARATED, "--set", stopping)["findings"] == found(NOT_SEPARATED)["findings"]
    stopping_text = NOT_SEPARATED + "integrator: {on_separation_lost: stop}\n"
    assert found(stopping_text)["findings"] == found(NOT_SEPARATED)["findings"]


def test_the_general_flow_needs_nothing_and_says_where_the_other_would_hold(here: Path) -> None:
    facts = found(NOT_SEPARATED.replace("separated", "general"))
    assert facts["holds"] is True
    assert finding(facts, "separated, layer 0")["needed"] is False
    assert finding(facts, "separated, layer 0")["margin"] == pytest.approx(-0.25)
    assert "needs no hypothesis" in check(NOT_SEPARATED.replace("separated", "general")).stdout


@pytest.mark.parametrize(("scale", "holds"), [(2.0, True), (0.7, False), (0.1, True)])
def test_the_spectral_gap_of_the_collapsed_flow(here: Path, scale: float, holds: bool) -> None:
    """BBᵀ has the eigenvalues 0.25 and 1, WᵀW = scale²: both signs of the hypothesis, and neither."""
    facts = found(f"""\
flow: collapsed
labels: [[1, 0], [0, 1]]
initial: {{bias: [[0.5, 0], [0, 1]], output_weight: {{scale: {scale}}}}}
""")
    gap = finding(facts, "spectral gap")
    assert facts["points"] == 0
    assert (gap["holds"], facts["holds"]) == (holds, holds)
    assert gap["margin"] == pytest.approx(max(0.25 - scale**2, scale**2 - 1.0))
    assert bool(gap["remedy"]) is not holds


def test_the_collapsed_data(here: Path) -> None:
    path = ROOT / "configs" / "collapsed-iris.yaml"
    held = json.loads(CliRunner().invoke(app, ["check", str(path), "--json"]).stdout)
    assert finding(held, "collapsed data")["margin"] == pytest.approx(held["notes"]["construct margin"])
    given = ["initial.construct=null", "initial.rotation=identity", "initial.bias=[[3, 3], [3, 3]]"]
    settings = [part for override in given for part in ("--set", override)]
    lost = json.loads(CliRunner().invoke(app, ["check", str(path), "--json", *settings]).stdout)
    assert lost["holds"] is False
    assert finding(lost, "collapsed data")["margin"] < 0.0


def test_the_positive_sectors_and_the_rank_of_the_clustered_flow(here: Path) -> None:
    text = """\
flow: clustered
clusters:
  - {name: a, points: [[1, 0, 1], [2, 0, 2]]}
  - {name: b, points: [[0, 1, 1]]}
initial: {bias: [[1, 1, 1], [0.5, 2, -1.5]]}
"""
    facts = found(text)
    built = config.build(config.load(here / "study.yaml"))
    sectors, rank = finding(facts, "positive sectors"), finding(facts, "full rank")
    least = min(float((built.problem.x + beta).min()) for beta in built.problem.beta0)
    assert sectors["margin"] == pytest.approx(least) == -0.5
    assert "layer 1, coordinate 2" in sectors["closest"]
    assert rank["holds"] is False
    assert "rank 2 of 3" in rank["closest"]
    assert finding(found(text, "--set", "initial.bias=[[1, 1, 1], [1, 1, 1]]"), "positive sectors")["holds"]


def test_numbers_that_json_has_not_are_null(here: Path) -> None:
    facts = found("flow: separated\nclusters: [{points: [[1.0, 2.0]]}]\n")
    assert np.isfinite([each["margin"] for each in facts["findings"] if each["margin"] is not None]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flow: seperated\n", "study.yaml:1: flow: 'seperated' is not allowed (did you mean 'separated'?)"),
        ("flow: general\n", "clusters is missing"),
        (
            SMALL_CONFIG.replace("center: [0.0, 2.0]", "center: [2.0, 0.0]").replace("0.5", "0.0"),
            "study.yaml:5: initial.construct: start: mixed cannot be for cluster 0",
        ),
    ],
)
def test_errors_are_those_of_run(here: Path, text: str, message: str) -> None:
    done = check(text)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert CliRunner().invoke(app, ["run", "study.yaml"]).stderr == done.stderr
