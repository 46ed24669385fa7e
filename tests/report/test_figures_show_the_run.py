"""Figures show the numbers of the run: losses, bounds, events, truncations, orthants and images."""

from __future__ import annotations

import dataclasses
from unittest import mock

import matplotlib as mpl
import numpy as np
import pytest
from figure_runs import interrupted, run_of
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from page_reading import Page
from scipy.linalg import logm

from truncflow_cli.events import EVENT_DTYPE, Kind
from truncflow_cli.flows import registry
from truncflow_cli.report.figures import catalog, curves, geometry, loss, motion, truncation
from truncflow_cli.report.figures.geometry import chosen_times, scene_for
from truncflow_cli.report.figures.patterns import changes
from truncflow_cli.report.figures.style import PALETTE, names_of
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.figures.timeline import Timeline
from truncflow_cli.report.history import CROSSINGS
from truncflow_cli.report.page.document import page
from truncflow_cli.report.projection import projection_for
from truncflow_cli.run_data import Run

LAYERED = {"loss", "truncation", "truncated-fraction", "motion", "energy-balance", "geometry"}
COLLAPSED = {"loss", "energy-balance", "geometry", "invariant", "norms"}
CLUSTERED = {"loss", "energy-balance", "geometry", "modes"}


def lines(axes: Axes) -> dict[str, np.ndarray]:
    return {line.get_label(): np.column_stack(line.get_data()) for line in axes.lines}


def remark(figure: Figure) -> str:
    return figure.get_suptitle()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("separated", LAYERED), ("general", LAYERED), ("collapsed", COLLAPSED), ("clustered", CLUSTERED)],
)
def test_each_flow_has_its_figures(name: str, expected: set[str]) -> None:
    assert {figure for figure, _ in catalog.figures_of(run_of(name))} == expected


def test_a_flow_with_arrays_of_its_own_has_their_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("clustered")
    momentum = registry.StateArray("momentum", ("s", "output", "input"), "what is not pictured")
    unknown = dataclasses.replace(registry.FLOWS["clustered"], arrays=(momentum,), parts={})
    monkeypatch.setitem(registry.FLOWS, "clustered", unknown)
    read, W = run.source.read, run.W
    monkeypatch.setattr(
        run.source, "read", lambda path, *rows: W if path == "trajectory/momentum" else read(path, *rows)
    )
    drawn = dict(catalog.figures_of(run))
    assert set(drawn) == {"loss", "energy-balance", "states"}
    (line,) = drawn["states"].axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), np.linalg.norm(run.W, axis=(1, 2)))
    read = Page(page(run))
    assert [chart["key"] for chart in read.data["charts"]] == ["loss", "balance", "momentum"]
    assert not read.data["panels"] and "not drawn" not in read.words


@pytest.mark.parametrize("run", [run_of, interrupted], ids=["rest", "interrupted"])
def test_runs_in_which_nothing_happens_can_be_laid_out(run: object) -> None:
    run = interrupted() if run is interrupted else run_of("rest")
    assert run.s.size <= 2
    for _, figure in catalog.figures_of(run):
        figure.draw_without_rendering()
        assert ("interrupted" in remark(figure)) == (run.status == "interrupted")


def test_losses_are_those_of_the_file() -> None:
    run = run_of("separated")
    drawn = lines(loss.figure(Subject(run)).axes[0])
    np.testing.assert_array_equal(drawn["right"], np.column_stack([run.s, run.loss_cluster[:, 0]]))
    np.testing.assert_array_equal(drawn["top"][:, 1], run.loss_cluster[:, 1])
    np.testing.assert_array_equal(drawn[r"$\mathcal{C}$, the sum"][:, 1], run.loss)


def test_the_bound_of_theorem_8_4_is_above_the_loss() -> None:
    run = run_of("collapsed")
    assert run.B is not None
    assert run.W is not None
    rate = np.linalg.eigvalsh(run.W[0].T @ run.W[0] - run.B[0] @ run.B[0].T)[0]
    bound = next(xy for label, xy in lines(loss.figure(Subject(run)).axes[0]).items() if "(8.27)" in label)
    np.testing.assert_allclose(bound[:, 1], run.loss[0] * np.exp(-2.0 * rate * run.s))
    assert (bound[:, 1] >= run.loss * (1.0 - 1e-12)).all()


def ticks(axes: Axes) -> list[np.ndarray]:
    return [np.array(c.get_segments()) for c in axes.collections if isinstance(c, LineCollection)]


def test_every_event_has_a_tick_at_its_time() -> None:
    run = run_of("pins")
    subject = Subject(run)
    drawn = np.concatenate([segments[:, 0, 0] for segments in ticks(loss.figure(subject).axes[1])])
    assert len(drawn) == run.n_events
    np.testing.assert_allclose(np.sort(drawn), subject.timeline.positions(run.events["s"]), atol=1e-3)


def test_ticks_of_very_many_events_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("separated")
    events = np.zeros(50_000, dtype=EVENT_DTYPE)
    events["s"] = np.linspace(0.0, 1.0, 50_000)
    monkeypatch.setattr(run, "events", events)
    axes = loss.figure(Subject(run)).axes[1]
    assert sum(len(segments) for segments in ticks(axes)) <= 1501
    assert "50,000" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("name", ["separated", "pins", "general"])
def test_truncations_from_the_event_log_add_up_to_the_saved_fractions(name: str) -> None:
    run = run_of(name)
    assert run.truncated_fraction is not None
    for layer in range(run.n_layers):
        members = np.flatnonzero(run.cluster == layer) if name != "general" else np.arange(run.n_points)
        found = changes(run, layer, members)
        counts, held = found.at(run.s, np.arange(members.size))
        np.testing.assert_allclose(
            counts.mean(axis=0), run.truncated_fraction[:, layer].sum(axis=1), atol=1e-12
        )
        saved = found.fractions(run.s, np.ones(members.size, dtype=bool))
        np.testing.assert_allclose(saved, run.truncated_fraction[:, layer], atol=1e-12)
        assert 0 <= counts.min() <= counts.max() <= run.dim
        mine = run.events["kind"][run.events["layer"] == layer]
        assert held.any() == (Kind.PIN in mine)


def test_truncations_go_on_with_all_points_after_a_switch() -> None:
    run = run_of("switched")
    assert run.truncated_fraction is not None
    switched = float(run.attrs["switched_at"])
    everyone, after = np.arange(run.n_points), run.s > switched
    for layer in range(run.n_layers):
        counts, _ = changes(run, layer, everyone, switched).at(run.s, everyone)
        mean = counts.mean(axis=0)[after]
        np.testing.assert_allclose(mean, run.truncated_fraction[after, layer].sum(axis=1), atol=1e-12)
    assert "hatched" in remark(truncation.figure(Subject(run)))


def test_points_are_sorted_by_the_time_of_their_first_truncation() -> None:
    run = run_of("separated")
    found = changes(run, 0, np.flatnonzero(run.cluster == 0))
    events = run.events[(run.events["layer"] == 0) & (run.events["kind"] == Kind.TRUNCATE)]
    for point, first in zip(found.members, found.first_truncated(), strict=True):
        mine = events["s"][events["point"] == point]
        assert first == (mine[0] if mine.size else first)
        assert mine.size or first in (0.0, np.inf)
    picture = truncation.figure(Subject(run)).axes[0].images[0].get_array()
    blank = np.isclose(picture, picture[-1, 0]).all(axis=2)
    start = blank.argmin(axis=1) + blank.shape[1] * blank.all(axis=1)
    assert (np.diff(start) >= 0).all()


def test_many_points_are_left_out_and_that_is_said() -> None:
    subject = Subject(run_of("many"))
    assert len(subject.run.events) > 1000
    raster = truncation.figure(subject)
    assert raster.axes[0].images[0].get_array().shape[0] == 600
    assert "600 of 10,000 points" in remark(raster)
    shown = geometry.figure(subject)
    assert max(len(c.get_offsets()) for axes in shown.axes for c in axes.collections) < 1000
    assert "of 10,000 points" in remark(shown)


@pytest.mark.parametrize("name", ["separated", "general"])
def test_orthants_contain_the_points_that_are_not_truncated(name: str) -> None:
    run = run_of(name)
    subject = Subject(run)
    times = chosen_times(subject)
    figure, scene = geometry.figure(subject), scene_for(subject)
    panels = iter(figure.axes)
    views = [scene.panels(int(t)) for t in times]
    for row in range(run.n_layers):
        for view in (each[row] for each in views):
            sector = next(panels).patches[0].get_path()
            (shown,) = view.sectors
            clear = np.abs((view.before + shown.beta) @ shown.R.T).min(axis=1) > 1e-9
            inside = sector.contains_points(view.before)
            np.testing.assert_array_equal(inside[clear], ~view.moved[clear])
            np.testing.assert_allclose(view.after[~view.moved], view.before[~view.moved], atol=1e-12)


def test_images_in_the_last_layer_give_the_loss() -> None:
    run = run_of("general")
    view = scene_for(Subject(run)).panels(20)[-1]
    for k in range(run.n_clusters):
        off = view.after[view.cluster == k] - run.y_tilde[k]
        assert 0.5 * np.mean((off**2).sum(axis=1)) == pytest.approx(run.loss_cluster[20, k], rel=1e-9)


def test_collapsed_and_clustered_images_give_the_loss() -> None:
    for name in ("collapsed", "clustered"):
        run = run_of(name)
        view = scene_for(Subject(run)).panels(7)[0]
        off = ((view.after - run.y[view.cluster]) ** 2).sum(axis=1)
        total = 0.5 * (off.sum() if name == "collapsed" else off.mean())
        assert total == pytest.approx(run.loss[7], rel=1e-9)


@pytest.mark.parametrize("dim", [2, 3, 6])
def test_projections_keep_lengths_and_say_what_they_are(dim: int) -> None:
    points = np.random.default_rng(0).normal(size=(20, dim)) * np.arange(1, dim + 1)
    for labels in (None, np.eye(dim)[:2], np.ones((1, dim))):
        found = projection_for(points, labels)
        np.testing.assert_allclose(found.plane @ found.plane.T, np.eye(2), atol=1e-12)
        np.testing.assert_allclose(found.matrix @ found.matrix.T, np.eye(found.dims), atol=1e-12)
        np.testing.assert_allclose(found.basis @ found.basis.T, np.eye(found.dims), atol=1e-12)
        assert bool(found.text) == (dim > 2)


def test_a_projection_is_stated_in_the_figure() -> None:
    assert "projected on" in remark(geometry.figure(Subject(run_of("space"))))
    assert "azimuth" in remark(geometry.figure(Subject(run_of("pins"))))
    assert geometry.figure(Subject(run_of("line"))).axes


@pytest.mark.parametrize("name", ["separated", "general"])
def test_speeds_are_those_of_the_saved_states(name: str) -> None:
    run = run_of(name)
    assert run.R is not None
    panel = motion.figure(Subject(run)).axes[1]
    t = run.s.size - 2
    for layer, line in enumerate(panel.lines):
        step = np.real(logm(run.R[t + 1, layer] @ run.R[t, layer].T)) / (run.s[t + 1] - run.s[t])
        ends = line.get_ydata()[t : t + 2]
        assert np.linalg.norm(step) == pytest.approx(ends.mean(), rel=0.02)


def test_frozen_rotations_have_no_panel_of_turning() -> None:
    figure = motion.figure(Subject(run_of("space")))
    assert len(figure.axes) == 1
    assert "frozen" in remark(figure)


def test_modes_decay_at_their_eigenvalues() -> None:
    run = run_of("clustered")
    eigenvalues = np.linalg.eigvalsh(run.x.T @ run.x / run.n_points)
    drawn = [line.get_ydata() for line in curves.modes(Subject(run)).axes[0].lines]
    for rate, values in zip(eigenvalues, drawn[1:], strict=True):
        np.testing.assert_allclose(values, values[0] * np.exp(-rate * run.s), rtol=1e-8)


def test_balance_and_fractions_are_those_of_the_file() -> None:
    run = run_of("pins")
    assert run.truncated_fraction is not None
    axes = curves.balance(Subject(run)).axes[0]
    bound = run.certificates["energy_balance"].bound
    assert [line.get_ydata()[0] for line in axes.lines][1] == bound
    np.testing.assert_array_equal(
        axes.lines[0].get_ydata(), np.abs(run.energy_balance)[run.energy_balance != 0]
    )
    for r, line in enumerate(truncation.fraction(Subject(run)).axes[0].lines):
        times, drawn = line.get_data()
        away = np.abs(run.s[:, None] - run.events["s"]).min(axis=1) > times[1]
        at = np.searchsorted(times, run.s[away], "right") - 1
        np.testing.assert_allclose(drawn[at], run.truncated_fraction[away, 0, r], atol=1e-12)


@pytest.mark.parametrize("name", ["separated", "pins"])
def test_fractions_step_where_the_events_are_and_not_at_the_next_saved_time(name: str) -> None:
    run = run_of(name)
    subject = Subject(run)
    crossings = run.events[np.isin(run.events["kind"], CROSSINGS) & (run.events["layer"] == 0)]
    for line in truncation.fraction(subject).axes[0].lines:
        times, drawn = line.get_data()
        for step in times[1:][np.diff(drawn) != 0.0]:
            late = subject.timeline.positions(np.array([step])) - subject.timeline.positions(crossings["s"])
            assert (late[late > -1e-9]).min() < 1e-3


def test_fractions_say_of_whom_they_are_after_a_switch() -> None:
    run = run_of("switched")
    assert run.truncated_fraction is not None
    drawn = truncation.fraction(Subject(run))
    assert "own cluster before that, of all points after" in remark(drawn)
    for layer, axes in enumerate(drawn.axes):
        for r, line in enumerate(axes.lines):
            ends = line.get_ydata()[[0, -1]]
            np.testing.assert_allclose(ends, run.truncated_fraction[[0, -1], layer, r], atol=1e-12)


def test_a_stretched_axis_says_so_and_marks_saved_times_that_are_far_apart() -> None:
    subject = Subject(run_of("separated"))
    subject.timeline = Timeline(1.0, float(subject.run.s[1]))
    axes = loss.figure(subject).axes
    assert axes[1].get_xlabel() == "$s$, linear up to 0.005"
    marked = [line for line in axes[0].lines if line.get_marker() == "o"]
    assert len(marked) == 3
    np.testing.assert_array_equal(marked[0].get_xdata(), subject.run.s[: marked[0].get_xdata().size])
    assert 2 < marked[0].get_xdata().size < 20


def test_powers_of_ten_on_one_axis_are_written_in_one_way() -> None:
    for end, expected in (
        (10.0, ["0", "0.01", "0.1", "1", "10"]),
        (1e6, ["0", "$10^{-2}$", "$10^{0}$", "$10^{2}$", "$10^{4}$", "$10^{6}$"]),
    ):
        axes = Figure().subplots()
        Timeline(end, 0.01).apply(axes)
        ticks = axes.xaxis.get_major_locator()()
        assert [axes.xaxis.get_major_formatter()(s) for s in ticks] == expected


def test_the_tolerance_is_seen_even_far_below_the_balance() -> None:
    run = run_of("pins")
    bound = run.certificates["energy_balance"].bound
    with mock.patch.object(type(run), "energy_balance", property(lambda run: 1.0 + run.s)):
        low, high = curves.balance(Subject(run)).axes[0].get_ylim()
    assert low < bound < high


def test_colours_of_clusters_are_named_where_layers_see_them_all() -> None:
    texts = [t.get_text() for t in truncation.figure(Subject(run_of("general"))).axes[0].get_legend().texts]
    assert texts[:3] == ["cluster 0", "cluster 1", "cluster 2"]
    assert truncation.PINNED not in PALETTE


@pytest.mark.parametrize(("name", "label"), [("general", "x"), ("clustered", "(Wx)")])
def test_axes_of_the_plane_are_named(name: str, label: str) -> None:
    panels = geometry.figure(Subject(run_of(name))).axes
    assert (panels[-1].get_xlabel(), panels[0].get_ylabel()) == (f"${label}_1$", f"${label}_2$")


def test_names_that_cannot_be_drawn_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    run: Run = run_of("separated")
    monkeypatch.setitem(run.notes, "clusters", "$a_{, 中")
    assert names_of(run) == [r"\$a_{", "cluster 1"]
    monkeypatch.setitem(run.notes, "clusters", f"{'x' * 60}, 3")
    assert [len(name) for name in names_of(run)] == [26, len("class “3”")]


def test_settings_of_the_user_neither_matter_nor_change() -> None:
    with mpl.rc_context({"text.usetex": True, "font.size": 30.0}):
        for _, figure in catalog.figures_of(run_of("clustered")):
            assert not figure.axes[0].xaxis.label.get_usetex()
            assert figure.axes[0].xaxis.label.get_size() < 10.0
        assert mpl.rcParams["font.size"] == 30.0
