"""What a collapsed run hands out: samples when asked for, rest, failure, bounded chunks."""

from __future__ import annotations

import numpy as np
import pytest
from linear_flow_problems import collapsed, record

from truncflow_cli.errors import RunFailed
from truncflow_cli.events import Kind
from truncflow_cli.flows import collapsed as flow
from truncflow_cli.flows.collapsed import solve_collapsed
from truncflow_cli.flows.collapsed_step import Step


def random_start(seed=0, dim=3, n_clusters=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(dim, n_clusters)), rng.normal(size=(dim, dim)), rng.normal(size=(dim, n_clusters))


def test_samples_are_at_the_times_asked_for():
    s = np.concatenate([[0.0], np.geomspace(1e-9, 7.3, 50)])
    B, W, Y = random_start()
    run = record(solve_collapsed(collapsed(B, W, Y, s)))
    np.testing.assert_array_equal(run["s"], s)
    np.testing.assert_array_equal(run["B"][0], B)
    np.testing.assert_array_equal(run["W"][0], W)
    assert run["loss_cluster"].shape == (51, 2)
    assert run["energy_balance"][0] == 0.0
    assert run.chunks[0].s == 0.0 and run.chunks[-1].s == s[-1]
    assert run.events.size == 0


def test_run_of_no_length_has_its_start():
    run = record(solve_collapsed(collapsed(*random_start(), np.zeros(1))))
    assert run["s"].tolist() == [0.0]


def test_chunks_are_bounded(monkeypatch):
    """No more than so many samples are evaluated at a time, and a chunk has less than twice as many."""
    sizes, sample = [], Step.sample
    monkeypatch.setattr(flow, "CHUNK_ENTRIES", 60)
    monkeypatch.setattr(Step, "sample", lambda step, t: sizes.append(t.size) or sample(step, t))
    run = record(solve_collapsed(collapsed(*random_start(), np.linspace(0.0, 50.0, 1001))))
    assert max(sizes) == 10
    assert max(chunk.samples["s"].size for chunk in run.chunks) < 20
    assert run["s"].size == 1001


@pytest.mark.parametrize("rest", ["solved", "saddle"])
def test_start_at_rest_is_an_event_and_stays(rest):
    B, W, Y = random_start()
    if rest == "saddle":
        B, W = np.zeros_like(B), np.zeros_like(W)
    else:
        W, Y = np.eye(3), -B
    run = record(solve_collapsed(collapsed(B, W, Y, np.linspace(0.0, 9.0, 4))))
    assert [(row["s"], row["kind"]) for row in run.events] == [(0.0, Kind.REST)]
    assert (run["B"] == B).all() and (run["W"] == W).all()
    assert run["s"].size == 4


def test_overflow_at_the_start_fails_at_once():
    B, W, Y = random_start()
    with pytest.raises(RunFailed) as failure:
        list(solve_collapsed(collapsed(1e200 * B, W, Y, np.array([0.0, 1.0]))))
    assert failure.value.s == 0.0


@pytest.mark.parametrize("scale", [1e-60, 1e60])
def test_extreme_scales_work(scale):
    B, W, Y = random_start()
    s = np.array([0.0, 1.0, 2.0])
    plain = record(solve_collapsed(collapsed(B, W, Y, s)))
    run = record(solve_collapsed(collapsed(scale * B, scale * W, scale**2 * Y, s / scale**2)))
    np.testing.assert_allclose(run["B"] / scale, plain["B"], rtol=0, atol=1e-8)
