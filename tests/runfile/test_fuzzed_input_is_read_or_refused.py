"""Hostile configs, data and run files are read, or refused in one sentence: a part of ``python -m tests.faults``."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import samples
from faults.worker import PARTS, outcome

SEED = 11
#: Cases of each part; those of a run file are drawn and written out, and take the longest.
COUNTS = {"yaml": 120, "data": 100, "hdf5": 80}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> samples.Samples:
    return samples.make(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("part", PARTS)
def test_input_does_no_harm(
    part: str, good: samples.Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lost = {}
    for number in range(COUNTS[part]):
        folder = tmp_path / str(number)
        folder.mkdir()
        if faults := outcome(part, SEED, number, folder, good):
            lost[number] = faults
    assert lost == {}
