"""A run that goes on from a saved state gives the bits of one that was never stopped, wherever it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from random_problems import PROBLEMS, facing_clusters, random_problem
from stopped_runs import outcome, stopped_again_and_again, undisturbed

from truncflow_cli import solver
from truncflow_cli.errors import RunFailed, UserError
from truncflow_cli.events import EVENT_DTYPE, Kind
from truncflow_cli.problem import Problem
from truncflow_cli.runfile.checkpoint import packed, unpacked


def changed(problem: Problem, **settings: object) -> Problem:
    return replace(problem, settings=problem.settings.replace(**settings))


def general(seed: int, layers: int) -> Problem:
    problem = random_problem(seed, dim=2, points=9, clusters=2, s_end=3.0, saves=41)
    rng = np.random.default_rng(seed)
    return replace(
        problem,
        flow="general",
        R0=np.stack([np.linalg.qr(rng.normal(size=(2, 2)))[0] for _ in range(layers)]),
        beta0=rng.normal(size=(layers, 2)) * 0.7,
    )


def weights_only(flow: str, saves: int) -> Problem:
    """Return a problem of sections 8 or 9, with so many saved times that a step has several chunks of them."""
    problem = random_problem(7, dim=3, points=6, clusters=3, s_end=5.0, saves=saves)
    return replace(problem, flow=flow, W0=np.eye(3) * 1.3)


RUNS: dict[str, Callable[[], Problem]] = {
    **{name: PROBLEMS[name] for name in ("pins", "more pins", "lattice", "printed equations")},
    "clusters that watch one another": PROBLEMS["clusters that watch one another"],
    "many points": PROBLEMS["many points"],
    "batched": lambda: changed(random_problem(2, dim=2, points=2000, s_end=1.0, saves=5), events="batched"),
    "batched, two clusters": lambda: changed(
        random_problem(3, dim=2, points=600, clusters=2, s_end=1.0, saves=5), events="batched", rtol=1e-6
    ),
    "frozen": lambda: changed(PROBLEMS["clusters that watch one another"](), freeze_rotation=True),
    "stop": lambda: changed(facing_clusters(6), on_separation_lost="stop"),
    "stop, frozen": lambda: changed(facing_clusters(6), on_separation_lost="stop", freeze_rotation=True),
    "switch": lambda: facing_clusters(12),
    "switch, frozen": lambda: changed(facing_clusters(6), freeze_rotation=True),
    "too many events": lambda: changed(PROBLEMS["many points"](), max_events=150),
    "general": lambda: general(3, 2),
    "general, three layers": lambda: general(5, 3),
    "collapsed": lambda: weights_only("collapsed", 9_001),
    "clustered": lambda: weights_only("clustered", 90_001),
}


@pytest.mark.parametrize("name", RUNS)
def test_stopped_at_any_steps(name: str) -> None:
    problem = RUNS[name]()
    whole = undisturbed(problem)
    chance = np.random.default_rng(0)
    at_all = 0
    for odds in (0.5, 0.05):
        again, stops = stopped_again_and_again(problem, chance, odds)
        assert [key for key in whole if whole[key] != again[key]] == []
        at_all += stops
    assert at_all > 1


def test_these_runs_have_everything_that_a_state_must_hold() -> None:
    kinds = set()
    for name in ("pins", "general", "general, three layers"):
        events = np.frombuffer(undisturbed(RUNS[name]())["events"], dtype=EVENT_DTYPE)
        kinds |= {(name.partition(",")[0], Kind(kind)) for kind in events["kind"]}
    assert {("pins", Kind.PIN), ("general", Kind.PIN)} <= kinds
    assert undisturbed(RUNS["too many events"]())["failure"] is not None
    assert undisturbed(RUNS["switch"]())["switched_at"] > 0


@pytest.mark.parametrize(
    "name", ["pins", "clusters that watch one another", "general", "switch", "collapsed"]
)
def test_a_larger_s_end_goes_on_from_the_end(name: str) -> None:
    problem = RUNS[name]()
    end = problem.settings.s_end
    first = list(solver.solve(problem))
    later = np.append(problem.s_save, np.linspace(end, 1.5 * end, 21)[1:])
    longer = replace(changed(problem, s_end=1.5 * end), s_save=later)
    second = list(solver.solve(longer, unpacked(packed(first[-1].state()))))
    whole = outcome(list(solver.solve(longer)), None)
    both = outcome(first + second, None)
    assert both["s"] == whole["s"]
    loss, loss_whole = (np.frombuffer(part["loss"]) for part in (both, whole))
    assert np.abs(loss - loss_whole).max() < 1e-8
    events, events_whole = (np.frombuffer(part["events"], dtype=EVENT_DTYPE) for part in (both, whole))
    assert events.size == events_whole.size
    assert np.abs(events["s"] - events_whole["s"]).max(initial=0.0) < 1e-6
    assert np.abs(np.frombuffer(both["energy_balance"])).max() < 1e-8


@pytest.mark.parametrize("name", ["pins", "general", "switch", "collapsed", "clustered", "frozen"])
def test_a_state_of_another_run_is_refused(name: str) -> None:
    problem = RUNS[name]()
    chunks = solver.solve(problem, None, lambda: True)
    state = dict([next(chunks), next(chunks)][-1].state())
    for key, array in state.items():
        spoilt = [array[..., None], array.astype("f4")]
        if array.dtype.kind == "i" and array.size and "counters/" not in key:
            spoilt.append(np.full_like(array, 10**6))
        for other in spoilt:
            try:
                list(solver.solve(problem, state | {key: other}))
            except (UserError, RunFailed):
                continue
            assert other.dtype.kind == "i", key  # a count, of which nothing depends
    missing = next(iter(state))
    with pytest.raises(UserError, match=r"does not fit this run .* is missing"):
        list(solver.solve(problem, {key: array for key, array in state.items() if key != missing}))
