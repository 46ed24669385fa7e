"""Certificates of sections 8 and 9: each seen to hold, to be violated, and not to be met."""

from __future__ import annotations

import numpy as np
import pytest
from certified_runs import certificates, clustered, collapsed, collapsed_on_data, separated
from recorded_runs import Recorded, damaged

from truncflow_cli.diagnostics.certificates.least_squares import exponential_solution
from truncflow_cli.diagnostics.certificates.propagators import integrate
from truncflow_cli.diagnostics.output_weight import spectral_gap

OF_SECTION_8 = ("invariant", "propagators", "loss_bound", "norm_bounds", "limit")
OF_SECTION_9 = ("clustered_data", "closed_form", "least_squares")
OF_EVERY_FLOW = ("stored_loss", "loss_monotone", "gradient_parts", "energy_balance", "dissipation")


def verdicts(run: Recorded) -> dict[str, str]:
    return {name: certificate.verdict for name, certificate in certificates(run).items()}


@pytest.mark.parametrize("scale", [0.3, 3.0])
@pytest.mark.parametrize("name", [*OF_SECTION_8, *OF_EVERY_FLOW])
def test_both_signs_of_the_spectral_gap_hold(scale, name):
    certificate = certificates(collapsed(scale))[name]
    assert certificate.verdict == "holds", certificate.hypothesis


@pytest.mark.parametrize("name", ["loss_bound", "norm_bounds", "limit"])
def test_without_a_gap_nothing_is_claimed(name):
    assert verdicts(collapsed(1.0))[name] == "hypothesis not met"


def test_positive_invariant_gives_no_rate_unless_there_are_as_many_clusters_as_dimensions():
    three = "[[1,0],[0,1],[1,1]]"
    bias = "[[2.0, 0.1], [0.0, 2.0], [0.3, 1.0]]"
    positive = certificates(collapsed(0.2, labels=three, bias=bias))["loss_bound"]
    assert positive.verdict == "hypothesis not met"
    assert "C = 3 ≠ Q = 2" in positive.hypothesis
    assert certificates(collapsed(4.0, labels=three, bias=bias))["loss_bound"].verdict == "holds"


def test_neither_product_bounded_below_leaves_the_propagators_alone():
    bias = "[[1.0, 0.0]]"
    run = collapsed(0.0, labels="[[0.0, 1.0]]", bias=bias)
    assert verdicts(run)["propagators"] == "hypothesis not met"


@pytest.mark.parametrize(
    ("name", "array", "change"),
    [
        ("invariant", "B", 1e-6),
        ("stored_loss", "B", 1e-6),
        ("dissipation", "W", 1e-3),
        ("loss_bound", "W", 1.0),
        ("norm_bounds", "B", 10.0),
        ("limit", "W", 0.5),
    ],
)
def test_pushed_state_violates_the_statement(name, array, change):
    run = collapsed(3.0)
    pushed = getattr(run, array).copy()
    pushed[-1] += change
    assert verdicts(damaged(run, **{array: pushed}))[name] == "violated"


def test_slower_flow_violates_the_rate():
    run = collapsed(3.0)
    slow = damaged(run, s=run.s * 3.0)
    assert verdicts(slow)["loss_bound"] == "violated"


def test_data_that_start_collapsed_stay_so_or_are_seen_to_leave():
    stay, leave = certificates(collapsed_on_data(0.3)), certificates(collapsed_on_data(6.0))
    assert stay["collapsed_data"].verdict == "holds"
    assert leave["collapsed_data"].verdict == "violated"
    assert "first at s = " in leave["collapsed_data"].hypothesis


def test_data_that_do_not_start_collapsed_do_not_meet_the_hypothesis():
    run = collapsed_on_data(0.3)
    assert verdicts(damaged(run, B=run.B - 50.0))["collapsed_data"] == "hypothesis not met"


def test_collapsed_run_without_clusters_has_no_data_to_judge():
    assert verdicts(collapsed(3.0))["collapsed_data"] == "not applicable"


@pytest.mark.parametrize("name", [*OF_SECTION_9, *OF_EVERY_FLOW])
@pytest.mark.parametrize("weights", ["1/N", "1/N_j"])
def test_clustered_statements_hold(name, weights):
    certificate = certificates(clustered(weights=weights))[name]
    assert certificate.verdict == "holds", certificate.hypothesis


def test_rank_deficient_data_have_the_closed_form_but_not_the_theorem():
    found = certificates(clustered(third=0.0, s_end=1e6))
    assert found["closed_form"].verdict == "holds"
    assert found["least_squares"].verdict == "hypothesis not met"
    assert "rank 2 of Q = 3" in found["least_squares"].hypothesis


def test_truncated_points_do_not_meet_the_hypothesis_of_section_9():
    run = clustered(start="rotation: identity, bias: zero")
    found = certificates(run)["clustered_data"]
    assert found.verdict == "hypothesis not met"
    assert found.value == pytest.approx(run.x.min())


@pytest.mark.parametrize(
    ("name", "change"), [("closed_form", 1e-6), ("stored_loss", 1e-6), ("least_squares", 1e-3)]
)
def test_pushed_output_weight_violates_the_statement(name, change):
    run = clustered()
    W = run.W.copy()
    W[-1] += change
    assert verdicts(damaged(run, W=W))[name] == "violated"


@pytest.mark.parametrize("name", [*OF_SECTION_8, *OF_SECTION_9, "collapsed_data"])
def test_statements_about_another_flow_are_not_applicable(name):
    assert verdicts(separated())[name] == "not applicable"


def test_spectral_gap_is_that_of_the_definite_side():
    rng = np.random.default_rng(5)
    B, W = rng.normal(size=(3, 3)) + 4 * np.eye(3), 0.1 * rng.normal(size=(3, 3))
    gap = spectral_gap(B, W)
    assert gap.of == "B"
    assert gap.rate == pytest.approx(np.linalg.eigvalsh(B @ B.T - W.T @ W).min())
    other = spectral_gap(W, B)
    assert other.of == "W"
    assert other.rate == pytest.approx(np.linalg.eigvalsh(B.T @ B - W @ W.T).min())


def test_propagators_carry_the_residual():
    """(8.11) with the products it needs: E(s) = U_L E(0) U_R, ∂U_L = −WWᵀU_L, ∂U_R = −U_R BᵀB."""
    rng = np.random.default_rng(6)
    B, W, Y = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    s = np.linspace(0.0, 0.7, 29)
    path_B, path_W, U_B, U_W = integrate(B, W, Y, s)
    h = s[1] - s[0]
    # The propagators by their own equations: differences of fourth order in the middle of the path.
    m = 14
    for U, generator in (
        (U_B, -U_B[m] @ path_B[m] @ path_B[m].T),
        (U_W, -path_W[m].T @ path_W[m] @ U_W[m]),
    ):
        slope = (8 * (U[m + 1] - U[m - 1]) - (U[m + 2] - U[m - 2])) / (12 * h)
        np.testing.assert_allclose(slope, generator, atol=1e-4 * np.abs(generator).max())


def test_exponential_solves_the_equation_whatever_the_rank():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(9, 3)) @ np.diag([1.0, 1.0, 0.0])
    y = rng.normal(size=(9, 2, 3))[:, 0]
    A, K, W = x.T @ x / 9, y.T @ x / 9, rng.normal(size=(3, 3))
    h = 1e-3
    at = [exponential_solution(W, A, K, s) for s in (1.0 - h, 1.0, 1.0 + h)]
    np.testing.assert_allclose((at[2] - at[0]) / (2 * h), -at[1] @ A + K, atol=1e-5)
    np.testing.assert_allclose(exponential_solution(W, A, K, 0.0), W, atol=1e-15)
