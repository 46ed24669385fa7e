"""End states, losses and events of problems with crossings, releases and pins are those of an independent integrator.

The reference (tests/reference) knows the loss as a forward pass, and nothing of moments or of Taylor series.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from reference.compare import difference, run_solver
from reference.problems import CATALOGUE, Reference, contents, reference_run

#: Both at rtol 1e-10 (the reference far below it): end states and event times agree to this.
TOLERANCE = 1e-9


@cache
def reference_of(name: str) -> Reference:
    return reference_run(CATALOGUE[name][0]())


@pytest.mark.parametrize("name", CATALOGUE)
def test_run_agrees_with_the_reference(name):
    problem = CATALOGUE[name][0]()
    reference = reference_of(name)
    found = difference(run_solver(problem), reference, problem.settings.s_end)
    assert found.unmatched == ()
    assert found.times < TOLERANCE
    assert found.state < TOLERANCE
    assert found.loss < TOLERANCE


@pytest.mark.parametrize("name", CATALOGUE)
def test_reference_contains_what_the_catalogue_says(name):
    reference = reference_of(name)
    assert contents(reference.events) == CATALOGUE[name][1]
    assert reference.ambiguous == ()


@pytest.mark.parametrize("name", CATALOGUE)
def test_energy_balance_of_the_reference_is_zero_to_rounding(name):
    assert np.abs(reference_of(name).energy_balance).max() < 1e-12
