"""Hypothesis (8.1) is watched: a cluster that leaves −β^(ℓ), or returns, is an event at the right instant."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from linear_flow_problems import collapsed, orthogonal, record

from truncflow_cli.errors import RunFailed
from truncflow_cli.events import Kind
from truncflow_cli.flows.collapse_watch import sign_changes
from truncflow_cli.flows.collapsed import solve_collapsed

DIM, POINTS = 3, 4
CLUSTER = np.repeat(np.arange(DIM), POINTS)


def composed(x, R, beta):
    """Return τ^(L) ∘ … ∘ τ^(1) of the points x (N, Q)."""
    for R_l, beta_l in zip(R, beta, strict=True):
        x = np.maximum((x + beta_l) @ R_l.T, 0.0) @ R_l - beta_l
    return x


def distance(problem, B, cluster):
    """Return how far the images of a cluster's points are from −β^(ℓ)."""
    images = composed(problem.x[problem.cluster == cluster], problem.R0, B.T)
    return np.abs(images + B[:, cluster]).max()


def problem(seed, s_save, depth=0.4, **options):
    """Return clusters at the corners of a triangle, with labels that make the biases travel some way.

    Points are up to ``depth`` behind the surfaces of their layer, truncated fully by it if that is positive.
    """
    rng = np.random.default_rng(seed)
    corners = 10.0 * (np.eye(DIM) - 1.0 / DIM) + rng.uniform(-0.1, 0.1, size=(DIM, DIM))
    x, R = [], []
    for corner in corners:
        # R_ℓ turns the direction from the corner to the others into the axis of the positive orthant.
        axis = -corner / np.linalg.norm(corner) - 1.0 / np.sqrt(DIM)
        R.append(np.eye(DIM) - 2.0 * np.outer(axis, axis) / (axis @ axis))
        x.append(corner - depth * rng.uniform(0.1, 1.0, size=(POINTS, DIM)) @ R[-1])
    W = 20.0 * orthogonal(rng, DIM) + 5.0 * rng.normal(size=(DIM, DIM))
    Y = W @ (corners.T + 3.0 * rng.normal(size=(DIM, DIM)))
    return collapsed(-corners.T, W, Y, s_save, np.concatenate(x), CLUSTER, np.stack(R), **options)


def state_at(problem, s):
    """Return B just before, at, and just after the time s."""
    near = 1e-6 * max(s, 1e-3)
    times = np.array([0.0, s - near, s, s + near])
    return record(solve_collapsed(collapsed(problem.beta0.T, problem.W0, problem.y.T, times)))["B"][1:]


@settings(max_examples=12, deadline=None)
@example(1_076_151_365, 0.4)  # leaves by so little that the level is 0 to the last bit just after
@given(st.integers(0, 2**32 - 1), st.sampled_from([-0.5, 0.4, 8.0]))
def test_events_are_where_the_composed_map_changes(seed, depth):
    watched = problem(seed, np.linspace(0.0, 0.1, 100), depth, rtol=1e-12)
    run = record(solve_collapsed(watched))
    collapsed_now = dict.fromkeys(range(DIM), True)
    for row in run.events:
        k = int(row["cluster"])
        assert row["kind"] == (Kind.UNCOLLAPSE if collapsed_now[k] else Kind.COLLAPSE)
        collapsed_now[k] = not collapsed_now[k]
        if row["s"] > 0.0:
            before, at, after = state_at(watched, row["s"])
            assert (distance(watched, before, k) < 1e-13) == (row["kind"] == Kind.UNCOLLAPSE)
            assert (distance(watched, after, k) < 1e-13) == (row["kind"] == Kind.COLLAPSE)
            assert abs(surface(watched, at, row)) < 1e-11
    # Between the events the saved states agree with the log.
    for s, B in zip(run["s"], run["B"], strict=True):
        for k in range(DIM):
            changes = np.count_nonzero((run.events["cluster"] == k) & (run.events["s"] <= s))
            assert (distance(watched, B, k) < 1e-12) == (changes % 2 == 0)


def surface(problem, B, row):
    """Return z of the surface that an event names."""
    k, layer, r = int(row["cluster"]), int(row["layer"]), int(row["coordinate"])
    beta = B.T
    if layer > k:
        assert row["point"] == -1
        return (problem.R0[layer] @ (beta[layer] - beta[k]))[r]
    assert problem.cluster[row["point"]] == k and layer == k
    t = composed(problem.x[[row["point"]]], problem.R0[:k], beta[:k])[0]
    return (problem.R0[k] @ (t + beta[k]))[r]


def test_seeds_cover_losing_and_regaining_in_own_and_later_layers():
    kinds = set()
    for seed, depth in itertools.product(range(4), [-0.5, 0.4, 8.0]):
        for row in record(solve_collapsed(problem(seed, np.linspace(0.0, 0.1, 9), depth))).events:
            kinds.add((int(row["kind"]), bool(row["layer"] > row["cluster"]), bool(row["s"] > 0.0)))
    assert {
        (Kind.UNCOLLAPSE, False, True),
        (Kind.UNCOLLAPSE, True, True),
        (Kind.COLLAPSE, False, True),
    } <= kinds


def test_stop_ends_the_run_at_the_event():
    s = np.linspace(0.0, 0.1, 17)
    whole = record(solve_collapsed(problem(1, s)))
    lost = whole.events[(whole.events["kind"] == Kind.UNCOLLAPSE)]["s"].min()
    assert 0.0 < lost < 0.1
    run = record(solve_collapsed(problem(1, s, on_separation_lost="stop")))
    np.testing.assert_array_equal(run["s"], [*s[s < lost], lost])
    assert run.events[-1]["s"] == lost and run.chunks[-1].s == lost
    np.testing.assert_array_equal(run["B"][:-1], whole["B"][: run["s"].size - 1])


def test_start_that_is_not_collapsed_is_an_event_at_0():
    start = problem(1, np.linspace(0.0, 1.0, 3))
    start.x[5] += 100.0
    run = record(solve_collapsed(start))
    first = run.events[0]
    assert (first["s"], first["kind"], first["cluster"], first["layer"]) == (0.0, Kind.UNCOLLAPSE, 1, 1)
    assert first["point"] == 5


def test_points_that_stay_on_a_surface_make_no_events():
    # Equal biases and labels: clusters 0 and 1 sit on every surface of layer 1, whatever R, and stay there.
    rng = np.random.default_rng(0)
    beta = np.tile(rng.normal(size=3), (3, 1))
    R = np.stack([orthogonal(rng, 3) for _ in range(3)])
    x = -beta[CLUSTER] - np.einsum("np,npq->nq", rng.uniform(5.0, 6.0, size=(12, 3)), R[CLUSTER])
    start = collapsed(beta.T, np.eye(3), -beta.T + 0.1, np.linspace(0.0, 5.0, 6), x, CLUSTER, R)
    events = record(solve_collapsed(start)).events
    assert not (events["layer"] > events["cluster"]).any()


def test_too_many_events_fail_after_what_there_was():
    seen = []
    with pytest.raises(RunFailed) as failure:
        for chunk in solve_collapsed(problem(1, np.linspace(0.0, 0.1, 17), max_events=0)):
            seen.append(chunk)
    assert seen[-1].s == failure.value.s > 0.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.001, 0.999), min_size=0, max_size=6, unique=True))
def test_sign_changes_finds_all_roots(roots):
    roots = [r for i, r in enumerate(sorted(roots)) if i == 0 or r - sorted(roots)[i - 1] > 0.01]

    def g(s):
        values = np.ones_like(s)
        for root in roots:
            values = values * (s - root)
        return list(values)

    ends = g(np.array([0.0, 1.0]))
    found = list(sign_changes(g, (0.0, 1.0), (ends[0], ends[1]), speed=float(len(roots))))
    np.testing.assert_allclose([b for _, b in found], roots, rtol=0, atol=1e-14)
