"""Certificates of the separated and general flow: each seen to hold, to be violated, not to be met."""

from __future__ import annotations

import numpy as np
import pytest
from certified_runs import (
    certificates,
    concentrated,
    general_separated,
    losing_separation,
    not_separated,
    separated,
    untruncated,
)
from recorded_runs import Recorded, damaged

from truncflow_cli.diagnostics import names
from truncflow_cli.events import Kind


def nudged(run: Recorded, name: str, at: int, size: float) -> Recorded:
    """Return the run with one saved state pushed aside, and the loss that belongs to it."""
    array = getattr(run, name).copy()
    array[at] += size
    return damaged(run, **{name: array})


def verdict(run: Recorded, name: str) -> str:
    return certificates(run)[name].verdict


HOLDING = [
    *((separated, name) for name in ("stored_loss", "loss_monotone", "gradient_parts", "energy_balance")),
    *(
        (separated, name)
        for name in ("dissipation", "event_log", "orthogonality", "separation", "composition")
    ),
    (separated, "general_equals_separated"),
    (separated, "within_loss"),
    (general_separated, "separation"),
    (general_separated, "general_equals_separated"),
    (general_separated, "loss_monotone"),
    (untruncated, "equilibrium"),
    *((concentrated, name) for name in ("equilibrium", "collapse_law", "full_truncation", "bias_decay")),
    (concentrated, "neural_collapse"),
]


@pytest.mark.parametrize(("make", "name"), HOLDING)
def test_statement_holds(make, name):
    certificate = certificates(make())[name]
    assert certificate.verdict == "holds", certificate.hypothesis
    assert certificate.margin >= 0.0


def test_many_layers_compose_as_well_as_their_rotations_allow():
    """Rounding off orthogonality adds up over the layers, within what `orthogonality` allows."""
    run = separated()
    R = run.R.copy()
    R[-1] += 2e-13 * np.eye(R.shape[-1])
    drifted = certificates(damaged(run, R=R))
    assert drifted["orthogonality"].verdict == "holds"
    assert drifted["composition"].verdict == "holds"
    assert drifted["composition"].value > 1e-13


@pytest.mark.parametrize("name", ["frozen_times", "frozen_path"])
def test_frozen_statements_hold(name):
    certificate = certificates(separated(frozen="true"))[name]
    assert certificate.verdict == "holds", certificate.hypothesis


NOT_MET = [
    *((separated, name) for name in ("equilibrium", "collapse_law", "full_truncation", "bias_decay")),
    (separated, "neural_collapse"),
    *((lambda: not_separated("separated"), name) for name in ("separation", "composition")),
    *((lambda: not_separated("general"), name) for name in ("separation", "general_equals_separated")),
    (lambda: damaged_to_start(separated()), "dissipation"),
    (lambda: damaged_to_start(separated()), "event_log"),
    (lambda: resting_and_frozen(), "frozen_times"),
]


def damaged_to_start(run: Recorded) -> Recorded:
    """Return what is left of a run that was cut off right after its start."""
    arrays = ("s", "loss", "loss_cluster", "energy_balance", "beta", "R", "truncated_fraction")
    kept = {name: getattr(run, name)[:1] for name in arrays}
    return damaged(run, **kept, events=run.events[run.events["s"] <= 0.0])


def resting_and_frozen() -> Recorded:
    run = untruncated()
    return damaged(run, attrs={**run.attrs, "rotation_frozen": True})


@pytest.mark.parametrize(("make", "name"), NOT_MET)
def test_hypothesis_is_not_met(make, name):
    certificate = certificates(make())[name]
    assert certificate.verdict == "hypothesis not met", certificate.hypothesis


def test_pushed_state_is_seen_in_loss_and_dissipation():
    found = certificates(nudged(separated(), "beta", 50, 1e-5))
    assert found["stored_loss"].verdict == "violated"
    assert found["dissipation"].verdict == "violated"
    assert found["energy_balance"].verdict == "holds"  # D(s) was left alone


@pytest.mark.parametrize("size", [1e-9, 1e-3])
def test_stored_loss_that_is_not_the_states_is_violated(size):
    run = separated()
    assert verdict(nudged(run, "loss", 7, size), "stored_loss") == "violated"
    parts = run.loss_cluster.copy()
    parts[7] += [size, -size]
    assert verdict(damaged(run, loss_cluster=parts), "stored_loss") == "violated"


def test_growing_loss_is_violated():
    run = separated()
    backwards = {name: getattr(run, name)[::-1].copy() for name in ("beta", "R", "loss", "loss_cluster")}
    found = certificates(damaged(run, **backwards))
    assert found["stored_loss"].verdict == "holds"
    assert found["loss_monotone"].verdict == "violated"
    assert found["loss_monotone"].value == pytest.approx(np.diff(run.loss[::-1]).max())
    assert found["dissipation"].verdict == "violated"


def test_balance_out_of_tolerance_is_violated():
    run = separated()
    assert verdict(nudged(run, "energy_balance", 100, 1e-6), "energy_balance") == "violated"
    assert verdict(nudged(run, "energy_balance", 100, np.nan), "energy_balance") == "violated"


def test_looser_tolerances_allow_more_imbalance():
    run = separated()
    loose = damaged(run, config=run.config.replace("rtol: 1.0e-09", "rtol: 1.0e-06"))
    assert loose.config != run.config
    bounds = [certificates(each)["energy_balance"].bound for each in (run, loose)]
    assert 100 * bounds[0] < bounds[1]


def test_printed_equations_come_out_as_they_are():
    found = certificates(separated(equations="printed"))
    for name in (
        "loss_monotone",
        "gradient_parts",
        "energy_balance",
        "dissipation",
        "general_equals_separated",
    ):
        assert found[name].verdict == "violated", name
    assert found["stored_loss"].verdict == "holds"
    assert (found["gradient_parts"].series["beta_part"] <= 0.0).all()
    assert found["gradient_parts"].series["R_part"].max() > 1e-3


def test_parts_of_the_exact_flow_are_minus_the_squares_of_its_gradient():
    run = separated()
    parts = certificates(run)["gradient_parts"].series
    power = (parts["beta_part"] + parts["R_part"])[50:]
    # In the quiet half of the run the trapezoidal rule is enough: the loss falls by their integral.
    fallen = np.sum(0.5 * (power[1:] + power[:-1]) * np.diff(run.s[50:]))
    assert run.loss[-1] - run.loss[50] == pytest.approx(fallen, rel=1e-4)
    assert (parts["R_part"] < 0.0).all()


def test_turned_rotation_is_not_orthogonal():
    run = separated()
    R = run.R.copy()
    R[30, 1] *= 1.0 + 1e-11
    found = certificates(damaged(run, R=R))["orthogonality"]
    assert found.verdict == "violated"
    assert found.value == pytest.approx(2e-11 * np.sqrt(2), rel=1e-2)


def test_lost_separation_is_violated_and_named():
    run = separated()
    row = run.events[:1].copy()
    row["s"], row["kind"], row["layer"], row["cluster"], row["point"] = 5.0, Kind.SEPARATION_LOST, 1, 0, 3
    events = np.sort(np.concatenate([run.events, row]), order="s")
    found = certificates(damaged(run, events=events))["separation"]
    assert found.verdict == "violated"
    assert "s = 5" in found.hypothesis


@pytest.mark.parametrize(
    ("then", "expected", "words"),
    [
        ("record", "violated", "first lost at s = 0.0947"),
        ("stop", "holds", "where the run stopped"),
        ("switch", "holds", "where the run went on with the general flow"),
    ],
)
def test_separation_is_judged_up_to_where_the_run_was_to_heed_it(then, expected, words):
    found = certificates(losing_separation(then))
    assert found["separation"].verdict == expected
    assert words in found["separation"].hypothesis
    others = [c.name for c in found.values() if c.verdict == "violated" and c.name != "separation"]
    assert not others


def test_separation_lost_where_the_run_was_to_stop_still_holds():
    run = separated()
    row = run.events[:1].copy()
    row["s"], row["kind"], row["layer"], row["cluster"], row["point"] = 10.0, Kind.SEPARATION_LOST, 1, 0, 3
    stopping = run.config.replace("on_separation_lost: record", "on_separation_lost: stop")
    assert stopping != run.config
    events = np.concatenate([run.events, row])
    assert verdict(damaged(run, events=events, config=stopping), "separation") == "holds"
    assert verdict(damaged(run, events=events), "separation") == "violated"


def test_separation_that_the_log_misses_is_violated():
    run = separated()
    beta = run.beta.copy()
    beta[60] -= 5.0
    found = certificates(damaged(run, beta=beta))["separation"]
    assert found.verdict == "violated"
    assert "log misses" in found.hypothesis


def test_event_missing_from_the_log_is_violated():
    run = separated()
    crossings = np.flatnonzero(run.events["kind"] == Kind.TRUNCATE)
    assert verdict(damaged(run, events=np.delete(run.events, crossings[5])), "event_log") == "violated"


def test_cluster_that_moves_though_untruncated_is_violated():
    found = certificates(nudged(untruncated(), "beta", 5, 1e-6))
    assert found["equilibrium"].verdict == "violated"


def test_collapsed_cluster_that_turns_is_violated():
    run = concentrated()
    turn = np.array([[np.cos(1e-5), -np.sin(1e-5)], [np.sin(1e-5), np.cos(1e-5)]])
    R = run.R.copy()
    R[-1, 0] = turn @ R[-1, 0]
    found = certificates(damaged(run, R=R))
    assert found["equilibrium"].verdict == "violated"
    assert found["collapse_law"].verdict == "violated"


def test_bias_off_the_exact_law_is_violated():
    found = certificates(nudged(concentrated(), "beta", 150, 1e-5))
    assert found["collapse_law"].verdict == "violated"


def test_truncation_later_than_its_bound_is_violated():
    run = concentrated()
    certificate = certificates(run)["full_truncation"]
    late = run.events.copy()
    late["s"] += certificate.bound
    # The states agree: the cluster is held back for as long.
    held = run.s <= certificate.bound + run.events["s"].max()
    beta, R = run.beta.copy(), run.R.copy()
    beta[held], R[held] = beta[0], R[0]
    found = certificates(damaged(run, events=late, beta=beta, R=R))
    assert found["full_truncation"].verdict == "violated"
    assert found["bias_decay"].verdict == "violated"


def test_log_is_not_believed_against_the_states():
    run = concentrated()
    early = run.events.copy()
    early["s"] = 1e-3
    found = certificates(damaged(run, events=early))["full_truncation"]
    assert found.value >= run.events["s"].min()


def test_truncation_bound_beyond_the_end_of_the_run_is_not_judged():
    run = concentrated(s_end=0.1)
    certificate = certificates(run)["full_truncation"]
    assert certificate.verdict == "hypothesis not met"
    assert "ends at s = 0.1" in certificate.hypothesis


@pytest.mark.parametrize("change", ["late", "gone", "extra"])
def test_frozen_event_that_is_not_where_it_should_be_is_violated(change):
    run = separated(frozen="true")
    events = run.events.copy()
    at = np.flatnonzero(events["kind"] == Kind.TRUNCATE)[10]
    if change == "late":
        events["s"][at] += 1e-7
    elif change == "gone":
        events = np.delete(events, at)
    else:
        extra = events[at : at + 1].copy()
        extra["point"] += 1
        extra["kind"] = Kind.RELEASE
        events = np.insert(events, at, extra)
    found = certificates(damaged(run, events=events))
    assert found["frozen_times"].verdict == "violated"
    assert found["frozen_path"].verdict == "holds"


def test_frozen_bias_off_its_path_is_violated():
    assert verdict(nudged(separated(frozen="true"), "beta", 40, 1e-7), "frozen_path") == "violated"


def test_collapsed_points_that_are_apart_are_violated():
    run = concentrated()
    beta = run.beta.copy()
    beta[-1] += 4.0  # out of S⁻ again, whatever the log says
    found = certificates(damaged(run, beta=beta))["neural_collapse"]
    assert found.verdict == "violated"
    assert found.value == pytest.approx(found.series["within"][-1])


def test_every_statement_is_judged_on_every_run():
    for run in (separated(), general_separated(), concentrated(), not_separated("general")):
        assert list(certificates(run)) == names()


@pytest.mark.parametrize("flow", ["separated", "general"])
@pytest.mark.parametrize("seed", range(4))
def test_runs_with_pins_are_certified_without_a_false_alarm(flow, seed):
    run = not_separated(flow, seed)
    found = certificates(run)
    assert not [c for c in found.values() if c.verdict == "violated"]
    parts = found["gradient_parts"].series["largest_part"]
    assert np.isfinite(parts).mean() > 0.9


def test_series_lie_along_the_saved_times():
    run = separated()
    for certificate in certificates(run).values():
        for name, values in certificate.series.items():
            assert values.shape == run.s.shape, (certificate.name, name)
