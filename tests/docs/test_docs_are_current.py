"""`truncflow docs`: the generated pages are what would be generated now, and the examples in all of them work."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import ROOT, command, environment, truncflow
from typer.testing import CliRunner

from tests.docs.generate.parts import outdated
from truncflow_cli import config
from truncflow_cli.cli.app import app
from truncflow_cli.cli.guard import ExitCode
from truncflow_cli.docs import pages
from truncflow_cli.report.symbols import ascii_only


def blocks(topic: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", pages.text(topic), flags=re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


@pytest.fixture(scope="module", autouse=True)
def keep_signal_handler() -> Iterator[None]:
    """Put back the handler that `run` sets for its process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the configs and the run of iris."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "configs", folder / "configs")
    done = truncflow("run", "configs/iris.yaml", "-q", cwd=folder)
    assert done.returncode == 0, done.stderr
    yield folder


def python(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_generated_pages_are_current() -> None:
    assert outdated() == [], "run python -m tests.docs.generate"


def test_every_exit_code_has_its_meaning() -> None:
    codes = re.findall(r"^- (\d+): \S", pages.text("commands").partition("## Exit codes")[2], re.MULTILINE)
    assert list(map(int, codes)) == list(ExitCode)


def test_every_page_is_listed_and_every_listed_page_is_there() -> None:
    files = {path.stem for path in (ROOT / "truncflow_cli" / "docs").glob("*.md")}
    assert files == set(pages.TOPICS)
    listing = CliRunner().invoke(app, ["docs"]).stdout.splitlines()
    assert [line.split()[0] for line in listing] == list(pages.TOPICS)
    assert max(map(len, listing)) <= 100


@pytest.mark.parametrize("topic", pages.TOPICS)
def test_a_page_is_markdown_in_a_pipe(topic: str) -> None:
    done = CliRunner().invoke(app, ["docs", topic])
    assert (done.exit_code, done.stdout) == (0, pages.text(topic))
    assert done.stdout.startswith("# ")
    assert done.stdout.count("\n# ") == done.stdout.count("\n# yaml-language-server")  # one title
    assert "?" not in "".join(ascii_only(character) for character in done.stdout if not character.isascii())
    for formula in re.findall(
        r"^    .*$", re.sub(r"```.*?```", "", done.stdout, flags=re.DOTALL), re.MULTILINE
    ):
        assert len(formula) <= 78, formula  # fits a terminal


def test_an_unknown_page_is_told_the_nearest() -> None:
    done = CliRunner().invoke(app, ["docs", "galery"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "did you mean 'gallery'?" in done.stderr


def test_a_page_is_typeset_at_a_terminal(tmp_path: Path) -> None:
    main, other = pty.openpty()
    with subprocess.Popen(
        command("docs", "sweep"),
        cwd=tmp_path,
        env={**environment(), "TERM": "xterm", "COLUMNS": "60", "NO_COLOR": "1"},
        stdout=other,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(other)
        output = b""
        while True:
            try:
                piece = os.read(main, 65536)
            except OSError:
                break
            if not piece:
                break
            output += piece
        assert process.stderr.read() == b""
    os.close(main)
    text = re.sub(r"\x1b\[[0-9;]*m", "", output.decode())
    assert "```" not in text
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", output.decode())  # NO_COLOR
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 60


def test_an_encoding_without_symbols_gets_them_spelt_out(tmp_path: Path) -> None:
    done = subprocess.run(
        command("docs", "mathematics"),
        cwd=tmp_path,
        env={**environment(), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert b"beta^(l)" in done.stdout


def test_every_key_of_a_config_is_explained() -> None:
    text = pages.text("config")
    schema = config.json_schema()
    for name in schema["properties"]:
        assert f"\n- `{name}`: " in text
    for model in ("Initial", "Construction", "Integrator", "Save", "ShapedCluster", "LabelledTable"):
        for name in schema["$defs"][model]["properties"]:
            assert f"\n- `{name}`: " in text


def test_reading_with_xarray_takes_five_lines_and_the_examples_run(checkout: Path) -> None:
    examples = blocks("run-file", "python")
    assert len(examples) == 3
    assert len(examples[0].splitlines()) <= 5
    together = "\n".join(examples)
    done = python(together, checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert "complete 2.48" in done.stdout


def test_the_formula_is_what_the_difference_quotient_says(tmp_path: Path) -> None:
    (example,) = blocks("mathematics", "python")
    assert "truncflow" not in example
    done = python(example, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = re.findall(r"quotient (\S+)  corrected (\S+)  printed (\S+)", done.stdout)
    assert len(rows) == 3
    for quotient, corrected, printed in (map(float, row) for row in rows):
        assert abs(quotient - corrected) < 1e-8
        assert abs(quotient - printed) > 1e-2


def test_the_three_runs_compare_as_it_says(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    (example,) = blocks("mathematics", "sh")
    for line in example.splitlines():
        done = CliRunner().invoke(app, [*shlex.split(line)[1:], "--json"])
        assert done.exit_code == 0, done.stderr
    _, general, printed = json.loads(done.stdout)
    assert all(each["largest"] < 1e-10 for each in general["comparison"]["differences"].values())
    events = general["comparison"]["events"]
    assert (events["matched"], events["parting"], events["first_only"]) == (40, None, 0)
    assert events["largest_shift"] < 1e-11
    assert printed["comparison"]["events"]["parting"]["in_common_before"] == 0
    assert f"{printed['loss']['last']:.3f}" == "1.194"
    assert f"{printed['energy_balance']['largest']:.1f}" == "1.2"
    page = pages.text("mathematics")
    assert all(number in page for number in ("1.194 at s = 10", "off by 1.2", "all 40 events to 1e-11"))


def test_the_configs_of_the_gallery_are_those_that_are_shipped() -> None:
    titles = re.findall(r"^## (\S+)$", pages.text("gallery"), flags=re.MULTILINE)
    assert sorted(titles) == sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    for title in titles:
        assert f"`truncflow run configs/{title}.yaml" in pages.text("gallery")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["truncflow", "traj"], {"trajectory"}),
        (["truncflow", "docs", "ga"], {"gallery"}),
        (["truncflow", "new", "x", "--flow", "c"], {"collapsed", "clustered"}),
        (["truncflow", "report", "--ani"], {"--animate"}),
    ],
)
def test_bash_completes(tmp_path: Path, words: list[str], expected: set[str]) -> None:
    done = subprocess.run(
        command(),
        cwd=tmp_path,
        env={
            **environment(),
            "_TRUNCFLOW_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(done.stdout.split()) == expected
    assert done.stderr == ""
