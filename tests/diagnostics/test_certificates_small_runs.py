"""Runs at the edge of what a run can be are certified without warnings and without false alarms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from recorded_runs import Recorded, damaged, solve

from truncflow_cli.diagnostics import analysis, certify
from truncflow_cli.diagnostics.layered import pinned_at
from truncflow_cli.events import EVENT_DTYPE, Kind

ONE_POINT = """
flow: {flow}
clusters: [{{points: [[1.0]]}}]
labels: [[{label}]]
initial: {{rotation: identity, bias: [[{bias}]]}}
integrator: {{s_end: {s_end}, freeze_rotation: {frozen}}}
save: {{count: 5}}
"""


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def violated(run: Recorded) -> list[str]:
    return [f"{c.name}: {c.hypothesis}" for c in certify(run) if c.verdict == "violated"]


@pytest.mark.parametrize("flow", ["separated", "general"])
@pytest.mark.parametrize("bias", [-2.0, -1.0, 0.0, 2.0])
@pytest.mark.parametrize("label", [-0.5, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("frozen", ["true", "false"])
def test_one_point_on_the_line(flow, bias, label, frozen):
    if flow == "general" and frozen == "true":
        frozen = "false"
    assert not violated(solve(ONE_POINT.format(flow=flow, bias=bias, label=label, s_end=3, frozen=frozen)))


@pytest.mark.parametrize("bias", [-2.0, 2.0])
def test_run_of_no_length(bias):
    run = solve(ONE_POINT.format(flow="separated", bias=bias, label=1.0, s_end=0, frozen="false"))
    assert run.s.size == 1
    assert not violated(run)


def test_loss_of_exactly_zero():
    run = solve(ONE_POINT.format(flow="separated", bias=2.0, label=1.0, s_end=3, frozen="false"))
    assert not run.loss.any()
    assert not violated(run)


@pytest.mark.parametrize("labels", ["[[1.0]]", "[[0.0]]"])
@pytest.mark.parametrize("bias", ["[[2.0]]", "[[0.0]]"])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_collapsed_flow_of_numbers(labels, bias, weight):
    text = (
        f"flow: collapsed\nlabels: {labels}\ninitial: {{bias: {bias}, output_weight: {{scale: {weight}}}}}\n"
        "integrator: {s_end: 5}\nsave: {count: 6}\n"
    )
    assert not violated(solve(text))


@pytest.mark.parametrize("point", [0.0, 1.0])
@pytest.mark.parametrize("s_end", [0, 1, 1e6])
def test_clustered_flow_of_one_number(point, s_end):
    text = (
        f"flow: clustered\nclusters: [{{points: [[{point}]]}}]\nlabels: [[2.0]]\n"
        "initial: {rotation: identity, bias: [[1.0]]}\n"
        f"integrator: {{s_end: {s_end}}}\nsave: {{count: 6}}\n"
    )
    assert not violated(solve(text))


def test_points_that_coincide_and_points_on_their_surface():
    text = (
        "flow: {}\nclusters:\n  - {{points: [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]}}\n"
        "  - {{points: [[0.0, -1.0], [0.0, -1.0], [0.0, 0.5]]}}\n"
        "initial: {{rotation: identity, bias: [[-1.0, -0.5], [0.0, 0.0]]}}\n"
        "integrator: {{s_end: 3}}\nsave: {{count: 31}}\n"
    )
    for flow in ("separated", "general"):
        found = violated(solve(text.format(flow)))
        assert not [name for name in found if not name.startswith("separation")], found


def test_state_that_is_not_finite_is_certified_up_to_there():
    run = solve(ONE_POINT.format(flow="separated", bias=-2.0, label=-0.5, s_end=3, frozen="false"))
    beta, loss = run.beta.copy(), run.loss.copy()
    beta[3:], loss[3:] = np.nan, np.nan
    found = {c.name: c for c in certify(damaged(run, beta=beta, loss=loss))}
    assert found["stored_loss"].verdict == "holds"
    assert "3 of the 5 saved times" in found["stored_loss"].hypothesis
    beta[:], loss[:] = np.nan, np.nan
    assert certify(damaged(run, beta=beta, loss=loss)) == []


def test_very_many_points_are_looked_at_fewer_times(monkeypatch):
    text = (
        "labels: [[3, 3]]\nclusters: [{center: [0, 0], shape: gaussian, std: 1, size: 300}]\n"
        "initial: {rotation: random, bias: {normal: 0.5}}\nintegrator: {s_end: 2}\nsave: {count: 41}\n"
    )
    run = solve(text)
    whole = {c.name: c for c in certify(run)}
    monkeypatch.setattr(analysis, "WORK", 10 * 6 * 300 * 4)
    some = {c.name: c for c in certify(run)}
    assert analysis.analysis_of(run).times.size == 10
    assert "10 of the 41 saved times" in some["loss_monotone"].hypothesis
    assert {name: c.verdict for name, c in whole.items()} == {name: c.verdict for name, c in some.items()}
    assert np.isnan(some["loss_monotone"].series["loss"]).sum() == 31


def test_points_are_taken_in_blocks_without_changing_the_result(monkeypatch):
    from truncflow_cli.diagnostics import passes

    text = (
        "flow: {}\nclusters:\n  - {{center: [0, 0], shape: gaussian, std: 1, size: 70}}\n"
        "  - {{center: [1, 0], shape: gaussian, std: 1, size: 30}}\n"
        "initial: {{rotation: random, bias: {{normal: 0.5}}}}\n"
        "integrator: {{s_end: 2}}\nsave: {{count: 11}}\n"
    )
    for flow in ("separated", "general"):
        run = solve(text.format(flow))
        whole = certify(run)
        for size in (7, 50):
            monkeypatch.setattr(passes, "BLOCK", size)
            for one, other in zip(whole, certify(run), strict=True):
                assert one.verdict == other.verdict
                for name, values in one.series.items():
                    np.testing.assert_allclose(values, other.series[name], rtol=1e-10, atol=1e-13)
            monkeypatch.undo()


def test_order_of_points_and_clusters_in_the_file_changes_nothing():
    text = (
        "flow: separated\nclusters:\n  - {center: [0, 0], shape: gaussian, std: 1, size: 9}\n"
        "  - {center: [1, 0], shape: gaussian, std: 1, size: 6}\n"
        "initial: {rotation: random, bias: {normal: 0.5}}\nintegrator: {s_end: 2}\nsave: {count: 11}\n"
    )
    run = solve(text)
    order = np.random.default_rng(0).permutation(15)
    events = run.events.copy()
    events["point"] = np.where(events["point"] >= 0, np.argsort(order)[events["point"]], -1)
    other = damaged(run, x=run.x[order], cluster=run.cluster[order], events=events)
    for one, two in zip(certify(run), certify(other), strict=True):
        assert one.verdict == two.verdict, one.name


def test_pins_are_found_between_their_events():
    events = np.array(
        [
            (0.0, Kind.PIN, 0, 4, 1, 0, -1),
            (1.0, Kind.PIN, 1, 2, 0, 1, -1),
            (2.0, Kind.UNPIN, 0, 4, 1, 0, 1),
            (2.5, Kind.PIN, 0, 4, 1, 0, -1),
        ],
        dtype=EVENT_DTYPE,
    )
    rows = pinned_at(events, np.array([0.0, 1.0, 1.9, 2.0, 2.6]))
    expected = [
        (0, 0, 4, 1),
        (1, 0, 4, 1),
        (1, 1, 2, 0),
        (2, 0, 4, 1),
        (2, 1, 2, 0),
        (3, 1, 2, 0),
        (4, 0, 4, 1),
    ]
    assert [tuple(row) for row in rows] == sorted([*expected, (4, 1, 2, 0)])
