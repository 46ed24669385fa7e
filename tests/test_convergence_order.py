"""The error follows the tolerance: it falls in proportion to rtol, through crossings and through pinned stretches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference.compare import difference, run_solver
from reference.problems import (
    Reference,
    general_normal,
    normal,
    reference_run,
    separated_normal,
)
from truncflow_cli.model.problem import Problem

RTOLS = 10.0 ** -np.arange(3, 12)

PROBLEMS = {
    "crossings": (separated_normal(0), False),
    "pinned": (separated_normal(19, 14, 2, 2), True),
    "two pinned": (separated_normal(63), True),
    "general, crossings": (normal("general", 0, 10, 2, 2, 2, 3.0), False),
    "general, pinned": (general_normal(3, 12, 3, 1, 2), True),
    "general, five pinned at once": (general_normal(10, 9, 3, 2, 3, 2.0), True),
}


def errors(problem: Problem, reference: Reference) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the errors of the state and of event times and the largest |D(s)|, each for all of RTOLS."""
    rows = []
    for rtol in RTOLS:
        settings = replace(problem.settings, rtol=rtol, atol=1e-3 * rtol)
        solved = run_solver(replace(problem, settings=settings))
        found = difference(solved, reference, problem.settings.s_end, tolerance=1e-2)
        assert found.unmatched == ()
        rows.append((found.state, found.times, np.abs(solved.samples["energy_balance"]).max()))
    return tuple(np.array(rows).T)


@pytest.mark.parametrize("name", PROBLEMS)
def test_errors_fall_in_proportion_to_the_tolerance(name):
    problem, pinned = PROBLEMS[name]
    reference = reference_run(problem)
    assert any(kind == "pin" for _, kind, *_ in reference.events) == pinned
    assert reference.events
    for error in errors(problem, reference):
        order = np.polyfit(np.log10(RTOLS), np.log10(error + 1e-14), 1)[0]
        assert 0.8 < order < 1.25
        assert (error < RTOLS + 1e-12).all()
