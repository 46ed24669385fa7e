"""Nothing in a figure is cut off, covered, or drawn where it means something else, whatever the run is like."""

from __future__ import annotations

from typing import Any

import pytest
from figure_runs import run_of

from truncflow_cli.report.figures import loss
from truncflow_cli.report.figures.style import as_it_stands
from truncflow_cli.report.figures.subject import Subject

LONG = "a_cluster_with_a_long_name, and_another_one_that_is_as_long"


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().texts]


def test_a_name_with_an_underscore_in_front_is_in_the_legend(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("separated")
    monkeypatch.setitem(run.notes, "clusters", "_hidden, seen")
    assert any("_hidden" in text for text in texts(loss.figure(Subject(run)).axes[0]))


def test_names_are_shown_as_they_stand() -> None:
    assert as_it_stands("$5_中") == r"\$5_?"
    assert as_it_stands("_a").endswith("_a")
    assert not as_it_stands("_a").startswith("_")
