"""Nothing in a figure is cut off, covered, or drawn where it means something else, whatever the run is like."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from figure_runs import failed, run_of

from truncflow_cli.report.figures import fraction, loss, truncation
from truncflow_cli.report.figures.style import as_it_stands
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.figures.timeline import Timeline, settled_at

LONG = "a_cluster_with_a_long_name, and_another_one_that_is_as_long"


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().texts]


def test_events_after_the_last_saved_time_lie_on_the_axis() -> None:
    run = failed()
    subject = Subject(run)
    assert run.events["s"][-1] > run.s[-1]
    assert subject.timeline.end == run.events["s"][-1]
    assert subject.timeline.positions(run.events["s"]).max() == 1.0
    for figure in (loss.figure(subject), fraction.figure(subject), truncation.figure(subject)):
        assert "run failed, saved up to $s$ = " in figure.get_suptitle()
        assert all(axes.get_xlim()[1] == run.events["s"][-1] for axes in figure.axes if axes.get_xlabel())


def test_the_axis_is_stretched_where_the_loss_settles_at_its_very_start() -> None:
    s = np.linspace(0.0, 1000.0, 401)
    for rate, stretched in ((1.0, True), (0.01, False), (0.0, False)):
        falling = np.exp(-rate * s)
        timeline = Timeline.suiting(s, np.empty(0), settled_at(s, falling))
        assert (timeline.linear_to is not None) == stretched
    assert Subject(run_of("collapsed")).timeline.linear_to is None


def test_a_name_with_an_underscore_in_front_is_in_the_legend(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("separated")
    monkeypatch.setitem(run.notes, "clusters", "_hidden, seen")
    assert any("_hidden" in text for text in texts(loss.figure(Subject(run)).axes[0]))


def test_names_are_shown_as_they_stand() -> None:
    assert as_it_stands("$5_中") == r"\$5_?"
    assert as_it_stands("_a").endswith("_a")
    assert not as_it_stands("_a").startswith("_")
