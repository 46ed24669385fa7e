"""What Theorems 3.2 and 5.1 assume, and what of Propositions 4.1 and 4.2 could be concluded besides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from truncflow_cli.diagnostics.concentration import concentration
from truncflow_cli.diagnostics.hypotheses import Finding
from truncflow_cli.problem import Problem
from truncflow_cli.truncation import Closest, count_outside, positive_margin, separation_margins, truncate

#: ‖RᵀR − 1‖ that counts as orthogonal.
ORTHOGONAL = 1e-12


def separated(problem: Problem, names: list[str]) -> Iterator[Finding]:
    """Yield what Theorem 3.2 assumes, and what Propositions 4.1 and 4.2 do."""
    yield _orthogonal(problem)
    if problem.n_layers == problem.n_clusters:
        yield from _separation(problem, names, needed=True)
        yield from (_moves(problem, names, k) for k in range(problem.n_clusters))
        yield from (_concentrated(problem, names, k) for k in range(problem.n_clusters))


def general(problem: Problem, names: list[str]) -> Iterator[Finding]:
    """Yield what Theorem 5.1 assumes, and whether it is Theorem 3.2 to begin with."""
    yield _orthogonal(problem)
    if problem.n_layers == problem.n_clusters:
        yield from _separation(problem, names, needed=False)


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


def _separation(problem: Problem, names: list[str], *, needed: bool) -> Iterator[Finding]:
    if problem.n_clusters == 1:
        return
    margins = separation_margins(problem.x, problem.cluster, problem.R0, problem.beta0)
    yield from (_foreign(problem, names, closest, needed=needed) for closest in margins)
    yield _images(problem, names)


def _foreign(problem: Problem, names: list[str], closest: Closest, *, needed: bool) -> Finding:
    layer, margin, r = closest.layer, closest.margin, closest.coordinate
    which = f"point {closest.point} of {names[problem.cluster[closest.point]]}, coordinate {r}"
    remedy = ""
    if not closest.holds:
        foreign = problem.x[problem.cluster != layer]
        cut = count_outside(foreign, problem.R0[layer], problem.beta0[layer])
        which += f"; {cut} of the other clusters' {len(foreign)} points are truncated"
        remedy = (
            f"initial.construct: separated; or a bias of layer {layer} further by more than {-margin:.3g} "
            f"along row {r} of R_{layer}, if that leaves enough of {names[layer]} truncated"
        )
    return Finding(
        f"separated, layer {layer}",
        f"layer {layer} truncates no point of a cluster other than {names[layer]}",
        "(3.3)",
        closest.holds,
        margin,
        which,
        remedy,
        needed,
    )


def _images(problem: Problem, names: list[str]) -> Finding:
    """Check that later layers leave the truncated images in place: (3.4) uses it, (3.3) does not say it."""
    images, own = np.empty_like(problem.x), problem.cluster
    for k, own_layer in enumerate(zip(problem.R0, problem.beta0, strict=True)):
        images[own == k] = truncate(problem.x[own == k], *own_layer)
    closest = Closest(np.inf)
    for layer in range(1, problem.n_layers):
        rows = np.flatnonzero(own < layer)
        found = positive_margin(images, problem.R0[layer], problem.beta0[layer], layer, rows)
        closest = min(closest, found, key=lambda each: each.margin)
    where = "no layer comes after another"
    if closest.layer >= 0:
        whose = f"point {closest.point} of {names[own[closest.point]]}"
        where = f"image of {whose} under layer {closest.layer}, coordinate {closest.coordinate}"
    return Finding(
        "images in place",
        "what its own layer makes of a cluster is left in place by the later layers, so that (3.5) holds",
        "(3.4), (3.5)",
        closest.holds,
        closest.margin,
        where,
        "" if closest.holds else "another order of the clusters, or the flow general",
        needed=False,
    )


def _moves(problem: Problem, names: list[str], k: int) -> Finding:
    members, layer = np.flatnonzero(problem.cluster == k), (problem.R0[k], problem.beta0[k])
    closest = positive_margin(problem.x, *layer, k, members)
    cut = count_outside(problem.x[members], *layer)
    return Finding(
        f"truncated, layer {k}",
        f"layer {k} truncates some of {names[k]}; else nothing of it ever moves",
        "Prop. 4.1",
        not closest.holds,
        -closest.margin,
        f"point {closest.point}, coordinate {closest.coordinate}; {cut} of {members.size} points truncated",
        f"initial.construct: separated; or a bias of layer {k} back by more than {closest.margin:.3g}"
        if closest.holds
        else "",
        needed=False,
    )


def _concentrated(problem: Problem, names: list[str], k: int) -> Finding:
    members = np.flatnonzero(problem.cluster == k)
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
