"""The hypotheses of a flow's theorem, checked on a problem before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from truncflow_cli.cluster_names import called, cluster_names
from truncflow_cli.diagnostics.collapsed import spectral_gap
from truncflow_cli.diagnostics.concentration import concentration
from truncflow_cli.problem import Array, IntArray, Problem

#: ‖RᵀR − 1‖ that counts as orthogonal, and distances relative to the data that count as none.
ORTHOGONAL, THERE = 1e-12, 1e-12
#: Eigenvalues of XXᵀ/N below this share of the largest count as zero.
RANK_SHARE = 1e-12


@dataclass(frozen=True)
class Finding:
    """One hypothesis, as found on a problem.

    Attributes:
        name: short name.
        statement: what is assumed.
        source: number of the equation or theorem in the paper.
        holds: whether it does.
        margin: how far it is from failing, or by how much it fails (negative); NaN where there is no measure.
        closest: what is closest to failing, or fails most: which point, cluster, layer and coordinate.
        remedy: what would mend it; empty where it holds, or where no remedy is known.
        needed: whether the flow's theorem assumes it (else it says what more could be concluded).
    """

    name: str
    statement: str
    source: str
    holds: bool
    margin: float
    closest: str
    remedy: str
    needed: bool = True


def check(problem: Problem, notes: Mapping[str, str | float]) -> list[Finding]:
    """Check every hypothesis of the theorem on the problem's flow, at s = 0.

    Args:
        problem: the initial value problem.
        notes: what was found while it was built; "clusters" holds the clusters' names.
    """
    names = called(cluster_names(notes, problem.n_clusters))
    if problem.flow == "collapsed":
        return list(_collapsed(problem, names))
    if problem.flow == "clustered":
        return list(_clustered(problem, names))
    return list(_layered(problem, names))


def _members(problem: Problem, cluster: int) -> IntArray:
    return np.flatnonzero(problem.cluster == cluster)


def _orthogonal(problem: Problem) -> Finding:
    defect = problem.R0.swapaxes(1, 2) @ problem.R0 - np.eye(problem.dim)
    norms = np.sqrt(np.einsum("lij,lij->l", defect, defect))
    worst = int(np.argmax(norms))
    return Finding(
        "orthogonal",
        "R_ℓ is orthogonal",
        "(3.20)",
        bool(norms[worst] <= ORTHOGONAL),
        float(ORTHOGONAL - norms[worst]),
        f"layer {worst}: ‖RᵀR − 1‖ = {norms[worst]:.3g}",
        "" if norms[worst] <= ORTHOGONAL else "give initial.rotation to more digits",
    )


def _layered(problem: Problem, names: list[str]) -> Iterator[Finding]:
    yield _orthogonal(problem)
    needed = problem.flow == "separated"
    if problem.n_layers != problem.n_clusters:
        return
    if problem.n_clusters > 1:
        for layer in range(problem.n_layers):
            yield _separation(problem, names, layer, needed=needed)
        yield _images(problem, names)
    if needed:
        for k in range(problem.n_clusters):
            yield _moves(problem, names, k)
        for k in range(problem.n_clusters):
            yield _concentrated(problem, names, k)


def _coordinates(x: Array, R: Array, beta: Array) -> Array:
    """Return z (n, Q) of points x (n, Q) under a layer R (Q, Q), beta (Q,)."""
    return np.asarray((x + beta) @ R.T)


def _separation(problem: Problem, names: list[str], layer: int, *, needed: bool) -> Finding:
    foreign = np.flatnonzero(problem.cluster != layer)
    z = _coordinates(problem.x[foreign], problem.R0[layer], problem.beta0[layer])
    i, r = np.unravel_index(int(np.argmin(z)), z.shape)
    margin = float(z[i, r])
    outside = int(np.count_nonzero((z <= 0.0).any(axis=1)))
    which = f"point {foreign[i]} of {names[problem.cluster[foreign[i]]]}, coordinate {r}"
    remedy = ""
    if margin <= 0.0:
        which += f"; {outside} of the other clusters' {foreign.size} points are truncated"
        remedy = (
            f"initial.construct: separated; or a bias of layer {layer} further by more than {-margin:.3g} "
            f"along row {r} of R_{layer}, if that leaves enough of {names[layer]} truncated"
        )
    return Finding(
        f"separated, layer {layer}",
        f"layer {layer} truncates no point of a cluster other than {names[layer]}",
        "(3.3)",
        margin > 0.0,
        margin,
        which,
        remedy,
        needed,
    )


def _images(problem: Problem, names: list[str]) -> Finding:
    """Check that later layers leave the truncated images in place: (3.4) uses it, (3.3) does not say it."""
    least, where = np.inf, "no layer comes after another"
    images = _own_images(problem)
    for layer in range(1, problem.n_layers):
        members = np.flatnonzero(problem.cluster < layer)
        if not members.size:
            continue
        z = _coordinates(images[members], problem.R0[layer], problem.beta0[layer])
        i, r = np.unravel_index(int(np.argmin(z)), z.shape)
        if z[i, r] < least:
            least = float(z[i, r])
            own = names[problem.cluster[members[i]]]
            where = f"image of point {members[i]} of {own} under layer {layer}, coordinate {r}"
    return Finding(
        "images in place",
        "what its own layer makes of a cluster is left in place by the later layers, so that (3.5) holds",
        "(3.4), (3.5)",
        bool(least > 0.0),
        least,
        where,
        "" if least > 0.0 else "another order of the clusters, or the flow general",
        needed=False,
    )


def _own_images(problem: Problem) -> Array:
    """Return what its own layer alone makes of every point, (N, Q)."""
    images = np.empty_like(problem.x)
    for k in range(problem.n_clusters):
        members = _members(problem, k)
        R, beta = problem.R0[k], problem.beta0[k]
        images[members] = np.maximum(_coordinates(problem.x[members], R, beta), 0.0) @ R - beta
    return images


def _moves(problem: Problem, names: list[str], k: int) -> Finding:
    members = _members(problem, k)
    z = _coordinates(problem.x[members], problem.R0[k], problem.beta0[k])
    i, r = np.unravel_index(int(np.argmin(z)), z.shape)
    least, cut = float(z[i, r]), int(np.count_nonzero((z <= 0.0).any(axis=1)))
    return Finding(
        f"truncated, layer {k}",
        f"layer {k} truncates some of {names[k]}; else nothing of it ever moves",
        "Prop. 4.1",
        least <= 0.0,
        -least,
        f"point {members[i]}, coordinate {r}; {cut} of {members.size} points truncated",
        ""
        if least <= 0.0
        else f"initial.construct: separated; or a bias of layer {k} back by more than {least:.3g}",
        needed=False,
    )


def _concentrated(problem: Problem, names: list[str], k: int) -> Finding:
    members = _members(problem, k)
    found = concentration(
        problem.x[members],
        problem.y_tilde[k],
        problem.R0[k],
        problem.beta0[k],
        turns=not problem.settings.freeze_rotation,
        index=members,
    )
    constants = f"η0 = {found.eta0:.4g}, m1 = {found.m1:.4g}, m2 = {found.m2:.4g}, η2 = {found.eta2:.4g}"
    remedy = "" if found.met else "a label further on the truncated side of every face of the cluster's layer"
    if not found.met and found.gamma > 0.0:
        remedy = "fewer points, or less far out, on the untruncated side of a face"
    return Finding(
        f"concentrated, {names[k]}",
        f"{names[k]} starts so far in S⁻ that it is wholly truncated by a known time",
        "Prop. 4.2 corrected",
        found.met,
        found.gamma if np.isfinite(found.gamma) else np.nan,
        f"{constants}: wholly truncated by s = {found.s1:.4g}" if found.met else found.reason,
        remedy,
        needed=False,
    )


def _collapsed(problem: Problem, names: list[str]) -> Iterator[Finding]:
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
    t = problem.x
    for R, beta in zip(problem.R0, problem.beta0, strict=True):
        t = np.maximum(_coordinates(t, R, beta), 0.0) @ R - beta
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
        z = _coordinates(t, problem.R0[layer], problem.beta0[layer])
        own, earlier = problem.cluster == layer, problem.cluster < layer
        depth = min(depth, -float(z[own].max(initial=-np.inf)), float(z[earlier].min(initial=np.inf)))
        t = np.maximum(z, 0.0) @ problem.R0[layer] - problem.beta0[layer]
    return depth


def _clustered(problem: Problem, names: list[str]) -> Iterator[Finding]:
    least, where, outside = np.inf, "", 0
    for layer in range(problem.n_layers):
        z = _coordinates(problem.x, problem.R0[layer], problem.beta0[layer])
        i, r = np.unravel_index(int(np.argmin(z)), z.shape)
        outside += int(np.count_nonzero((z <= 0.0).any(axis=1)))
        if z[i, r] < least:
            least = float(z[i, r])
            where = f"point {i} of {names[problem.cluster[i]]} under layer {layer}, coordinate {r}"
    if least <= 0.0:
        where += f"; {outside} pairs of point and layer are truncated"
    yield Finding(
        "positive sectors",
        "every point lies in S_ℓ⁺ of every layer ℓ",
        "(9.2)",
        bool(least > 0.0),
        least,
        where,
        "" if least > 0.0 else "initial.construct: clustered",
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
