"""What a sweep shows on a terminal while it goes on."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

from command_line import ROOT, command, environment


def shown_by(*words: str, cwd: Path) -> str:
    """Run a command whose stderr is a terminal, and return what it shows there."""
    terminal, stderr = pty.openpty()
    variables = {**environment(), "TERM": "xterm-256color", "COLUMNS": "150", "NO_COLOR": "1"}
    with subprocess.Popen(command(*words), cwd=cwd, env=variables, stdout=subprocess.DEVNULL, stderr=stderr):
        os.close(stderr)
        shown = b""
        try:
            while part := os.read(terminal, 4096):
                shown += part
        except OSError:  # a terminal without a writer answers so
            pass
        os.close(terminal)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_it_tells_how_many_are_done_which_are_under_way_and_what_went_wrong(tmp_path: Path) -> None:
    config = str(ROOT / "configs/general-wine.yaml")
    # In numpy each run takes a second or more: long enough to be seen under way.
    slow = ("--set", "integrator.backend=numpy", "--set", "integrator.s_end=3")
    grid = ("--grid", "integrator.rtol=1e-9,1e-10,1e-11", "--workers", "1", "--out", "kept")
    words = ("sweep", config, *slow, *grid)
    first = shown_by(*words, cwd=tmp_path)
    assert re.search(r"general-wine: 1 process, into kept", first)
    assert re.search(r"3 of 3 runs, 3 complete", first)
    assert re.search(r"so far +\S+ left", first)
    assert re.search(r"\d+% integrator.rtol=1e-", first)  # a run under way
    one = next((tmp_path / "kept").glob("*1e-10*.h5"))
    one.write_bytes(b"no run file")
    again = shown_by(*words, cwd=tmp_path)
    assert re.search(r"3 of 3 runs, 2 complete \(2 already there\), 1 refused", again)
    assert re.search(r"refused: \S*1e-10", again)
