"""The general flow's field from the sums of its cells is that of the points, and the sums stay right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_problems import flow_of, network_problem

from truncflow_cli.network_field import forward_pass, velocity
from truncflow_cli.problem import TRUNCATED, UNTRUNCATED
from truncflow_cli.solver.loop import EventLoop

SHAPES = [(3, 3, 3, 300), (2, 2, 2, 80), (1, 3, 1, 40), (4, 1, 2, 150), (4, 4, 3, 24), (3, 2, 2, 7)]


def field_of_points(flow):
    """Return c and Ω by the readable formulas, point by point, with λ = 0 on pinned surfaces."""
    data, h = flow.data, (flow.pattern == UNTRUNCATED).astype(float)
    state = forward_pass(data.x, flow.R, flow.b, lambda layer, _: h[:, layer])
    _, c, Om = velocity(state, h, flow.R, flow.b, data.y_tilde[data.label], data.weight)
    return c, Om


def assert_same_field(flow):
    for got, wanted in zip(flow.kernel.field(), field_of_points(flow), strict=True):
        assert np.abs(got - wanted).max() < 1e-12 * (1.0 + np.abs(wanted).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_field_from_cells_is_that_of_the_points(shape):
    dim, layers, clusters, points = shape
    for seed in range(8):
        assert_same_field(flow_of(network_problem(seed, dim, layers, clusters, points)))


def test_both_ways_of_taking_points_are_among_them():
    frames = {
        int(flow_of(network_problem(0, dim, layers, clusters, points)).kernel._regions.frame) > 1
        for dim, layers, clusters, points in SHAPES
    }
    assert frames == {False, True}


def summed(flow):
    """Return the cells' codes and sums."""
    cells = flow.kernel._regions
    leaves = cells.count
    return (
        cells.code[:leaves].copy(),
        cells.points[:leaves].copy(),
        cells.S[..., :leaves].copy(),
        cells.Y[..., :leaves].copy(),
        cells.truncated.copy(),
    )


def assert_sums_are_fresh(flow):
    moved = summed(flow)
    flow.kernel.gather(together=flow.kernel._regions.frame > 1)
    fresh = summed(flow)
    for k in (0, 1, 4):
        assert np.array_equal(moved[k], fresh[k])
    for k in (2, 3):
        assert np.abs(moved[k] - fresh[k]).max() < 1e-12 * (1.0 + np.abs(fresh[k]).max())


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.sampled_from(SHAPES),
    crossings=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=300),
)
def test_sums_after_many_crossings_are_fresh_sums(seed, shape, crossings):
    dim, layers, clusters, points = shape
    flow = flow_of(network_problem(seed, dim, layers, clusters, points))
    for i, surface in crossings:
        point, (layer, r) = i % points, divmod(surface % (layers * dim), dim)
        side = flow.pattern[point, layer, r]
        flow.pattern[point, layer, r] = TRUNCATED if side == UNTRUNCATED else UNTRUNCATED
        flow.kernel.move(np.array([point]))
    assert_same_field(flow)
    assert_sums_are_fresh(flow)


@pytest.mark.parametrize(("seed", "apart"), [(4, 0.0), (3, 2.0)])
def test_sums_and_field_stay_right_along_a_run(seed, apart):
    flow = flow_of(network_problem(seed, apart=apart, points=240))
    solver = EventLoop(flow, 1.0)
    solver.start()
    pieces = 0
    while not solver.finished:
        solver.advance(solver.s + 0.05)
        assert_same_field(flow)
        pieces += 1
    assert pieces > 10
    assert flow.counters.roots > 20
    assert_sums_are_fresh(flow)


def test_there_are_far_fewer_cells_than_points():
    flow = flow_of(network_problem(1, points=3000))
    assert flow.kernel._regions.count <= 64
