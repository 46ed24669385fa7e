"""The shell loop in the documentation makes the very files of the sweep beside it."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

from command_line import ROOT, environment, truncflow

_PAGES = (ROOT / "README.md", ROOT / "truncflow_cli/docs/sweep.md")
_BLOCK = re.compile(r"^```sh\n(for .*?)^```$", re.MULTILINE | re.DOTALL)


def loop() -> str:
    """Return the loop under the heading "Sweeps" of the first page that has one."""
    for page in _PAGES:
        for section in re.split(r"^#+ ", page.read_text(), flags=re.MULTILINE):
            if section.startswith("Sweeps") and (found := _BLOCK.search(section)):
                return found[1]
    raise AssertionError("no page has a loop under the heading Sweeps")


def test_the_loop_and_the_sweep_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    shutil.copy(ROOT / "configs" / "pins.yaml", tmp_path / "configs")
    assert "seed in 0 1 2 3;" in loop()
    shorter = loop().replace("seed in 0 1 2 3;", "seed in 1;")
    start = f'truncflow() {{ "{sys.executable}" -m truncflow_cli "$@"; }}; '
    done = subprocess.run(
        ["bash", "-e", "-c", start + shorter], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with (tmp_path / "runs/pins-sweep/table.csv").open(newline="") as stream:
        by_hand = {row["file"]: row for row in csv.DictReader(stream)}

    grids = ("--grid", "seed=1", "--grid", "integrator.rtol=1e-6,1e-9")
    done = truncflow("sweep", "configs/pins.yaml", *grids, cwd=tmp_path)
    assert done.returncode == 0
    assert "2 of 2 runs complete (2 already there)" in done.stderr
    with (tmp_path / "runs/pins-sweep/sweep.csv").open(newline="") as stream:
        swept = {row["file"]: row for row in csv.DictReader(stream)}
    assert by_hand.keys() == swept.keys()
    for file, row in by_hand.items():
        assert {key: row[key] for key in ("loss_last", "events_pin", "seed")} == {
            key: swept[file][key] for key in ("loss_last", "events_pin", "seed")
        }


def test_every_page_shows_the_same_loop() -> None:
    found = [
        _BLOCK.search(section) for page in _PAGES for section in re.split(r"^#+ Sweeps", page.read_text())
    ]
    assert len({match[1] for match in found if match is not None and "pins-sweep" in match[1]}) == 1
