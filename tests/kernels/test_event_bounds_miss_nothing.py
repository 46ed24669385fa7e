"""The general flow looks at few points in a step; no coordinate of the others may leave its side meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_problems import flow_of, furthest_on_the_wrong_side, network_problem

from truncflow_cli.flows.general import GeneralFlow
from truncflow_cli.solver.loop import EventLoop

#: Rounding error of a coordinate, generously, relative to the size of the data.
ROUNDING = 3e-13


class Checked(GeneralFlow):
    """Looks at every coordinate after each step has been searched."""

    worst = 0.0
    steps = 0

    def step_many(self, *_):
        return None

    def observe(self, t):
        series = self.dense_output()
        for part in np.linspace(0.0, 1.0, 7):
            powers = (part * t) ** np.arange(series.path.energy.size)
            R, b = (np.tensordot(powers, array, 1) for array in (series.path.R, series.path.b))
            self.worst = max(self.worst, furthest_on_the_wrong_side(self, R, b))
        self.steps += 1
        return super().observe(t)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    dim=st.integers(1, 4),
    layers=st.integers(1, 3),
    clusters=st.integers(1, 3),
    points=st.integers(3, 120),
)
def test_every_coordinate_stays_on_its_side_until_the_crossing_found(seed, dim, layers, clusters, points):
    flow = flow_of(network_problem(seed, dim, layers, clusters, points))
    flow.__class__ = Checked
    solver = EventLoop(flow, 0.4)
    solver.start()
    while not solver.finished:
        solver.advance()
    assert flow.steps > 0 or flow.at_rest()
    assert flow.worst < ROUNDING


@pytest.mark.parametrize(("layers", "apart"), [(3, 0.0), (2, 2.0)])
def test_the_fast_path_leaves_no_coordinate_behind(layers, apart):
    flow = flow_of(network_problem(5, 3, layers, 3, 1500, apart))
    solver = EventLoop(flow, 0.2)
    solver.start()
    pieces = 0
    while not solver.finished:
        solver.advance(solver.s + 0.01)
        assert furthest_on_the_wrong_side(flow, flow.R, flow.b) < ROUNDING
        pieces += 1
    assert pieces > 10
    assert flow.counters.roots > 100


def test_few_points_are_looked_at_however_many_there_are():
    looked_at = []
    for points in (1_000, 16_000):
        flow = flow_of(network_problem(2, points=points))
        solver = EventLoop(flow, 0.02)
        solver.start()
        while not solver.finished:
            solver.advance(np.inf)
        looked_at.append(flow.counters.candidates / flow.counters.roots)
    assert looked_at[1] < 2.0 * looked_at[0]
