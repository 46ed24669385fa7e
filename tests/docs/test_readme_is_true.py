"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command_line import ROOT, environment, truncflow

import truncflow_cli
from truncflow_cli.cli.guard import ExitCode

TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    return tmp_path


def python(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def shell(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run shell lines in which ``truncflow`` is this checkout's."""
    start = f'truncflow() {{ "{sys.executable}" -m truncflow_cli "$@"; }}; '
    return subprocess.run(
        ["bash", "-e", "-c", start + text], cwd=folder, env=environment(), capture_output=True, text=True
    )


def test_the_first_two_shell_blocks_are_a_line_each() -> None:
    for block in blocks("sh")[:2]:
        assert block.count("\n") == 1
        assert block.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_the_main_job(checkout: Path) -> None:
    line = blocks("sh")[0].partition("&& .venv/bin/truncflow")[2]
    for _ in range(2):
        done = shell(f"truncflow {line.replace('.venv/bin/', '')}", checkout)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("runs/iris.h5\n")
        assert len(done.stdout.splitlines()) > 20


def test_the_labelled_table_and_the_commands_on_it(checkout: Path) -> None:
    (checkout / "wine.yaml").write_text(blocks("yaml")[0])
    assert len(blocks("yaml")[0].splitlines()) == 5
    for line in blocks("sh")[2].splitlines():
        done = shell(line, checkout)
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr
    assert {entry.name for entry in checkout.iterdir()} == {"configs", "runs", "trajectory.csv", "wine.yaml"}


def test_the_python_examples(checkout: Path) -> None:
    own, xarray = blocks("python")
    assert len([line for line in own.splitlines() if line]) <= 10
    for _ in range(2):
        done = python(own, checkout)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("complete ")
    shell("truncflow run configs/iris.yaml -q", checkout)
    done = python(xarray, checkout)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_is_named_and_every_name_is_a_command(tmp_path: Path) -> None:
    overview = truncflow("--help", cwd=tmp_path).stdout.partition("Commands:")[2]
    offered = set(re.findall(r"^  (\w+) ", overview, flags=re.MULTILINE))
    assert set(re.findall(r"truncflow (\w+) (?:runs/|wine|configs/|NAME)", TEXT)) <= offered
    for name in offered:
        assert re.search(rf"`?truncflow {name}\b", TEXT), f"the README does not name `{name}`"


def test_every_exit_code_is_listed() -> None:
    listed = {
        int(code)
        for codes in re.findall(r"^\| (\d+(?:, \d+)*) \|", TEXT, re.MULTILINE)
        for code in codes.split(",")
    }
    assert listed == set(ExitCode)


def test_what_it_points_to_is_there() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", TEXT)
    assert len(targets) >= 3
    for target in targets:
        assert (ROOT / target).exists(), target
    table = TEXT.partition("| config | what it shows |")[2].partition("\n\n")[0]
    assert {path.name for path in (ROOT / "configs").glob("*.yaml")} == set(
        re.findall(r"`([\w-]+\.yaml)`", table)
    )
    assert (ROOT / "truncflow_cli/docs/two-clusters.svg").stat().st_size < 60_000


def test_the_version_has_one_source() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "truncflow_cli/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", truncflow_cli.__version__)
