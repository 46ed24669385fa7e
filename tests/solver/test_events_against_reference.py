"""End states, losses and events, with releases and pins, are those of an independent integrator.

The reference (tests/reference) knows the loss as a forward pass, and nothing of moments or of Taylor series.
"""

from __future__ import annotations

import numpy as np
import pytest
from reference.compare import difference, run_solver
from reference.problems import CATALOGUE, contents
from reference.runs import catalogued, reference_run, stored_run

#: Both at rtol 1e-10 (the reference far below it): end states and event times agree to this.
TOLERANCE = 1e-9

names = pytest.mark.parametrize("name", CATALOGUE)


@names
def test_run_agrees_with_the_reference(name):
    problem = catalogued(name)
    found = difference(run_solver(problem), stored_run(name), problem.settings.s_end)
    assert found.unmatched == ()
    assert found.times < TOLERANCE
    assert found.state < TOLERANCE
    assert found.loss < TOLERANCE


@names
def test_reference_contains_what_the_catalogue_says(name):
    reference = stored_run(name)
    assert contents(reference.events) == CATALOGUE[name][1]
    assert reference.ambiguous == ()


@names
def test_energy_balance_of_the_reference_is_zero_to_rounding(name):
    assert np.abs(stored_run(name).energy_balance).max() < 1e-12


@pytest.mark.parametrize("name", ["pins left both ways", "pinned at the start", "general, two layers"])
def test_stored_reference_is_what_the_reference_gives(name):
    fresh, stored = reference_run(catalogued(name)), stored_run(name)
    assert [event[1:] for event in fresh.events] == [event[1:] for event in stored.events]
    assert all(abs(a[0] - b[0]) < 1e-11 for a, b in zip(fresh.events, stored.events, strict=True))
    for field in ("beta", "R", "loss"):
        assert np.abs(getattr(fresh, field) - getattr(stored, field)).max() < 1e-11
