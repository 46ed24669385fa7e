"""Random problems for property tests: a maker by its name, a seed, and few enough examples."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from reference import problems

MAKERS = {
    "separated": lambda seed: problems.separated_normal(seed, 10, 3, 2),
    "coincident": lambda seed: problems.coincident(problems.separated_normal(seed, 8), seed),
    "general": lambda seed: problems.general_normal(seed, 8, 2, 2, 2, 2.0),
    "deep": lambda seed: problems.general_normal(seed, 8, 3, 3, 2, 1.5),
}

makers = pytest.mark.parametrize("maker", MAKERS)
seeds = st.integers(0, 10_000)
few = settings(max_examples=6, deadline=None, derandomize=True)
