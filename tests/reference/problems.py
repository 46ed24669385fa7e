"""Seeded random problems, and what some of them contain.

Every maker takes a seed and returns a Problem that depends on nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from truncflow_cli.config.schema import Integrator as Settings
from truncflow_cli.problem import Problem

#: Settings of all problems unless a test says otherwise.
S_END, RTOL = 6.0, 1e-10


def random_orthogonal(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Return a Haar-distributed (Q, Q) orthogonal matrix, of either determinant."""
    q, r = np.linalg.qr(rng.normal(size=(dim, dim)))
    return q * np.sign(np.diag(r))


def make(
    flow: str,
    x: np.ndarray,
    cluster: np.ndarray,
    y_tilde: np.ndarray,
    beta: np.ndarray,
    R: np.ndarray,
    s_end: float = S_END,
    n_save: int = 61,
    **settings: object,
) -> Problem:
    """Return a Problem with identity output map, evenly spaced saved times and the given arrays."""
    order = np.argsort(cluster, kind="stable")
    return Problem(
        flow=flow,
        equations="exact",
        x=np.ascontiguousarray(x[order], dtype=float),
        cluster=np.ascontiguousarray(cluster[order], dtype=np.int64),
        y=np.array(y_tilde, dtype=float),
        y_tilde=np.array(y_tilde, dtype=float),
        R0=np.array(R, dtype=float),
        beta0=np.array(beta, dtype=float),
        W0=np.eye(x.shape[1]),
        s_save=np.linspace(0.0, s_end, n_save),
        settings=Settings(**{"s_end": s_end, "rtol": RTOL, "atol": 1e-13, **settings}),
    )


def normal(
    flow: str,
    seed: int,
    n_points: int = 12,
    dim: int = 3,
    n_layers: int = 1,
    n_clusters: int = 1,
    s_end: float = S_END,
) -> Problem:
    """Return a problem with normal points, labels and biases, and Haar-distributed rotations."""
    rng = np.random.default_rng(seed)
    return make(
        flow,
        rng.normal(size=(n_points, dim)),
        np.arange(n_points) % n_clusters,
        rng.normal(size=(n_clusters, dim)),
        0.5 * rng.normal(size=(n_layers, dim)),
        np.array([random_orthogonal(rng, dim) for _ in range(n_layers)]),
        s_end,
    )


def separated_normal(seed: int, n_points: int = 12, dim: int = 3, n_clusters: int = 1) -> Problem:
    """`separated` with as many layers as clusters, everything normal."""
    return normal("separated", seed, n_points, dim, n_clusters, n_clusters)


def general_normal(
    seed: int, n_points: int = 12, dim: int = 3, n_layers: int = 3, n_clusters: int = 3, s_end: float = 3.0
) -> Problem:
    """`general`, everything normal."""
    return normal("general", seed, n_points, dim, n_layers, n_clusters, s_end)


def two_clusters_in_the_plane(seed: int, flow: str = "separated", s_end: float = S_END) -> Problem:
    """Two well separated balls in the plane, each cut by its own layer."""
    rng = np.random.default_rng(seed)
    centers = np.array([[2.0, 0.0], [0.0, 2.0]])
    cluster = np.repeat([0, 1], 8)
    x = centers[cluster] + 0.35 * rng.normal(size=(16, 2))
    turn = 0.2 * rng.normal(size=2)
    R = np.array([[[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]] for a in turn])
    R[0] *= np.array([[-1.0], [1.0]])
    R[1] *= np.array([[1.0], [-1.0]])
    beta = np.array([[-2.0, 3.0], [3.0, -2.0]]) + 0.1 * rng.normal(size=(2, 2))
    return make(flow, x, cluster, np.array([[1.0, 0.0], [0.0, 1.0]]), beta, R, s_end)


def coincident(problem: Problem, seed: int, copies: int = 2) -> Problem:
    """Return the problem with some points repeated."""
    rng = np.random.default_rng(seed)
    again = rng.choice(len(problem.x), size=max(len(problem.x) // 3, 1), replace=False)
    index = np.sort(np.concatenate([np.arange(len(problem.x)), *[again] * (copies - 1)]))
    return replace(problem, x=problem.x[index], cluster=problem.cluster[index])


def on_surfaces(problem: Problem, seed: int, count: int = 2) -> Problem:
    """Return the problem with some points moved onto a surface of (their) first layer, one coordinate each.

    The rotation of that layer is a permutation with signs and its bias a multiple of 1/8, so that z is
    exactly 0.
    """
    rng = np.random.default_rng(seed)
    dim = problem.dim
    R, beta, x = problem.R0.copy(), np.round(8 * problem.beta0) / 8, problem.x.copy()
    for layer in range(problem.n_layers):
        R[layer] = np.eye(dim)[rng.permutation(dim)] * rng.choice([-1.0, 1.0], size=(dim, 1))
    for i in rng.choice(len(x), size=count, replace=False):
        layer = problem.cluster[i] if problem.flow == "separated" else 0
        q = rng.integers(dim)
        x[i, q] = -beta[layer, q]
    return replace(problem, x=x, R0=R, beta0=beta)


def integers(flow: str, seed: int, s_end: float = 5.0) -> Problem:
    """Return a problem with small integers for everything, and rotations that are the identity.

    Many coordinates are exactly zero at the start, some without speed, some without a kink, and surfaces of several
    points and layers touch there that part later.
    """
    rng = np.random.default_rng([77 if flow == "general" else 78, seed])
    dim = int(rng.integers(2, 4) if flow == "general" else rng.integers(1, 5))
    n_layers = int(rng.integers(1, 4)) if flow == "general" else 0
    n_clusters = int(rng.integers(1, 4) if flow == "general" else rng.integers(1, 3))
    n_layers = n_layers or n_clusters
    size = int(rng.integers(4, 20) if flow == "general" else rng.integers(3, 20))
    x = rng.integers(-2, 3, (size, dim)).astype(float)
    cluster = np.sort(rng.integers(0, n_clusters, size))
    cluster[:n_clusters] = np.arange(n_clusters)
    y_tilde = rng.integers(-2 if flow == "general" else -3, 5, (n_clusters, dim)).astype(float)
    beta = rng.integers(-2, 3, (n_layers, dim)).astype(float)
    return make(flow, x, cluster, y_tilde, beta, np.stack([np.eye(dim)] * n_layers), s_end, 41, rtol=1e-9)


def symmetric(seed: int, dim: int = 3, n_points: int = 5) -> Problem:
    """One cluster, invariant under permutations of the coordinates, as are its start and its label.

    Each point comes with all its permutations, so that six (Q = 3) surfaces are reached at one instant.
    """
    rng = np.random.default_rng(seed)
    some = rng.normal(size=(n_points, dim))
    x = np.concatenate([some[:, list(p)] for p in itertools.permutations(range(dim))])
    y_tilde = np.full((1, dim), rng.normal())
    beta = np.full((1, dim), 0.3 * rng.normal())
    return make("separated", x, np.zeros(len(x), dtype=int), y_tilde, beta, np.eye(dim)[None])


def equal_layers(
    seed: int, n_points: int = 8, dim: int = 3, n_layers: int = 2, n_clusters: int = 1, s_end: float = 3.0
) -> Problem:
    """`general` with equal layers: truncated coordinates start on the next layer's surface."""
    problem = general_normal(seed, n_points, dim, n_layers, n_clusters, s_end)
    return replace(
        problem,
        R0=np.repeat(problem.R0[:1], n_layers, axis=0),
        beta0=np.repeat(problem.beta0[:1], n_layers, axis=0),
    )


def fully_truncating(seed: int, n_points: int = 10, dim: int = 2, n_layers: int = 2) -> Problem:
    """`general` where layer 0 truncates most points wholly at the start, so that they coincide after it."""
    rng = np.random.default_rng(seed)
    R = np.array([random_orthogonal(rng, dim) for _ in range(n_layers)])
    beta = 0.5 * rng.normal(size=(n_layers, dim))
    beta[0] = -R[0].T @ np.full(dim, 1.2)
    return make(
        "general",
        rng.normal(size=(n_points, dim)),
        np.arange(n_points) % 2,
        2.0 * rng.normal(size=(2, dim)),
        beta,
        R,
        3.0,
    )


# ---- what the seeds hold ---------------------------------------------------------------------------------

#: name: (maker, what the reference run contains: truncations, releases, pins, unpins upwards and downwards).
CATALOGUE: dict[str, tuple[Callable[[], Problem], tuple[int, int, int, int, int]]] = {
    "crossings both ways": (lambda: separated_normal(2), (23, 7, 0, 0, 0)),
    "two pinned at once, left both ways": (lambda: separated_normal(19), (11, 6, 4, 1, 3)),
    "pins left both ways": (lambda: separated_normal(63), (15, 12, 5, 2, 3)),
    "plane, two clusters": (lambda: two_clusters_in_the_plane(0), (12, 0, 0, 0, 0)),
    "plane, pins in both clusters": (lambda: separated_normal(19, 14, 2, 2), (9, 5, 2, 1, 1)),
    "plane, two pinned at once": (lambda: separated_normal(21, 14, 2, 2), (6, 10, 3, 1, 2)),
    "four dimensions": (lambda: separated_normal(1, 20, 4), (42, 5, 0, 0, 0)),
    "coincident, four pinned": (lambda: coincident(separated_normal(2, 8), 2), (3, 3, 7, 2, 5)),
    "coincident, pinned, released": (lambda: coincident(separated_normal(14, 8), 14), (4, 4, 6, 4, 2)),
    "pinned at the start": (lambda: on_surfaces(separated_normal(48, 8), 48), (3, 6, 2, 1, 1)),
    "starts on surfaces, passes": (lambda: on_surfaces(separated_normal(45, 8), 45), (8, 3, 1, 0, 1)),
    "six at one instant": (lambda: symmetric(0), (0, 42, 0, 0, 0)),
    "general, one layer": (lambda: general_normal(0, 12, 3, 1, 2), (15, 10, 6, 1, 3)),
    "general, two layers": (lambda: general_normal(4, 10, 2, 2, 2), (4, 3, 4, 2, 2)),
    "general, more clusters than layers": (lambda: general_normal(10, 9, 3, 2, 3, 2.0), (11, 4, 10, 2, 3)),
    "general, three layers": (lambda: general_normal(5, 12, 3, 3, 3, 1.5), (6, 9, 7, 1, 3)),
    "general, four layers, ten pinned at once": (
        lambda: general_normal(3, 8, 2, 4, 1, 2.0),
        (4, 0, 15, 0, 4),
    ),
    "general, ten leave a surface at once": (lambda: general_normal(1, 10, 2, 2, 2), (0, 4, 11, 9, 1)),
    "general, full truncation": (lambda: fully_truncating(7), (23, 12, 18, 3, 10)),
    "general, equal layers": (lambda: equal_layers(1, 6, 3, 2, 1, 2.0), (0, 4, 6, 3, 0)),
}


def contents(events: list[tuple[float, str, int, int, int, int]]) -> tuple[int, int, int, int, int]:
    """Return the numbers of truncations, releases, pins, unpins upwards and unpins downwards."""
    kinds = [(kind, side) for _, kind, _, _, _, side in events]
    return (
        sum(kind == "truncate" for kind, _ in kinds),
        sum(kind == "release" for kind, _ in kinds),
        sum(kind == "pin" for kind, _ in kinds),
        kinds.count(("unpin", 1)),
        kinds.count(("unpin", 0)),
    )
