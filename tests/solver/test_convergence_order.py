"""Errors are below rtol, and fall in proportion to it, through crossings and through pinned stretches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference.compare import difference, run_solver
from reference.runs import Reference, catalogued, stored_run

from truncflow_cli.problem import Problem

RTOLS = 10.0 ** -np.arange(3, 12)

SEPARATED = ["crossings both ways", "plane, pins in both clusters", "pins left both ways"]
GENERAL = ["general, one layer", "general, two layers", "general, more clusters than layers"]


def errors(problem: Problem, reference: Reference) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the errors of the state and of event times and the largest |D(s)|, each for all of RTOLS."""
    rows = []
    for rtol in RTOLS:
        settings = problem.settings.replace(rtol=rtol, atol=1e-3 * rtol)
        solved = run_solver(replace(problem, settings=settings))
        found = difference(solved, reference, problem.settings.s_end, tolerance=1e-2)
        assert found.unmatched == ()
        rows.append((found.state, found.times, np.abs(solved.samples["energy_balance"]).max()))
    return tuple(np.array(rows).T)


@pytest.mark.parametrize("name", SEPARATED + GENERAL)
def test_errors_stay_below_the_tolerance(name):
    for error in errors(catalogued(name), stored_run(name)):
        assert (error < RTOLS + 1e-11).all()


@pytest.mark.parametrize("name", SEPARATED)
def test_errors_fall_in_proportion_to_the_tolerance(name):
    for error in errors(catalogued(name), stored_run(name)):
        order = np.polyfit(np.log10(RTOLS), np.log10(error + 1e-14), 1)[0]
        assert 0.8 < order < 1.25


def test_both_crossings_and_pinned_stretches_are_among_them():
    for names in (SEPARATED, GENERAL):
        kinds = [{kind for _, kind, *_ in stored_run(name).events} for name in names]
        assert all("truncate" in found for found in kinds)
        assert any("unpin" in found for found in kinds)
