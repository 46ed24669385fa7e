"""The problems that are measured: random, and the same for the same seed on every machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.benchmarks.peers.solution import Array
from truncflow_cli.config.schema import Integrator as Settings
from truncflow_cli.problem import Problem

#: Settings that a config repeats.
SETTINGS = ("s_end", "rtol", "atol", "events", "max_events")


def random_rotation(rng: np.random.Generator, dim: int) -> Array:
    """Return a Haar-distributed orthogonal (Q, Q) matrix."""
    q, r = np.linalg.qr(rng.normal(size=(dim, dim)))
    return np.asarray(q * np.sign(np.diag(r)), dtype=np.float64)


def separated(
    size: int, dim: int, s_end: float, *, n_clusters: int = 1, seed: int = 1, saved: int = 2, **settings: Any
) -> Problem:
    """Return clusters of ``size`` normal points each, under a layer each; everything else normal as well."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size * n_clusters, dim))
    y = rng.normal(size=(n_clusters, dim))
    return Problem(
        flow="separated",
        equations="exact",
        x=x,
        cluster=np.repeat(np.arange(n_clusters), size),
        y=y,
        y_tilde=y,
        R0=np.array([random_rotation(rng, dim) for _ in range(n_clusters)]),
        beta0=rng.normal(size=(n_clusters, dim)),
        W0=np.eye(dim),
        s_save=np.linspace(0.0, s_end, saved),
        settings=Settings(s_end=s_end, max_events=10_000_000, **settings),
    )


def general(
    size: int, dim: int, n_layers: int, s_end: float, *, seed: int, spread: float, apart: float
) -> Problem:
    """Return ``dim`` clusters of ``size`` points under ``n_layers`` layers that all see them.

    Args:
        size: points of each cluster.
        dim: Q, and the number of clusters.
        n_layers: L.
        s_end: end of the run.
        seed: of all random numbers.
        spread: standard deviation of the points about their cluster's centre.
        apart: distance of the centres from 0.
    """
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(dim), size)
    centers = apart * np.eye(dim)
    y = rng.normal(size=(dim, dim))
    return Problem(
        flow="general",
        equations="exact",
        x=centers[cluster] + spread * rng.normal(size=(size * dim, dim)),
        cluster=cluster,
        y=y,
        y_tilde=y,
        R0=np.array([random_rotation(rng, dim) for _ in range(n_layers)]),
        beta0=rng.normal(size=(n_layers, dim)),
        W0=np.eye(dim),
        s_save=np.linspace(0.0, s_end, 2),
        settings=Settings(s_end=s_end, max_events=10_000_000),
    )


def to(problem: Problem, **settings: Any) -> Problem:
    """Return the problem with other settings."""
    changed = problem.settings.replace(**settings)
    return replace(problem, settings=changed, s_save=np.linspace(0.0, changed.s_end, problem.s_save.size))


def write_config(problem: Problem, folder: Path, name: str) -> Path:
    """Write a problem as a config with its arrays next to it, and return the config's path."""
    clusters = []
    for j in range(problem.n_clusters):
        np.save(folder / f"{name}-x{j}.npy", problem.x[problem.cluster == j])
        clusters.append({"file": f"{name}-x{j}.npy"})
    for key, array in (("labels", problem.y), ("R", problem.R0), ("beta", problem.beta0)):
        np.save(folder / f"{name}-{key}.npy", array)
    config: dict[str, Any] = {
        "flow": problem.flow,
        "clusters": clusters,
        "labels": {"file": f"{name}-labels.npy"},
        "initial": {"rotation": {"file": f"{name}-R.npy"}, "bias": {"file": f"{name}-beta.npy"}},
        "integrator": {key: getattr(problem.settings, key) for key in SETTINGS},
        "save": {"count": int(problem.s_save.size)},
        "output": f"{name}.h5",
    }
    if problem.flow == "general":
        config["layers"] = problem.n_layers
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path
