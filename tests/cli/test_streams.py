"""Closed, full and narrow-minded streams: what cannot be shown does not end a run, and pipes are pipes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from command_line import SMALL_CONFIG, command, environment, truncflow

#: A locale whose encoding has neither ℓ nor −.
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    (folder / "small.yaml").write_text(SMALL_CONFIG)
    assert truncflow("run", "small.yaml", cwd=folder).returncode == 0
    return folder


def in_ascii(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments), cwd=folder, env={**environment(), **ASCII}, capture_output=True, timeout=60
    )


def test_a_report_that_is_read_in_part_is_no_error(folder: Path) -> None:
    with subprocess.Popen(
        command("report", *["runs/small.h5"] * 20),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "20 runs\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_that_nobody_reads_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            command(*arguments), env=environment(), stdout=closed, stderr=subprocess.PIPE, timeout=60
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_run_does_not_end_because_nobody_reads_what_it_says(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("run", "small.yaml", "-o", "unheard.h5"),
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stdout) == (0, "unheard.h5\n")


def test_json_is_json_in_every_encoding(folder: Path) -> None:
    there = in_ascii(folder, "report", "runs/small.h5", "--json")
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == json.loads(
        truncflow("report", "runs/small.h5", "--json", cwd=folder).stdout
    )


def test_a_report_in_ascii(folder: Path) -> None:
    done = in_ascii(folder, "report", "runs/small.h5")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


def test_a_file_name_that_is_not_text(folder: Path) -> None:
    name = b"odd-\xff.h5"
    done = subprocess.run(
        [*map(os.fsencode, command("run", "small.yaml", "-o")), name],
        cwd=folder,
        env=environment(),
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, name + b"\n")
    facts = json.loads(truncflow("run", "small.yaml", "-o", os.fsdecode(name), "--json", cwd=folder).stdout)
    assert os.fsencode(facts["path"]) == name
