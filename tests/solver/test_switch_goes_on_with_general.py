"""`on_separation_lost: switch`: the run is that of `general` all along, and the file says when it took over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_problems import facing_clusters

from truncflow_cli import runfile, solver
from truncflow_cli.events import Kind
from truncflow_cli.problem import Problem


def collect(problem: Problem) -> tuple[dict[str, np.ndarray], np.ndarray, list]:
    chunks = list(solver.solve(problem))
    names = chunks[0].samples
    samples = {
        name: np.concatenate([chunk.samples[name] for chunk in chunks if chunk.samples]) for name in names
    }
    return samples, np.concatenate([chunk.events for chunk in chunks]), chunks


@pytest.mark.parametrize("seed", [1, 6, 12, 19])
def test_the_balance_closes_through_the_switch(seed: int) -> None:
    samples, events, chunks = collect(facing_clusters(seed))
    at = chunks[-1].switched_at
    lost = events[events["kind"] == Kind.SEPARATION_LOST]
    assert at == lost["s"][0] > 0.0
    assert np.abs(samples["energy_balance"]).max() < 1e-9
    assert np.array_equal(samples["s"], np.linspace(0.0, 5.0, 51))
    assert (np.diff(samples["loss"]) <= 1e-12).all()
    assert (np.diff(events["s"]) >= 0.0).all()


@pytest.mark.parametrize("seed", [1, 12])
def test_before_and_after_the_run_is_that_of_general(seed: int) -> None:
    problem = facing_clusters(seed)
    switched, events, _ = collect(problem)
    general, all_events, _ = collect(replace(problem, flow="general"))
    assert np.abs(switched["loss"][0] - general["loss"][0]) < 1e-13
    assert np.abs(switched["beta"] - general["beta"]).max() < 1e-8
    assert np.abs(switched["R"] - general["R"]).max() < 1e-8
    kinds = (Kind.TRUNCATE, Kind.RELEASE, Kind.PIN, Kind.UNPIN)
    ours = events[np.isin(events["kind"], kinds)]
    theirs = all_events[np.isin(all_events["kind"], kinds)]
    assert ours.size == theirs.size
    assert np.abs(ours["s"] - theirs["s"]).max() < 1e-8


def test_the_file_says_when_the_flow_changed(tmp_path) -> None:
    problem = facing_clusters(6)
    with runfile.RunWriter(tmp_path / "run.h5", problem, "flow: separated\n", seed=0) as writer:
        for chunk in solver.solve(problem):
            writer.append(chunk)
        writer.finish("complete")
    with runfile.open_run(tmp_path / "run.h5") as run:
        lost = run.events["s"][run.events["kind"] == Kind.SEPARATION_LOST][0]
        assert run.attrs["switched_at"] == lost


def test_a_start_that_is_not_separated_is_general_from_the_first_moment() -> None:
    problem = facing_clusters(1)
    problem = replace(problem, beta0=problem.beta0 - 3.0)
    samples, _, chunks = collect(problem)
    assert chunks[-1].switched_at == 0.0
    general, _, _ = collect(replace(problem, flow="general"))
    assert np.abs(samples["beta"] - general["beta"]).max() < 1e-12
