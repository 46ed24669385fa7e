"""Saved times: increasing, from 0 to s_end, as count, spacing, at or every say."""

from __future__ import annotations

import numpy as np
import pytest
from config_samples import ROWS_OF_TWO, built, complaint
from hypothesis import given
from hypothesis import strategies as st

from truncflow_cli.config.arrays import saved_times
from truncflow_cli.config.errors import Fault
from truncflow_cli.config.schema import Save


def times(text: str, s_end: float = 10) -> np.ndarray:
    return built(f"integrator: {{s_end: {s_end}}}\nsave: {{{text}}}\n{ROWS_OF_TWO}").problem.s_save


def test_each_rule_gives_its_times() -> None:
    np.testing.assert_array_equal(times(""), np.linspace(0, 10, 401))
    np.testing.assert_array_equal(times("count: 5"), [0, 2.5, 5, 7.5, 10])
    np.testing.assert_array_equal(times("at: [1, 2.5]"), [0, 1, 2.5, 10])
    np.testing.assert_array_equal(times("at: [0, 3, 10]"), [0, 3, 10])
    np.testing.assert_allclose(times("every: 4"), [0, 4, 8, 10])
    np.testing.assert_allclose(times("every: 0.1", 0.3), [0, 0.1, 0.2, 0.3])
    np.testing.assert_array_equal(times("every: 50"), [0, 10])
    np.testing.assert_allclose(times("count: 6, spacing: log"), [0, 1e-3, 1e-2, 1e-1, 1, 10], rtol=1e-14)
    np.testing.assert_allclose(times("count: 4, spacing: log, first: 0.1"), [0, 0.1, 1, 10], rtol=1e-14)
    np.testing.assert_array_equal(times("count: 2, spacing: log"), [0, 10])


@pytest.mark.parametrize("rule", ["", "count: 7", "count: 7, spacing: log", "every: 0.1", "at: [0]"])
def test_a_run_that_ends_at_once_saves_its_start(rule: str) -> None:
    np.testing.assert_array_equal(times(rule, 0), [0])


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("at: [1, 20]", "demo:2: save.at.1: 20 lies beyond integrator.s_end = 10"),
        ("every: 1e-300", "demo:2: save.every: 1e-300 makes more than 10000000 saved times up to s_end = 10"),
        ("every: 1e-9", "makes more than 10000000 saved times"),
        ("count: 1e12", "demo:2: save.count: must be at most 1e+07, not 1000000000000"),
        (
            "count: 5, spacing: log, first: 10",
            "demo:2: save.first: 10 is not between 0 and integrator.s_end = 10",
        ),
        ("spacing: lin", "save.spacing: 'lin' is not allowed (did you mean 'linear'?)"),
    ],
)
def test_impossible_times_are_refused(rule: str, said: str) -> None:
    assert said in complaint(f"integrator: {{s_end: 10}}\nsave: {{{rule}}}\n{ROWS_OF_TWO}")


def test_times_closer_than_doubles_are_refused() -> None:
    with pytest.raises(Fault, match="are not distinct numbers"):
        saved_times(Save(count=1000), 1e-322)


@given(
    st.one_of(
        st.builds(lambda count: Save(count=count), st.integers(2, 300)),
        st.builds(lambda count: Save(count=count, spacing="log"), st.integers(2, 300)),
        st.builds(lambda every: Save(every=every), st.floats(1e-2, 1e3)),
    ),
    st.floats(1e-3, 50),
)
def test_times_increase_from_zero_to_the_end(save: Save, s_end: float) -> None:
    result = saved_times(save, s_end)
    assert result[0] == 0
    assert result[-1] == s_end
    assert (np.diff(result) > 0).all()
    if save.every is not None:
        np.testing.assert_allclose(np.diff(result)[:-1], save.every, rtol=1e-9)
        assert result[-1] - result[-2] <= save.every * (1 + 1e-9)
