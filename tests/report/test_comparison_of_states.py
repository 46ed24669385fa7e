"""Comparing two runs: where they are compared, how far apart they are, and what their configs have different."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from certified_runs import clustered, collapsed, general_separated, losing_separation, separated
from hypothesis import given
from hypothesis import strategies as st
from recorded_runs import Recorded, damaged, solve
from rich.console import Console

from truncflow_cli.report.compare import compare, member
from truncflow_cli.report.compare.states import common_times
from truncflow_cli.report.compare.tables import comparison_json
from truncflow_cli.report.compare.terminal import MOST_RUNS, render_comparison
from truncflow_cli.report.sparkline import letter, overlay


def thinned(run: Recorded, rows: np.ndarray) -> Recorded:
    """Return the run as if only these saved times had been asked for."""
    names = ("s", "loss", "loss_cluster", "energy_balance", "beta", "R", "truncated_fraction")
    return damaged(
        run, **{name: getattr(run, name)[rows] for name in names if getattr(run, name) is not None}
    )


def text_of(*runs: Recorded, width: int = 80, color: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=color, no_color=not color, legacy_windows=False)
    found = [compare(runs[0], run) for run in runs[1:]]
    render_comparison([member(run) for run in runs], found, console)
    return out.getvalue()


def test_a_run_against_itself_is_the_same_in_everything() -> None:
    found = compare(separated(), separated())
    assert found.config == {}
    assert found.remarks == []
    assert all(each.largest == 0.0 for each in found.differences)
    assert [each.name for each in found.differences] == [
        "loss",
        *(f"{name}, layer {layer}" for name in ("|Δβ|", "‖ΔR‖") for layer in (0, 1)),
    ]
    assert found.matching.parting is None
    assert len(found.matching.pairs) == separated().events.size


def test_printed_equations_part_from_exact_ones_and_lose_by_what_the_file_says() -> None:
    exact, printed = separated(), separated("printed")
    found = compare(exact, printed)
    assert found.config == {"equations": ("exact", "printed")}
    loss, *parts = found.differences
    assert loss.last == printed.loss[-1] - exact.loss[-1]
    by_name = {each.name: each for each in parts}
    assert by_name["|Δβ|, layer 1"].last == pytest.approx(
        np.linalg.norm(printed.beta[-1, 1] - exact.beta[-1, 1]), rel=1e-12
    )
    assert by_name["‖ΔR‖, layer 0"].largest == pytest.approx(
        np.linalg.norm(printed.R[:, 0] - exact.R[:, 0], axis=(1, 2)).max(), rel=1e-12
    )
    assert found.matching.parting is not None
    assert "equations: exact (A); printed (B)" in text_of(exact, printed)


def test_separated_and_general_are_one_flow_while_separated() -> None:
    found = compare(separated(), general_separated())
    assert max(each.largest for each in found.differences) < 1e-6
    assert found.matching.parting is None
    assert "never lost" in found.remarks[0]


def test_they_part_where_separation_is_lost() -> None:
    record, switch = losing_separation("record"), losing_separation("switch")
    lost = switch.attrs["switched_at"]
    found = compare(record, switch)
    before = found.times.s < lost
    for each in found.differences:
        assert np.abs(each.values[before]).max() < 1e-6
    assert found.differences[0].largest > 1e-3
    parting = found.matching.parting
    times = [log["s"][at] for log, at in zip(found.matching.logs, parting.at, strict=True) if at is not None]
    assert min(times) >= lost - found.matching.tolerance


def test_common_saved_times_are_matched_and_others_interpolated() -> None:
    run = separated()
    half = thinned(run, np.arange(0, run.s.size, 2))
    found = compare(run, half)
    assert not found.times.interpolated
    assert found.times.s.size == half.s.size
    assert all(each.largest == 0.0 for each in found.differences)

    odd = thinned(run, np.r_[0, np.arange(1, run.s.size - 1, 2), run.s.size - 1])
    other = damaged(odd, s=odd.s + 1e-3 * (odd.s > 0) * (odd.s < odd.s[-1]))
    found = compare(run, other)
    assert found.times.interpolated
    assert "interpolated linearly" in found.times.how("A", "B")
    assert found.differences[0].last == 0.0  # both have the end
    assert found.differences[0].error > 0.0
    assert "interp. error" in text_of(run, other)


def test_a_run_that_ends_earlier_is_compared_up_to_there() -> None:
    run = separated()
    short = thinned(run, np.arange(40))
    short.attrs["status"]
    found = compare(run, short)
    assert found.times.s[-1] == short.s[-1]
    assert found.differences[0].last == 0.0
    assert found.matching.beyond == (int((run.events["s"] > short.s[-1]).sum()), 0)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.1, 1e6), st.floats(0.1, 1e6), st.booleans())
def test_common_times_rise_from_0_to_the_earlier_end(
    first: int, second: int, end: float, other_end: float, logarithmic: bool
) -> None:
    a = np.linspace(0.0, end, first) if first > 1 else np.zeros(1)
    b = (
        np.r_[0.0, np.geomspace(1e-3, other_end, second)]
        if logarithmic
        else np.linspace(0, other_end, second)
    )
    times = common_times(a, b)
    assert times.s[0] == 0.0
    assert (np.diff(times.s) > 0.0).all()
    assert times.s[-1] <= min(a[-1], b[-1]) * (1 + 1e-9)
    for which, grid in enumerate((a, b)):
        np.testing.assert_allclose(times.values(which, grid), times.s, rtol=1e-9, atol=1e-9 * times.s[-1])


def test_flows_without_a_common_state_have_their_losses_compared() -> None:
    found = compare(collapsed(3.0), clustered())
    assert [each.name for each in found.differences] == ["loss", "‖ΔW‖"]
    found = compare(separated(), collapsed(3.0))
    assert [each.name for each in found.differences] == ["loss"]
    assert any("only the losses" in remark for remark in found.remarks)


def test_runs_in_other_dimensions_have_their_losses_compared() -> None:
    space = solve(
        "clusters: [{points: [[1, 2, 3], [0.5, 1, 2]]}]\nintegrator: {s_end: 10}\nsave: {count: 101}\n"
        "initial: {rotation: identity, bias: [[0, -1, -1]]}\n"
    )
    found = compare(separated(), space)  # of another number of layers, too
    assert [each.name for each in found.differences] == ["loss"]
    assert found.remarks[0] == "The runs are in 2 and 3 dimensions: only the losses are compared."
    assert not any("layers" in remark for remark in found.remarks)


def test_different_points_are_said() -> None:
    run = separated()
    moved = damaged(run, x=run.x + 0.25)
    assert any("by up to 0.25" in remark for remark in compare(run, moved).remarks)
    fewer = damaged(run, x=run.x[:-1], cluster=run.cluster[:-1])
    found = compare(run, fewer)
    assert found.matching is None
    assert any("events are not matched" in remark for remark in found.remarks)


@pytest.mark.parametrize("pair", [("exact", "printed"), ("record", "switch"), ("collapsed", "clustered")])
def test_json_holds_all_of_it(pair: tuple[str, str]) -> None:
    runs = {
        "exact": lambda: (separated(), separated("printed")),
        "record": lambda: (losing_separation("record"), losing_separation("switch")),
        "collapsed": lambda: (collapsed(3.0), clustered()),
    }[pair[0]]()
    found = compare(*runs)
    made = json.loads(json.dumps(comparison_json(found), allow_nan=False))
    assert made["with"] == str(runs[0].path)
    assert set(made["differences"]) == {each.name for each in found.differences}
    assert made["differences"]["loss"]["last"] == found.differences[0].last
    if found.matching is not None:
        events = made["events"]
        assert events["matched"] == len(events["pairs"]["s"]) == len(events["pairs"]["s_second"])
        assert events["matched"] + events["first_only"] + events["beyond"]["first"] == runs[0].events.size
        assert (events["parting"] is None) == (found.matching.parting is None)


def test_the_terminal_has_no_line_wider_than_it_and_no_colour_unless_asked() -> None:
    for width in (80, 120):
        text = text_of(losing_separation("record"), losing_separation("switch"), width=width)
        assert max(map(len, text.splitlines())) <= width
        assert not any(line.endswith(" ") for line in text.splitlines())
        assert "\x1b" not in text
    assert "\x1b" in text_of(separated(), separated("printed"), color=True)


def test_many_runs_are_counted_not_all_listed() -> None:
    runs = [
        damaged(separated(), config=separated().config.replace("seed: 3", f"seed: {k}")) for k in range(40)
    ]
    text = text_of(*runs)
    assert text.startswith("40 runs\n")
    assert f"and {40 - MOST_RUNS} runs more" in text
    assert "seed: 0 (A); 1 (B)" in text
    assert "33 more runs to compare with A" in text


def test_one_saved_time_and_no_events() -> None:
    run = separated()
    start = damaged(thinned(run, np.arange(1)), events=run.events[:0])
    text = text_of(start, start)
    assert "No events in either." in text
    assert "at the 1 saved time of both" in text


def test_curves_over_one_another_share_a_scale() -> None:
    s = np.linspace(0.0, 1.0, 50)
    rows = overlay([(s, s), (s, 1.0 - s), (s[:25], s[:25])], 20, 5)
    assert rows[0][0] == "B"
    assert rows[0][-1] == "A"
    assert rows[-1][0] == "="  # the first and the third begin as one
    assert "C" not in "".join(rows)
    assert [letter(k) for k in (0, 25, 26)] == ["A", "Z", "A1"]
