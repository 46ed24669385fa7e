"""Only a few coordinates are looked at in a step; none of the others may leave its side meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truncflow_cli.config.schema import Integrator as Settings
from truncflow_cli.flows.points import layer_points
from truncflow_cli.flows.separated import LayerFlow
from truncflow_cli.kernels import compiled_layer
from truncflow_cli.problem import PINNED, UNTRUNCATED, Problem
from truncflow_cli.solver.loop import EventLoop

#: Rounding error of a coordinate, generously, relative to the size of the data.
ROUNDING = 1e-13


def flow_of(seed, dim, points, spread=1.0, foreign=0):
    """Return the flow of one cluster of normal points, with others scattered over a range of distances to watch."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(points + foreign, dim)) * np.exp(spread * rng.normal(size=(points + foreign, 1)))
    cluster = np.repeat([0, 1], [points, foreign])
    q, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    y = rng.normal(size=(2, dim))
    problem = Problem(
        "separated", "exact", x, cluster, y, y, np.array([q] * 2), rng.normal(size=(2, dim)), np.eye(dim),
        np.array([0.0, 2.0]), Settings(s_end=2.0),
    )  # fmt: skip
    return LayerFlow(layer_points(problem, 0), q, problem.beta0[0], rtol=1e-9, atol=1e-12, printed=False)


def furthest_on_the_wrong_side(flow, series, until):
    """Return by how much any coordinate is on the wrong side on [0, until], relative to the data (dense check)."""
    worst = 0.0
    sign = np.where(flow.pattern[:, 0] == UNTRUNCATED, 1.0, -1.0)
    sign[flow.pattern[:, 0] == PINNED] = 0.0
    size = flow.data.length.max() + np.abs(flow.b).max()
    for t in until * np.linspace(0.0, 1.0, 7):
        powers = t ** np.arange(series.path.energy.size)
        z = flow.data.x @ np.tensordot(powers, series.path.R[:, 0], 1).T + powers @ series.path.b[:, 0]
        worst = max(worst, float((-sign * z).max()))
    return worst / size


class Checked(LayerFlow):
    """Looks at every coordinate after each step has been searched."""

    worst = 0.0
    steps = 0

    def step_many(self, *_):
        return None

    def observe(self, t):
        watched = self.kernel.foreign_crossings(t)
        rows = super().observe(t)
        after, self.pattern = self.pattern, self.pattern.copy()
        for _, i, r in watched:  # some of them cross and come back
            self.pattern[i, 0, r] = PINNED
        self.worst = max(self.worst, furthest_on_the_wrong_side(self, self.dense_output(), t))
        self.pattern = after
        self.steps += 1
        return rows


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    dim=st.integers(1, 5),
    points=st.integers(1, 60),
    foreign=st.sampled_from([0, 30]),
    spread=st.sampled_from([0.0, 1.0]),
)
def test_every_coordinate_stays_on_its_side_until_the_crossing_found(seed, dim, points, foreign, spread):
    flow = flow_of(seed, dim, points, spread, foreign)
    flow.__class__ = Checked
    solver = EventLoop(flow, 2.0)
    solver.start()
    while not solver.finished:
        solver.advance()
    assert flow.steps > 0 or flow.at_rest()
    assert flow.worst < ROUNDING


@pytest.mark.parametrize(("dim", "points"), [(2, 3000), (6, 800), (10, 300)])
def test_the_fast_path_leaves_no_coordinate_behind(dim, points):
    flow = flow_of(dim, dim, points, 0.5, 100)
    solver = EventLoop(flow, 0.6)
    solver.start()
    pieces = 0
    while not solver.finished:
        solver.advance(solver.s + 0.01)
        assert furthest_on_the_wrong_side(flow, flow.constant_output(), 0.0) < ROUNDING
        pieces += 1
    assert pieces > 10
    assert flow.counters.roots > 200


def test_few_coordinates_are_looked_at_however_many_there_are():
    looked_at = []
    for points in (1_000, 16_000):
        flow = flow_of(1, 4, points, 0.0)
        solver = EventLoop(flow, 0.05)
        solver.start()
        while not solver.finished:
            solver.advance(np.inf)
        looked_at.append(flow.counters.candidates / flow.counters.roots)
    assert looked_at[1] < 2.0 * looked_at[0]


def test_the_first_step_does_not_list_all_of_very_many(monkeypatch: pytest.MonkeyPatch):
    """It is as long as its series reaches; where only its beginning is looked at, the same is found with less."""
    found, listed = [], []
    for many in (1 << 60, compiled_layer.MANY):
        monkeypatch.setattr(compiled_layer, "MANY", many)
        flow = flow_of(1, 10, 30_000, 0.0)
        solver = EventLoop(flow, 2.0)
        solver.start()
        piece = solver.advance()
        rows = piece.events[["kind", "point", "coordinate", "side"]].tolist()
        found.append((rows, np.concatenate([[solver.s], flow.R.ravel(), flow.b.ravel()])))
        listed.append(flow.kernel.caches()["room"] / flow.pattern.size)
    assert found[0][0] == found[1][0]
    assert np.abs(found[0][1] - found[1][1]).max() < ROUNDING
    assert listed[0] > 0.9
    assert listed[1] < 0.4
