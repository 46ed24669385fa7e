"""What sections 8 and 9 assume: a spectral gap and (8.1), or (9.2) and (9.9)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from truncflow_cli.diagnostics.hypotheses import Finding
from truncflow_cli.diagnostics.output_weight import RANK_SHARE, spectral_gap
from truncflow_cli.problem import Array, Problem
from truncflow_cli.truncation import composed, coordinates, count_outside, sector_margin, truncate

#: Distances relative to the data that count as none.
THERE = 1e-12


def collapsed(problem: Problem, names: list[str]) -> Iterator[Finding]:
    """Yield what Theorem 8.4 assumes."""
    B, W = problem.beta0.T, problem.W0
    gap = spectral_gap(B, W)
    remedy = ""
    if gap.rate <= 0.0:
        factor = _scale_for_gap(B, W)
        remedy = (
            "an initial output weight of full rank"
            if factor is None
            else (f"initial.output_weight larger by a factor of more than {factor:.4g}, so that −I(0) > 0")
        )
    yield Finding(
        "spectral gap",
        "I(0) = BBᵀ − WᵀW is definite, with a λ0 > 0",
        "(8.24)-(8.26)",
        gap.rate > 0.0,
        gap.rate,
        gap.text,
        remedy,
    )
    if problem.x.shape[0] and problem.n_layers == problem.n_clusters:
        yield _collapsed_data(problem, names)


def _scale_for_gap(B: Array, W: Array) -> float | None:
    """Return the least factor a with a² WᵀW ≥ BBᵀ, None if W is singular."""
    if np.linalg.matrix_rank(W) < W.shape[0]:
        return None
    inverse = np.linalg.inv(W)
    return float(np.linalg.norm(inverse.T @ B, ord=2))


def _collapsed_data(problem: Problem, names: list[str]) -> Finding:
    size = float(np.abs(problem.x).max() + np.abs(problem.beta0).max()) * problem.dim
    t = composed(problem.x, problem.R0, problem.beta0)
    distance = np.linalg.norm(t + problem.beta0[problem.cluster], axis=1)
    i = int(np.argmax(distance))
    worst, k = float(distance[i]), int(problem.cluster[i])
    where = f"point {i} of {names[k]}: image {worst:.4g} from −β^({k})"
    holds = worst <= THERE * size
    return Finding(
        "collapsed data",
        "the composed truncation maps send every point of cluster ℓ to −β^(ℓ)",
        "(8.1)",
        holds,
        _depth(problem) if holds else -worst,
        where,
        "" if holds else "initial.construct: collapsed",
    )


def _depth(problem: Problem) -> float:
    """Return how deep each cluster lies in S⁻ of its layer, and its image in S⁺ of later ones: (8.1)."""
    depth, t = np.inf, problem.x
    for layer in range(problem.n_layers):
        z = coordinates(t, problem.R0[layer], problem.beta0[layer])
        own, earlier = problem.cluster == layer, problem.cluster < layer
        depth = min(depth, -float(z[own].max(initial=-np.inf)), float(z[earlier].min(initial=np.inf)))
        t = truncate(t, problem.R0[layer], problem.beta0[layer])
    return depth


def clustered(problem: Problem, names: list[str]) -> Iterator[Finding]:
    """Yield what Theorem 9.1 assumes."""
    closest = sector_margin(problem.x, problem.R0, problem.beta0)
    whose = f"point {closest.point} of {names[problem.cluster[closest.point]]}"
    where = f"{whose} under layer {closest.layer}, coordinate {closest.coordinate}"
    if not closest.holds:
        layers = zip(problem.R0, problem.beta0, strict=True)
        cut = sum(count_outside(problem.x, R, beta) for R, beta in layers)
        where += f"; {cut} pairs of point and layer are truncated"
    yield Finding(
        "positive sectors",
        "every point lies in S_ℓ⁺ of every layer ℓ",
        "(9.2)",
        closest.holds,
        closest.margin,
        where,
        "" if closest.holds else "initial.construct: clustered",
    )
    eigenvalues = np.linalg.eigvalsh(problem.x.T @ problem.x / problem.x.shape[0])
    floor = RANK_SHARE * max(float(eigenvalues[-1]), 0.0)
    rank = int(np.count_nonzero(eigenvalues > floor))
    yield Finding(
        "full rank",
        "XXᵀ is invertible",
        "(9.9)",
        rank == problem.dim,
        float(eigenvalues[0]) if rank == problem.dim else float(eigenvalues[0] - floor),
        f"XXᵀ/N has eigenvalues {eigenvalues[0]:.4g} … {eigenvalues[-1]:.4g}, rank {rank} of {problem.dim}",
        ""
        if rank == problem.dim
        else "points that span the space; without, W tends to the minimiser nearest to its start",
    )
