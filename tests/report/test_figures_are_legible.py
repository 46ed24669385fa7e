"""Nothing in a figure is cut off, covered, or drawn where it means something else, whatever the run is like."""

from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import numpy as np
import pytest
from figure_runs import failed, run_of
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from truncflow_cli.report.compare import drawings
from truncflow_cli.report.compare.compare import Comparison, Member, compare, member
from truncflow_cli.report.figures import curves, geometry, loss, motion, truncation
from truncflow_cli.report.figures.panels import LONG_HANDLE, curve, legend, legend_below, remark, value_axis
from truncflow_cli.report.figures.style import DPI, applied, as_it_stands, names_of, new_figure
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.figures.timeline import Timeline, settled_at
from truncflow_cli.report.summary import Summary
from truncflow_cli.run_data import Run

LONG = "a_cluster_with_a_long_name, and_another_one_that_is_as_long"


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().texts]


def test_events_after_the_last_saved_time_lie_on_the_axis() -> None:
    run = failed()
    subject = Subject(run)
    assert run.events["s"][-1] > run.s[-1]
    assert subject.timeline.end == run.events["s"][-1]
    assert subject.timeline.positions(run.events["s"]).max() == 1.0
    for figure in (loss.figure(subject), truncation.fraction(subject), truncation.figure(subject)):
        assert "run failed, saved up to $s$ = " in figure.get_suptitle()
        assert all(axes.get_xlim()[1] == run.events["s"][-1] for axes in figure.axes if axes.get_xlabel())


def test_the_axis_is_stretched_where_the_loss_settles_at_its_very_start() -> None:
    s = np.linspace(0.0, 1000.0, 401)
    for rate, stretched in ((20.0, True), (1.0, True), (0.01, False), (0.0, False)):
        falling = np.exp(-rate * s)
        timeline = Timeline.suiting(s, np.empty(0), settled_at(s, falling))
        assert (timeline.linear_to is not None) == stretched
    assert Subject(run_of("collapsed")).timeline.linear_to is None


@pytest.mark.parametrize("saved", [5, 200])
def test_values_below_a_logarithmic_axis_do_not_stand_out_of_the_panel(saved: int) -> None:
    s = np.linspace(0.0, 1000.0, saved)
    axes = Figure().subplots()
    falling = np.exp(-0.1 * s)
    curve(axes, s, falling)
    assert value_axis(axes, [falling])
    Timeline(1000.0, float(s[1])).apply(axes)
    low, _ = axes.get_ylim()
    beyond = [line for line in axes.lines if (line.get_ydata() < low).any()]
    assert beyond
    assert all(line.get_clip_on() for line in beyond)


def test_a_name_with_an_underscore_in_front_is_in_the_legend(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("separated")
    monkeypatch.setitem(run.notes, "clusters", "_hidden, seen")
    assert any("_hidden" in text for text in texts(loss.figure(Subject(run)).axes[0]))


def test_names_are_shown_as_they_stand() -> None:
    assert as_it_stands("$5_中") == r"\$5_?"
    assert as_it_stands("_a").endswith("_a")
    assert not as_it_stands("_a").startswith("_")


def test_bounds_and_phases_are_named_however_many_clusters_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("truncflow_cli.report.figures.panels.MOST_NAMES", 2)
    named = texts(loss.figure(Subject(run_of("collapsed"))).axes[0])
    assert named[-1] == "and 3 more"
    monkeypatch.setattr("truncflow_cli.report.figures.panels.MOST_NAMES", 3)
    assert any("(8.27)" in text for text in texts(loss.figure(Subject(run_of("collapsed"))).axes[0]))
    axes = Figure().subplots()
    layers = [Line2D([], [], label=f"layer {k}") for k in range(5)]
    legend(axes, layers, last=[Line2D([], [], label="bound")])
    assert texts(axes) == ["layer 0", "layer 1", "and 3 more", "bound"]


def test_dashes_are_seen_beside_the_marker_of_a_legend() -> None:
    for marker, length in (("o", LONG_HANDLE), ("None", None)):
        axes = Figure().subplots()
        legend(axes, [Line2D([], [], linestyle="--", marker=marker, label="layer 1")])
        assert (axes.get_legend().handlelength == length) == (length is not None)


def test_a_legend_below_is_as_wide_as_the_figure_at_most() -> None:
    with applied():
        for letters, columns in ((5, 4), (40, 2), (200, 1)):
            figure = new_figure(3.0)
            legend_below(figure, [Line2D([], [], label=f"{k}" + "n" * letters) for k in range(8)])
            (below,) = figure.legends
            assert below._ncols == columns
            figure.draw_without_rendering()
            assert columns == 1 or below.get_window_extent().width < figure.bbox.width


def test_remarks_take_as_many_lines_as_they_need() -> None:
    with applied():
        for letters in range(20, 40):
            figure = new_figure(3.0)
            said = [f"{k} " + "remark"[k] * letters for k in range(6)]
            remark(figure, said)
            figure.draw_without_rendering()
            assert figure.dpi == DPI
            assert figure.get_suptitle().replace("\n", " · ") == " · ".join(said)
            assert "\n" in figure.get_suptitle()
            assert figure._suptitle.get_window_extent().x1 < figure.bbox.x1


def test_titles_of_panels_do_not_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("separated")
    monkeypatch.setitem(run.notes, "clusters", LONG)
    with applied():
        figure = geometry.figure(Subject(run))
        assert figure is not None
        figure.draw_without_rendering()
    boxes = [axes._left_title.get_window_extent() for axes in figure.axes]
    columns = len(boxes) // 2
    for k, (box, right) in enumerate(itertools.pairwise(boxes)):
        assert k % columns == columns - 1 or box.x1 < right.x0
    assert max(map(len, names_of(run, 16))) == 16


def test_directions_in_space_are_named_after_what_is_shown() -> None:
    for name, expected in (("pins", "$x_3$"), ("space of images", "$e_3$")):
        with applied():
            figure = geometry.figure(Subject(run_of(name)))
            assert figure is not None
            figure.draw_without_rendering()
        axes = figure.axes[0]
        assert axes.texts[-1].get_text() == expected
        assert all(axes.bbox.contains(*text.get_window_extent().p0) for text in axes.texts[-3:])
        assert all(axes.bbox.contains(*text.get_window_extent().p1) for text in axes.texts[-3:])


def test_times_without_a_known_speed_are_counted() -> None:
    subject = Subject(run_of("pins"))
    assert "not known" not in motion.figure(subject).get_suptitle()
    subject.__dict__["descent"] = dataclasses.replace(subject.descent, left_out=5)
    assert "speeds not known at 5 of 61 saved times" in motion.figure(subject).get_suptitle()


def test_layers_that_see_every_cluster_have_each_a_look_of_their_own() -> None:
    for layers in (2, 4, 12):
        subject = cast("Subject", SimpleNamespace(separated=False, evidence=SimpleNamespace(n_layers=layers)))
        assert len({str(motion._layer_look(subject, layer)) for layer in range(layers)}) == layers


def test_what_a_layer_does_not_see_is_hatched() -> None:
    figure = truncation.figure(Subject(run_of("switched")))
    for axes in figure.axes[:2]:
        assert axes.patch.get_hatch()
        assert (axes.images[0].get_array()[..., 3] == 0.0).any()
    for axes in truncation.figure(Subject(run_of("separated"))).axes[:2]:
        assert not axes.patch.get_hatch()


def test_lines_between_clusters_do_not_become_stripes() -> None:
    for clusters, parted in ((3, True), (40, False)):
        axes = Figure().subplots()
        truncation._rows(axes, np.repeat(np.arange(clusters), 6))
        across = [line for line in axes.lines if list(line.get_xdata()) == [0, 1]]
        assert bool(across) == parted


def test_an_orthant_is_seen_among_the_points_of_many_dimensions() -> None:
    axes = geometry.figure(Subject(run_of("space"))).axes[0]
    apex = max(axes.lines, key=lambda line: line.get_zorder())
    edges = [each for each in axes.texts if isinstance(each, Annotation)]
    assert len(edges) == 5
    assert all(edge.arrow_patch.get_path_effects() for edge in edges)
    points = max(c.get_zorder() for c in axes.collections if len(c.get_offsets()) > 1)
    assert min(apex.get_zorder(), *(edge.get_zorder() for edge in edges)) > points


def test_a_balance_far_below_its_tolerance_is_seen() -> None:
    run = run_of("pins")
    tiny = np.full(run.s.size, 1e-40)
    with mock.patch.object(type(run), "energy_balance", property(lambda run: tiny)):
        low, high = curves.balance(Subject(run)).axes[0].get_ylim()
    assert low < 1e-40 < high


def test_the_norms_of_the_report_are_those_of_the_figure() -> None:
    run = run_of("collapsed")
    told = Summary(cast("Run", run)).quantities
    drawn = {line.get_label(): line.get_ydata() for line in curves.norms(Subject(run)).axes[0].lines}
    for letter in "WB":
        np.testing.assert_array_equal(drawn[rf"$\Vert {letter}\Vert$"], told[f"‖{letter}‖"])


def compared(*runs: Run) -> tuple[list[Member], list[Comparison]]:
    return [member(run) for run in runs], [compare(runs[0], run) for run in runs[1:]]


def test_distances_are_drawn_along_the_times_that_are_compared_and_gaps_are_explained() -> None:
    short, long = cast("Run", run_of("short")), cast("Run", run_of("separated"))
    figure = drawings.distances(*compared(short, long), ["short", "long"])
    assert figure.axes[0].get_xlim()[1] == short.s[-1]
    same = cast("Run", run_of("separated"))
    figure = drawings.distances(
        *compared(same, same, cast("Run", run_of("collapsed"))), ["a", "again", "other"]
    )
    assert "again: none at any time · other: another kind of state" in figure.get_suptitle()


def test_zero_has_room_between_the_powers_of_ten() -> None:
    run = cast("Run", run_of("separated"))
    _, (comparison,) = compared(run, run)
    matching = dataclasses.replace(comparison.matching, tolerance=0.1)
    shifted = matching.logs[1].copy()
    shifted["s"] += 1e-11
    found = dataclasses.replace(
        comparison, matching=dataclasses.replace(matching, logs=(matching.logs[0], shifted))
    )
    with applied():
        figure = drawings.event_shifts(found, ("a", "b"))
        figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels() if label.get_text()]
    boxes.sort(key=lambda box: box.y0)
    assert len(boxes) > 3
    assert all(low.y1 <= high.y0 for low, high in itertools.pairwise(boxes))


def test_the_power_of_ten_of_an_axis_is_set_as_all_others() -> None:
    with applied():
        axes = Figure().subplots()
        axes.plot([0.0, 1e-6], [0.0, 1.0])
        axes.figure.draw_without_rendering()
    assert axes.xaxis.get_offset_text().get_text().startswith(r"$\times")
