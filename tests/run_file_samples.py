"""Made-up problems and chunks, of any flow and size, for tests of the run file and the command line."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from truncflow_cli.config.schema import Integrator as Settings
from truncflow_cli.events import EVENT_DTYPE
from truncflow_cli.problem import Problem
from truncflow_cli.saved_state import Chunk


def made_up_problem(flow: str = "separated", n_saved: int = 11, dim: int = 2, n_points: int = 7) -> Problem:
    """Return a problem of three clusters; its numbers mean nothing."""
    rng = np.random.default_rng(5)
    n_clusters, dim = 3, 2
    return Problem(
        flow=flow,
        equations="exact",
        x=rng.normal(size=(n_points, dim)),
        cluster=np.sort(rng.integers(0, n_clusters, n_points)),
        y=rng.normal(size=(n_clusters, dim)),
        y_tilde=rng.normal(size=(n_clusters, dim)),
        R0=np.stack([np.eye(dim)] * n_clusters),
        beta0=rng.normal(size=(n_clusters, dim)),
        W0=np.eye(dim),
        s_save=np.linspace(0.0, 1.0, n_saved),
        settings=Settings(s_end=1.0),
    )


def made_up_samples(problem: Problem, s: np.ndarray) -> dict[str, np.ndarray]:
    """Return samples of the right shapes at times s, every number different from every other."""
    layers, dim, clusters = problem.n_layers, problem.dim, problem.n_clusters
    layered = {"beta": (layers, dim), "R": (layers, dim, dim), "truncated_fraction": (layers, dim)}
    state = {
        "separated": layered,
        "general": layered,
        "collapsed": {"B": (dim, clusters), "W": (dim, dim)},
        "clustered": {"W": (dim, dim)},
    }[problem.flow]
    shapes = {"loss": (), "loss_cluster": (clusters,), "energy_balance": (), **state}
    samples = {"s": np.asarray(s, dtype=float)}
    for number, (name, shape) in enumerate(shapes.items(), start=1):
        entries = np.arange(np.prod(shape, dtype=int)).reshape(shape) / 1000
        samples[name] = number + entries + np.reshape(s, (-1, *[1] * len(shape))) / 10
    return samples


def made_up_events(problem: Problem, s: np.ndarray) -> np.ndarray:
    """Return one event at each of the times s."""
    events = np.zeros(len(s), dtype=EVENT_DTYPE)
    count = np.arange(len(s))
    events["s"] = s
    events["kind"] = count % 9
    events["layer"] = count % problem.n_layers
    events["point"] = count % len(problem.x)
    events["coordinate"] = count % problem.dim
    events["cluster"] = -1
    events["side"] = count % 3 - 1
    return events


def made_up_chunks(problem: Problem, events_per_chunk: int = 2) -> Iterator[Chunk]:
    """Yield a run a saved time at a time, with events in between, as chunks without samples."""
    previous = 0.0
    for number, s in enumerate(problem.s_save):
        if s > previous:
            times = np.linspace(previous, s, events_per_chunk + 2)[1:-1]
            yield Chunk(
                float(s),
                made_up_samples(problem, np.empty(0)),
                made_up_events(problem, times),
                {"steps": number},
            )
        yield Chunk(
            float(s),
            made_up_samples(problem, np.array([s])),
            np.empty(0, dtype=EVENT_DTYPE),
            {"steps": number, "roots": 2},
        )
        previous = s


def endless_chunks(problem: Problem) -> Iterator[Chunk]:
    """Yield a run that never ends, in which sample and event number k stand at s = k."""
    s = 0.0
    while True:
        yield Chunk(s, made_up_samples(problem, np.array([s])), made_up_events(problem, np.array([s])))
        s += 1.0
