"""Random problems for property tests: a maker by its name, a seed, and few enough examples."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from reference import problems

#: Seeds with events for which the reference finds one continuation only at every instant. Where the kinks of several
#: layers meet, `general` may have more than one, and rounding may then choose between them.
ONE_WAY_GENERAL = (
    *(
        0,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        13,
        14,
        17,
        19,
        20,
        21,
        22,
        24,
        26,
        27,
        30,
        31,
        32,
        33,
        35,
        36,
        37,
        38,
        39,
    ),
    *(40, 41, 42, 45, 47, 48, 49, 50, 51, 53, 54, 55, 56, 57, 58, 59),
)
ONE_WAY_DEEP = (
    *(
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        9,
        10,
        12,
        13,
        14,
        15,
        16,
        17,
        18,
        20,
        21,
        22,
        23,
        27,
        28,
        29,
        31,
        32,
        33,
        35,
        36,
        37,
    ),
    *(38, 39, 40, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 54, 55, 57, 58, 59),
)

MAKERS = {
    "separated": lambda seed: problems.separated_normal(seed, 10, 3, 2),
    "coincident": lambda seed: problems.coincident(problems.separated_normal(seed, 8), seed),
    "general": lambda seed: problems.general_normal(
        ONE_WAY_GENERAL[seed % len(ONE_WAY_GENERAL)], 8, 2, 2, 2, 2.0
    ),
    "deep": lambda seed: problems.general_normal(ONE_WAY_DEEP[seed % len(ONE_WAY_DEEP)], 8, 3, 3, 2, 1.5),
}

makers = pytest.mark.parametrize("maker", MAKERS)
seeds = st.integers(0, 10_000)
few = settings(max_examples=6, deadline=None, derandomize=True)
