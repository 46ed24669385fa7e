"""Along every trajectory the derivative is minus the gradient of the loss, by complex step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference import problems
from reference.autodiff import expected_field, measured_field, replayed_pattern
from reference.compare import run_solver
from reference.loss import all_pre_activations

#: Spacing of nine samples; eighth-order differences of smooth pieces are then at rounding level.
SPACING = 2e-3


def random_states(flow: str, count: int) -> list[problems.Problem]:
    dims = [(2, 2, 2), (3, 3, 2), (3, 1, 1), (4, 2, 3)]
    made = []
    for seed in range(count):
        dim, layers, clusters = dims[seed % len(dims)]
        if flow == "separated":
            layers = clusters
        made.append(problems.normal(flow, 1000 + seed, 12, dim, layers, clusters))
    return made


@pytest.mark.parametrize("flow", ["separated", "general"])
def test_field_at_random_states_is_minus_the_gradient_to_1e_12(flow):
    smooth = 0
    for problem in random_states(flow, 24):
        short = replace(
            problem,
            s_save=SPACING * np.arange(9),
            settings=problem.settings.replace(s_end=8 * SPACING, rtol=1e-13, atol=1e-15),
        )
        solved = run_solver(short)
        if solved.crossings:
            continue
        smooth += 1
        beta, R = solved.samples["beta"], solved.samples["R"]
        measured = measured_field(beta, R, SPACING)
        h, _ = replayed_pattern(short, solved.events, 0.0)
        wanted = expected_field(short, beta[4], R[4], h, [])
        scale = 1.0 + max(np.abs(part).max() for part in wanted)
        for got, want in zip(measured, wanted, strict=True):
            # nine samples with rounding errors of a few 1e-16 each, divided by the spacing
            assert np.abs(got - want).max() < 3e-12 * scale
    assert smooth >= 8


CASES = {
    "crossings both ways": lambda: problems.separated_normal(2),
    "pins left on both sides": lambda: problems.separated_normal(63),
    "coinciding points, pinned": lambda: problems.coincident(problems.separated_normal(2, 8), 2),
    "pinned at the start": lambda: problems.on_surfaces(problems.separated_normal(48, 8), 48),
    "two clusters": lambda: problems.separated_normal(21, 14, 2, 2),
    "general, one layer": lambda: problems.general_normal(0, 12, 3, 1, 2),
    "general, pinned in two layers": lambda: problems.general_normal(10, 12, 3, 3, 3, 1.5),
    "general, four layers": lambda: problems.general_normal(3, 8, 2, 4, 1, 2.0),
    "general, equal layers": lambda: problems.equal_layers(0, 5, 2, 3, 1, 2.0),
}


@pytest.mark.parametrize("name", CASES)
def test_derivative_along_trajectory_is_minus_the_gradient(name):
    problem = CASES[name]()
    s_end = problem.settings.s_end
    starts = np.linspace(0.0, s_end - 8 * SPACING, 40)
    s_save = np.unique(
        np.concatenate([[0.0], *[start + SPACING * np.arange(9) for start in starts], [s_end]])
    )
    solved = run_solver(replace(problem, s_save=s_save))
    crossings = np.array([event[0] for event in solved.crossings])
    tested = pinned_too = 0
    for start in starts:
        window = (start, start + 8 * SPACING)
        if ((crossings > window[0]) & (crossings < window[1])).any():
            continue
        at = np.searchsorted(s_save, start - 1e-12) + np.arange(9)
        beta, R = solved.samples["beta"][at], solved.samples["R"][at]
        h, pinned = replayed_pattern(problem, solved.events, s_save[at[4]])
        measured = measured_field(beta, R, SPACING)
        wanted = expected_field(problem, beta[4], R[4], h, pinned)
        for got, want in zip(measured, wanted, strict=True):
            assert np.abs(got - want).max() < 1e-7, f"at s = {s_save[at[4]]}, pinned {pinned}"
        tested += 1
        pinned_too += bool(pinned)
    assert tested >= 15
    assert pinned_too >= 1 or "pin" not in name


def test_replayed_pattern_is_that_of_the_forward_pass():
    problem = problems.general_normal(4, 10, 2, 2, 2)
    solved = run_solver(problem)
    compared = 0
    for k, s in enumerate(problem.s_save):
        h, pinned = replayed_pattern(problem, solved.events, s)
        z = all_pre_activations(problem.x, solved.samples["beta"][k], solved.samples["R"][k])
        held = np.zeros(z.shape, bool)
        for key in pinned:
            held[key] = True
            assert abs(z[key]) < 1e-9
        clear = ~held & (np.abs(z) > 1e-9)
        assert ((z > 0) == (h > 0))[clear].all()
        compared += clear.sum()
    assert compared > 1000


def test_printed_equations_differ_from_the_gradient_by_the_missing_term():
    """(3.25) as printed is the gradient's Omega plus 1/2 mean [H, z z^T]; d_s beta is the same."""
    smooth = 0
    for problem in random_states("separated", 12):
        short = replace(
            problem,
            equations="printed",
            s_save=SPACING * np.arange(9),
            settings=problem.settings.replace(s_end=8 * SPACING, rtol=1e-13, atol=1e-15),
        )
        solved = run_solver(short)
        if solved.crossings:
            continue
        smooth += 1
        beta, R = solved.samples["beta"], solved.samples["R"]
        along_beta, Omega = measured_field(beta, R, SPACING)
        h, _ = replayed_pattern(short, solved.events, 0.0)
        wanted_beta, wanted_Omega = expected_field(short, beta[4], R[4], h, [])
        for layer in range(problem.n_layers):
            own = problem.cluster == layer
            z = (problem.x[own] + beta[4, layer]) @ R[4, layer].T
            H = np.apply_along_axis(np.diag, 1, h[layer, own])
            zz = np.einsum("ij,ik->ijk", z, z)
            wanted_Omega[layer] += 0.5 * (H @ zz - zz @ H).mean(axis=0)
        assert np.abs(along_beta - wanted_beta).max() < 1e-11
        assert np.abs(Omega - wanted_Omega).max() < 1e-11
    assert smooth >= 4
