"""Random problems that several tests share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from truncflow_cli.config.schema import Integrator as Settings
from truncflow_cli.problem import Problem
from truncflow_cli.solver import solve


def rotation(rng, dim):
    q, r = np.linalg.qr(rng.normal(size=(dim, dim)))
    return q * np.sign(np.diag(r))


def random_problem(seed, *, dim, points, clusters=1, equations="exact", s_end=4.0, saves=31):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(clusters, dim))
    return Problem(
        "separated",
        equations,
        rng.normal(size=(points * clusters, dim)),
        np.repeat(np.arange(clusters), points),
        y,
        y,
        np.array([rotation(rng, dim) for _ in range(clusters)]),
        rng.normal(size=(clusters, dim)),
        np.eye(dim),
        np.linspace(0.0, s_end, saves),
        Settings(s_end=s_end),
    )


def lattice(seed):
    """Return points on a grid, so that many coordinates cross at one instant, and some coincide."""
    problem = random_problem(seed, dim=2, points=24)
    rng = np.random.default_rng(seed)
    return replace(problem, x=rng.integers(-3, 4, size=(24, 2)).astype(float), R0=np.eye(2)[None])


PROBLEMS = {
    "small": lambda: random_problem(0, dim=3, points=12),
    "pins": lambda: random_problem(4, dim=3, points=12, s_end=6.0),
    "more pins": lambda: random_problem(8, dim=3, points=12, s_end=6.0),
    "one dimension": lambda: random_problem(3, dim=1, points=20),
    "many points": lambda: random_problem(1, dim=6, points=400, s_end=2.0),
    "clusters that watch one another": lambda: random_problem(2, dim=2, points=40, clusters=3),
    "printed equations": lambda: random_problem(5, dim=3, points=30, equations="printed"),
    "lattice": lambda: lattice(6),
}


def outcome(problem):
    chunks = list(solve(problem))
    samples = [chunk.samples for chunk in chunks if chunk.samples]
    joined = {name: np.concatenate([part[name] for part in samples]) for name in samples[0]}
    return joined, np.concatenate([chunk.events for chunk in chunks]), chunks[-1].counters


def facing_clusters(seed: int) -> Problem:
    """Two clusters in the plane, each cut by its own layer, whose orthants turn until they cut the other one."""
    rng = np.random.default_rng(seed)
    size = 15
    x = np.concatenate([rng.normal(size=(size, 2)) * 0.4 + centre for centre in ([2.0, 0.0], [0.0, 2.0])])
    cluster = np.repeat([0, 1], size)
    y = np.array([[3.0, -2.5], [-2.5, 3.0]]) * rng.uniform(0.3, 1.2)
    R, beta = np.empty((2, 2, 2)), np.empty((2, 2))
    for layer in range(2):
        own, other = x[cluster == layer].mean(0), x[cluster != layer].mean(0)
        towards = (other - own) / np.linalg.norm(other - own)
        angle = np.arctan2(towards[1], towards[0]) - np.pi / 4
        R[layer] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        beta[layer] = -(own + 0.1 * towards)
    settings = Settings(s_end=5.0, rtol=1e-10, on_separation_lost="switch")
    return Problem(
        "separated", "exact", x, cluster, y, y, R, beta, np.eye(2), np.linspace(0.0, 5.0, 51), settings
    )
