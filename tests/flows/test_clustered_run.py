"""What a clustered run hands out, and hypothesis (9.2)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_flow_problems import clustered, orthogonal, record

from truncflow_cli.errors import RunFailed
from truncflow_cli.events import Kind
from truncflow_cli.flows import clustered as flow
from truncflow_cli.flows.clustered import solve_clustered
from truncflow_cli.truncation import sector_margin


def data(seed=0, dim=3, sizes=(5, 3)):
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    return (
        rng.normal(size=(cluster.size, dim)),
        cluster,
        rng.normal(size=(len(sizes), dim)),
        rng.normal(size=(dim, dim)),
    )


def test_samples_are_at_the_times_asked_for_in_bounded_chunks(monkeypatch):
    monkeypatch.setattr(flow, "CHUNK_ENTRIES", 320)
    s = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 100)])
    run = record(solve_clustered(clustered(*data(), s)))
    np.testing.assert_array_equal(run["s"], s)
    np.testing.assert_array_equal(run["W"][0], data()[3])
    assert run["loss_cluster"].shape == (101, 2)
    assert max(chunk.samples["s"].size for chunk in run.chunks) == 10
    assert run.chunks[-1].s == 1e6
    assert run.events.size == 0


def test_late_times_cost_what_early_ones_cost():
    counts = [
        record(solve_clustered(clustered(*data(), np.array([0.0, s])))).chunks[-1].counters
        for s in (1.0, 1e6)
    ]
    assert counts[0] == counts[1] == {"evaluations": 2, "roots": 0}


@pytest.mark.parametrize("kind", ["no points away from 0", "fitted"])
def test_start_at_rest_is_an_event(kind):
    x, cluster, y, W = data()
    if kind == "fitted":
        # Both clusters are mapped exactly to their labels by W = 1.
        x = np.repeat(np.array([[1.0, 2.0, 0.5], [3.0, -1.0, 0.0]]), (5, 3), axis=0)
        y, W = x[[0, 5]], np.eye(3)
    else:
        x = np.zeros_like(x)
    run = record(solve_clustered(clustered(x, cluster, y, W, np.array([0.0, 1.0, 1e3]))))
    assert [(row["s"], row["kind"]) for row in run.events] == [(0.0, Kind.REST)]
    np.testing.assert_allclose(run["W"], np.tile(W, (3, 1, 1)), rtol=0, atol=1e-14)


def test_overflow_fails_at_once():
    x, cluster, y, W = data()
    with pytest.raises(RunFailed) as failure:
        list(solve_clustered(clustered(1e300 * x, cluster, y, W, np.array([0.0, 1.0]))))
    assert failure.value.s == 0.0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_sector_margin_names_the_surface_nearest_to_failing(dim, n_layers, n_points, seed):
    rng = np.random.default_rng(seed)
    x, beta = rng.normal(size=(n_points, dim)), 2.0 + rng.normal(size=(n_layers, dim))
    R = np.stack([orthogonal(rng, dim) for _ in range(n_layers)])
    z = np.array(
        [[[R[k, r] @ (x[i] + beta[k]) for r in range(dim)] for i in range(n_points)] for k in range(n_layers)]
    )
    found = sector_margin(x, R, beta)
    assert found.margin == pytest.approx(z.min(), rel=1e-12, abs=1e-12)
    assert z[found.layer, found.point, found.coordinate] == pytest.approx(z.min(), rel=1e-12, abs=1e-12)
    assert found.holds == (found.margin > 0.0)


def test_sector_margin_of_nothing_holds():
    empty = sector_margin(np.empty((0, 2)), np.eye(2)[None], np.zeros((1, 2)))
    assert empty.holds and empty.layer == -1
