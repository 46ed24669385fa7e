"""A page has at most a few megabytes, however large the run, and says what it leaves out."""

from __future__ import annotations

import numpy as np
import page_samples as samples
import pytest
from page_reading import Page
from recorded_runs import damaged

from truncflow_cli.report.page.document import MOST_CONFIG, MOST_WARNINGS, page
from truncflow_cli.report.page.frames import MOST_POINTS, MOST_TIMES
from truncflow_cli.report.scene import spread

#: Bytes that no page exceeds.
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def large():
    return samples.made_up(10_000, 100_000, 50_000)


@pytest.fixture(scope="module")
def text(large):
    return page(large)


def test_the_largest_runs_have_small_pages(text):
    assert len(text.encode()) < MOST_BYTES
    wide = samples.made_up(2_000, 700, 5_000, dim=20, clusters=20)
    assert len(page(wide).encode()) < MOST_BYTES


def test_what_is_left_out_is_said(large, text):
    read = Page(text)
    shown = len(read.data["s"])
    assert shown <= MOST_TIMES
    assert f"{shown} of the 100,000 saved times are shown" in read.words
    assert f"{MOST_POINTS} of the 10,000 points are drawn" in read.words
    assert "The first 2,000 of 50,000 events are listed" in read.words
    assert "Ticks on the axis are times at which events came" in read.words


def test_what_is_counted_is_counted_over_everything(large, text):
    data = Page(text).data
    assert np.sum(data["events"]["counts"]) == data["events"]["total"] == large.events.size
    assert data["s"][0] == large.s[0] and data["s"][-1] == large.s[-1]
    assert set(data["panels"][0]["cluster"]) == {0, 1}


def test_a_small_run_is_shown_whole():
    run = samples.solved("separated")
    read = Page(page(run))
    assert len(read.data["s"]) == run.s.size
    assert len(read.data["panels"][0]["numbers"]) == run.n_points
    assert not read.all("p", class_="note")


def test_many_clusters_layers_and_coordinates_are_cut_and_that_is_said():
    read = Page(page(samples.made_up(100, 20, 10, dim=12, clusters=15)))
    assert "The first 8 of 15 clusters are drawn" in read.words
    assert "The first 8 of 12 coordinates are drawn" in read.words
    assert "The first 6 of 15 layers have pictures" in read.words
    assert "Orthants of the first 6 of 15 layers are drawn, the first 6 of 12 edges of each" in read.words
    assert max(len(chart["curves"]) for chart in read.data["charts"]) <= 9


def test_a_legend_and_the_warnings_say_how_many_they_leave_out():
    run = samples.made_up(100, 20, 10, clusters=30)
    read = Page(page(damaged(run, warnings=tuple(f"number {k}" for k in range(MOST_WARNINGS + 3)))))
    assert "cluster 23and 6 more" in read.words
    assert f"Warning: number {MOST_WARNINGS - 1} 3 more warnings:" in read.words


def test_a_long_config_is_cut():
    run = samples.solved("clustered")
    config = run.config + "# " + "x" * 2 * MOST_CONFIG + "\n"
    read = Page(page(damaged(run, config=config)))
    assert next(e for e in read.all("code") if "pre" in e.parents).text == config[:MOST_CONFIG]
    assert f"The first {MOST_CONFIG:,} of its {len(config):,} characters" in read.words


@pytest.mark.parametrize(("count", "most"), [(0, 5), (1, 5), (5, 5), (7, 5), (100_000, 601)])
def test_times_are_spread_evenly_with_both_ends(count, most):
    chosen = spread(count, most)
    assert len(chosen) == min(count, most)
    assert not count or (chosen[0] == 0 and chosen[-1] == count - 1)
    assert len(chosen) < 2 or np.ptp(np.diff(chosen)) <= 1
