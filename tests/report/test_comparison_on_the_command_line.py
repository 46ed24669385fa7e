"""`truncflow report` of several runs, and of the files that it draws: what is printed where, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_file_samples import made_up_chunks, made_up_problem
from typer.testing import CliRunner, Result

from truncflow_cli import runfile
from truncflow_cli.cli.app import app
from truncflow_cli.cli.drawing import folder_names
from truncflow_cli.report import figures, page
from truncflow_cli.report.figures import animation
from truncflow_cli.run_data import Certificate

CONFIG = "flow: separated\nseed: {seed}\nintegrator: {{rtol: 1.0e-9}}\n"


def write_run(path: Path, seed: int = 0, verdict: str = "holds", flow: str = "separated") -> Path:
    path.parent.mkdir(exist_ok=True)
    problem = made_up_problem(flow)
    with runfile.RunWriter(path, problem, CONFIG.format(seed=seed)) as writer:
        for chunk in made_up_chunks(problem):
            writer.append(chunk)
        writer.finish("complete", lambda run: [Certificate("c", "s", "p", "h", verdict, 1.0, 1.0, 0.0)])
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a", "b", "sub/a")):
        write_run(tmp_path / f"{name}.h5", seed)
    return tmp_path


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Replace what draws a single run; return what was asked of it."""
    asked: list[tuple[str, str]] = []

    def draw(run: runfile.Run, folder: Path) -> Iterator[Path]:
        asked.append((str(run.path), str(folder)))
        yield folder / f"{run.path.stem}-loss.png"

    def write_page(run: runfile.Run, path: Path) -> Path:
        asked.append((str(run.path), str(path)))
        return path.resolve()

    def animate(run: runfile.Run, path: Path, progress: object) -> Path:
        progress(1, 2)
        asked.append((str(run.path), str(path)))
        return path

    monkeypatch.setattr(figures, "draw", draw)
    monkeypatch.setattr(page, "write_page", write_page)
    monkeypatch.setattr(animation, "animate", animate)
    return asked


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments])


def test_several_runs_are_compared_with_the_first(here: Path) -> None:
    done = invoke("a.h5", "b.h5", "sub/a.h5")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("3 runs\n")
    for line in ("  seed: 0 (A); 1 (B); 2 (C)", "B against A", "C against A"):
        assert f"\n{line}\n" in done.stdout
    assert "compared at the 11 saved times of both" in done.stdout
    assert "All crossings agree" in done.stdout


def test_json_of_several_has_the_comparison_of_each_with_the_first(here: Path) -> None:
    found = json.loads(invoke("a.h5", "b.h5", "--json").stdout)
    assert "comparison" not in found[0]
    comparison = found[1]["comparison"]
    assert comparison["with"] == "a.h5"
    assert comparison["config"] == {"seed": {"first": 0, "second": 1}}
    assert comparison["differences"]["loss"]["largest"] == 0.0
    assert comparison["events"]["matched"] == found[0]["events"]["total"]
    assert json.loads(invoke("a.h5", "--json").stdout) == found[0]


def test_csv_has_a_row_a_run_with_what_differs(here: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(invoke("a.h5", "b.h5", "sub/a.h5", "--csv").stdout)))
    assert [row["file"] for row in rows] == ["a.h5", "b.h5", "sub/a.h5"]
    needed = {"flow", "seed", "loss_first", "loss_last", "events_truncate", "max_abs_D", "certificate_c"}
    assert needed <= set(rows[0])


def test_strict_names_each_violation_once(here: Path) -> None:
    write_run(here / "bad.h5", verdict="violated")
    done = invoke("a.h5", "bad.h5", "--strict")
    assert (done.exit_code, done.stderr) == (4, "violated: bad.h5: c\n")
    assert "VIOLATED in B: c" in done.stdout


def test_the_files_drawn_are_what_is_printed(here: Path, drawn: list[tuple[str, str]]) -> None:
    done = invoke("a.h5", "--figures", "figs", "--html", "a.html", "--animate", "a.gif")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "figs/a-loss.png\na.html\na.gif\n"
    assert drawn == [("a.h5", "figs"), ("a.h5", "a.html"), ("a.h5", "a.gif")]


def test_with_json_or_csv_the_files_are_said_on_stderr(here: Path, drawn: list[tuple[str, str]]) -> None:
    done = invoke("a.h5", "--html", "a.html", "--json")
    assert json.loads(done.stdout)["file"] == "a.h5"
    assert done.stderr == "wrote a.html\n"
    done = invoke("a.h5", "--html", "a.html", "--csv", "--strict")
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == "wrote a.html\n"


def test_figures_of_several_runs_are_in_a_folder_each_with_the_comparison(
    here: Path, drawn: list[tuple[str, str]]
) -> None:
    done = invoke("a.h5", "b.h5", "sub/a.h5", "--figures", "figs")
    assert (done.exit_code, done.stderr) == (0, "")
    assert [folder for _, folder in drawn] == ["figs/a", "figs/b", "figs/a-2"]
    printed = [Path(line) for line in done.stdout.splitlines()]
    names = [path.name for path in printed[3:]]
    assert names == [
        f"comparison-{name}.{ending}"
        for name in ("loss", "distance", "events-b", "events-a-2")
        for ending in ("pdf", "svg", "png")
    ]
    assert all(path.stat().st_size > 1000 for path in printed[3:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["a.h5", "b.h5", "--animate", "x.gif"],
            "--animate shows one run, not 2; call report for each of them",
        ),
        (["a.h5", "b.h5", "--html", "x.html"], "--html shows one run, not 2; call report for each of them"),
        (["a.h5", "--html", "b.h5"], "--html b.h5: the name of the file has to end in .html or .htm"),
        (["a.h5", "--animate", "b.h5"], "--animate b.h5: the name of the file has to end in .gif or .mp4"),
        (["a.h5", "--figures", "b.h5"], "--figures b.h5: a file; name the folder to write the figures to"),
        (["a.h5", "none.h5"], "none.h5: no such file"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_nothing_is_printed(
    here: Path, arguments: list[str], message: str
) -> None:
    before = (here / "b.h5").read_bytes()
    done = invoke(*arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"error: {message}\n")
    assert (here / "b.h5").read_bytes() == before


def test_folders_are_told_apart() -> None:
    paths = [Path("a/x.h5"), Path("b/x.h5"), Path("x-2.h5"), Path("c/x.h5")]
    assert folder_names(paths) == ["x", "x-2", "x-2-2", "x-3"]
