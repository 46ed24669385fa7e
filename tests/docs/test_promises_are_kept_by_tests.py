"""Each promise of ``truncflow docs promises`` names the tests that keep it, and there are such tests."""

from __future__ import annotations

import re

import pytest
from command_line import ROOT

from truncflow_cli.docs import pages

ROWS = [
    line for line in pages.text("promises").splitlines() if line.startswith("| ") and "kept by" not in line
]


def test_there_are_promises() -> None:
    assert len(ROWS) >= 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:60])
def test_the_tests_of_a_promise_exist(row: str) -> None:
    promise, kept_by = row.strip("| ").split(" | ")
    assert promise.endswith(".")
    names = re.findall(r"`(tests/\w+/test_\w+\.py)`", kept_by)
    assert names
    for name in names:
        text = (ROOT / name).read_text()
        assert "def test_" in text, name
