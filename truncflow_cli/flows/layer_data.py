"""The points a layer sees, prepared once: coinciding ones merged, coordinates centred, foreign ones behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.model.problem import Array, IntArray, Problem


@dataclass(frozen=True)
class LayerData:
    """Cluster ℓ's own points first, then those of the other clusters (which the layer only watches).

    Attributes:
        layer: ℓ, also the index of the own cluster.
        center: (Q,) mean x̄ of the own points; all positions here are relative to it.
        x: (M, Q) distinct own points in lexicographic order, then the foreign points.
        length: (M,) |x_i|.
        n_own: how many rows of ``x`` are own points.
        multiplicity: (n_own,) how many training inputs coincide in each own row.
        members: for each row of ``x`` the rows of ``Problem.x`` that it stands for.
        owner: (M,) cluster of each row.
        y_tilde: (Q,) ỹ_ℓ − x̄.
        n_clusters: C.
    """

    layer: int
    center: Array
    x: Array
    length: Array
    n_own: int
    multiplicity: Array
    members: tuple[IntArray, ...]
    owner: IntArray
    y_tilde: Array
    n_clusters: int

    @property
    def dim(self) -> int:
        """Q."""
        return int(self.center.size)

    @property
    def total(self) -> float:
        """N_ℓ, the number of own training inputs."""
        return float(self.multiplicity.sum())

    @property
    def spread(self) -> float:
        """Largest distance of an own point to the mean."""
        return float(self.length[: self.n_own].max(initial=0.0))


def layer_data(problem: Problem, layer: int) -> LayerData:
    """Prepare the points of ``problem`` for layer ``layer`` of the `separated` flow.

    Points are put into an order of their own, so that sums do not depend on the order they were given in.
    """
    own = np.flatnonzero(problem.cluster == layer)
    foreign = np.flatnonzero(problem.cluster != layer)
    distinct, inverse, counts = np.unique(
        problem.x[own] + 0.0, axis=0, return_inverse=True, return_counts=True
    )
    inverse = inverse.reshape(-1)
    order = np.argsort(inverse, kind="stable")
    members = np.split(own[order], np.cumsum(counts)[:-1])
    multiplicity = counts.astype(np.float64)
    center = multiplicity @ distinct / multiplicity.sum()
    x = np.ascontiguousarray(np.concatenate([distinct, problem.x[foreign]]) - center)
    return LayerData(
        layer=layer,
        center=center,
        x=x,
        length=np.linalg.norm(x, axis=1),
        n_own=distinct.shape[0],
        multiplicity=multiplicity,
        members=(*members, *foreign[:, None]),
        owner=np.concatenate([np.full(distinct.shape[0], layer), problem.cluster[foreign]]),
        y_tilde=problem.y_tilde[layer] - center,
        n_clusters=problem.n_clusters,
    )
