"""The report as data: rows for tables of runs, and one object with everything."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from certified_runs import certificates, clustered, collapsed, concentrated, not_separated, separated
from recorded_runs import damaged

from truncflow_cli.diagnostics import names
from truncflow_cli.report.history import by_kind, departures, longest_pin, separation_spans, truncations
from truncflow_cli.report.numbers import listing, share, short
from truncflow_cli.report.sparkline import chart, sparkline
from truncflow_cli.report.symbols import ascii_only
from truncflow_cli.report.tables import differing_keys, run_json, run_row, run_rows

RUNS = {
    "separated": separated,
    "general": lambda: not_separated("general"),
    "collapsed": lambda: collapsed(3.0),
    "clustered": clustered,
}


@pytest.mark.parametrize("name", RUNS)
def test_row_has_the_run_in_one_line(name):
    run = RUNS[name]()
    row = run_row(run)
    assert row["flow"] == name
    assert row["status"] == "complete"
    assert (row["loss_first"], row["loss_last"]) == (run.loss[0], run.loss[-1])
    assert row["max_abs_D"] == np.abs(run.energy_balance).max()
    assert row["events"] == run.events.size == sum(row[f"events_{kind}"] for kind in by_kind(run))
    verdicts = {each: row[f"certificate_{each}"] for each in names()}
    assert verdicts == {each: found.verdict for each, found in certificates(run).items()}
    assert all(isinstance(value, (str, int, float, bool)) for value in row.values())


def test_rows_of_different_flows_have_the_same_columns():
    columns = {tuple(run_row(make())) for make in RUNS.values()}
    assert len(columns) == 1


@pytest.mark.parametrize("name", RUNS)
def test_object_is_json_with_everything_the_terminal_shows(name):
    run = damaged(RUNS[name](), certificates=certificates(RUNS[name]()))
    found = json.loads(json.dumps(run_json(run), allow_nan=False))
    assert found["attributes"]["flow"] == name
    assert found["loss"]["last"] == run.loss[-1]
    assert len(found["loss"]["clusters"]) == run.n_clusters
    assert found["energy_balance"]["within_tolerance"] is True
    assert found["events"]["by_kind"] == by_kind(run)
    assert list(found["certificates"]) == names()
    assert found["certificates"]["energy_balance"]["bound"] == found["energy_balance"]["tolerance"]
    assert found["config"]["flow"] == name
    assert found["story"]


def test_numbers_that_json_does_not_have_become_null():
    found = run_json(separated())
    assert found["certificates"]["frozen_times"]["value"] is None


def test_stored_certificates_are_believed_and_put_in_order():
    made = certificates(separated())
    stored = {name: made[name] for name in sorted(made)}
    stored["orthogonality"] = dataclasses.replace(made["orthogonality"], verdict="violated")
    found = run_json(damaged(separated(), certificates=stored))["certificates"]
    assert list(found) == names()
    assert found["orthogonality"]["verdict"] == "violated"


def test_config_differences_are_named_by_their_dotted_keys():
    here, frozen = separated(), separated(frozen="true")
    assert differing_keys([here, frozen]) == {"integrator.freeze_rotation": [False, True]}
    assert differing_keys([here, here]) == {}
    row, other = run_rows([here, frozen])
    assert (row["integrator.freeze_rotation"], other["integrator.freeze_rotation"]) == (False, True)


def test_arrays_in_configs_are_one_value_each_and_long_ones_are_shortened():
    different = differing_keys([separated(), concentrated(), concentrated(s_end=0.1)])
    assert different["labels"] == ["identity", [[0.0, 0.0]], [[0.0, 0.0]]]
    points = different["clusters.0.points"]
    assert points[0] == "-"
    assert points[1].startswith("401×2 numbers (checksum ")
    assert points[1] == points[2]
    assert different["integrator.s_end"] == [10.0, 4.0, 0.1]
    assert all(len(str(value)) < 250 for values in different.values() for value in values)


def test_name_and_output_are_not_differences():
    run = separated()
    other = damaged(run, config=run.config.replace("name: run", "name: another"))
    assert other.config != run.config
    assert differing_keys([run, other]) == {}


def test_truncation_of_a_cluster_is_told_from_begin_to_end():
    (found,) = truncations(concentrated())
    assert (found.began, found.points) == (0.0, 401)
    assert found.cut == (401, 401)
    assert found.whole == (400, 401)
    assert found.ended == found.collapsed == pytest.approx(0.1406, abs=1e-3)
    assert found.counts["truncate"] == 1


def test_released_point_at_rest_on_its_surface_is_not_cut():
    run = separated(frozen="true")
    found = truncations(run)
    for history in found:
        truncated = history.cut[0] + history.counts["truncate"] - history.counts["release"]
        assert history.cut[1] == truncated


def test_pins_and_departures_have_their_spans():
    seen = [longest_pin(not_separated("separated", seed)) for seed in (1, 6)]
    assert seen[0] is None
    assert seen[1] is not None
    assert seen[1].stop is None or seen[1].stop > seen[1].start
    assert separation_spans(not_separated("general")) == {}
    assert departures(separated()) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (math.nan, "-"),
        (math.inf, "inf"),
        (1.0, "1"),
        (0.25, "0.25"),
        (-12345.678, "-12346"),
        (1e-9, "1e-09"),
        (1.23456e7, "1.23e+07"),
    ],
)
def test_numbers_are_short(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("part", "text"), [(1.0, "100 %"), (0.5, "50 %"), (0.0, "0 %"), (1e-4, "1/10000"), (1e-9, "1/1.0e+09")]
)
def test_shares_are_percents_or_fractions(part, text):
    assert share(part, 1.0) == text


def test_lists_read_as_english():
    assert listing([]) == ""
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing(list("abcdefgh"), 4) == "a, b, c and 5 more"


def test_curves_follow_their_values():
    s = np.linspace(0, 1, 50)
    assert sparkline(s, s, 8) == "▁▂▃▄▅▆▇█"
    assert ascii_only(sparkline(s, 1 - s, 8)) == "@#*+=-._"
    assert sparkline(s, np.zeros(50), 4) == "▁▁▁▁"
    assert sparkline(s[:1], s[:1], 4) == ""
    falling = sparkline(s, np.exp(-50 * s), 8)
    assert (len(set(falling[:8])), falling[8:]) == (8, " log")
    rows = [ascii_only(row) for row in chart(s, s, 10, 5)]
    assert rows[0].rstrip().endswith("*")
    assert rows[-1].startswith("*")
    assert all(len(row) == 10 for row in chart(s, s**2, 10, 5))


def test_curves_survive_gaps_in_the_values():
    s = np.linspace(0, 1, 50)
    values = np.where(np.arange(50) % 3 == 0, s, np.nan)
    assert sparkline(s, values, 8)[0] == "▁"
    assert sparkline(s, np.full(50, np.nan), 8) == ""


def test_symbols_have_their_ascii_form():
    assert ascii_only("|β + ỹ| ≤ e^{−s}, ‖Ω‖², S_ℓ⁺ → −β^(ℓ) … λ₀") == (
        "|beta + y~| <= e^{-s}, ||Omega||^2, S_l+ -> -beta^(l) ... lambda0"
    )
    for certificate in certificates(separated()).values():
        assert "?" not in ascii_only(certificate.statement + certificate.source + certificate.hypothesis)
