"""Killed, interrupted and terminated at random moments: nothing is lost. ``tests.faults.kill_and_resume``, in short."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.kill_and_resume import run

KINDS = ["pins", "batched", "switch", "general", "collapsed"]


@pytest.mark.parametrize("name", KINDS)
def test_every_run_ends_as_if_nobody_had_stopped_it(name: str, tmp_path: Path) -> None:
    [(_, counts, faults)] = run(3, 1, tmp_path, [name])
    assert faults == []
    assert counts.tried >= 3
    assert counts.lost == 0
