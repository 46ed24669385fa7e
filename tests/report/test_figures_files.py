"""``draw`` writes vector and raster files: whole, the same each time, and nothing else in the folder is touched."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from figure_runs import run_of

from truncflow_cli.errors import UserError
from truncflow_cli.report import figures
from truncflow_cli.report.figures import catalog

START = {"pdf": b"%PDF-", "svg": b"<?xml", "png": b"\x89PNG"}


@pytest.fixture(autouse=True)
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the loss alone: the files of the others are made the same way."""
    monkeypatch.setattr(catalog, "FIGURES", {"loss": catalog.FIGURES["loss"]})


def test_each_figure_comes_in_three_formats(tmp_path: Path) -> None:
    files = list(figures.draw(run_of("collapsed"), tmp_path / "new" / "folder"))
    assert [file.name for file in files] == [f"collapsed-loss.{ending}" for ending in START]
    for file in files:
        assert file.read_bytes().startswith(START[file.suffix[1:]])
    assert {file.name for file in files[0].parent.iterdir()} == {file.name for file in files}


def test_files_are_the_same_each_time_and_in_threads(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "separated-loss.png").write_text("an older picture")
    run = run_of("separated")
    folders = [tmp_path, tmp_path / "a", tmp_path / "b"]
    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(lambda folder: list(figures.draw(run, folder)), folders))
    for files in zip(*made, strict=True):
        assert len({file.read_bytes() for file in files}) == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(UserError, match=f"{taken} is not a folder"):
        list(figures.draw(run_of("collapsed"), taken))
    blocked = tmp_path / "collapsed-loss.pdf"
    blocked.mkdir()
    with pytest.raises(UserError, match=f"cannot write {blocked}: is a directory"):
        list(figures.draw(run_of("collapsed"), tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collapsed-loss.pdf", "taken"]


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pip install 'truncflow\[plot\]'"):
        list(figures.draw(run_of("collapsed"), tmp_path))
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_imported_when_something_is_drawn_only() -> None:
    code = (
        "import sys, truncflow_cli.report.figures, truncflow_cli.cli.drawing; "
        "sys.exit('matplotlib' in sys.modules or 'PIL' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
