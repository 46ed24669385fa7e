"""The points of all clusters as the `general` flow sees them: coinciding ones merged, coordinates centred."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from truncflow_cli.problem import Array, IntArray, Problem


@dataclass(frozen=True)
class GeneralData:
    """Distinct points with what they weigh.

    Attributes:
        center: (Q,) mean of all points; all positions here are relative to it.
        x: (M, Q) distinct points, sorted by cluster and then lexicographically.
        length: (M,) |x_i|.
        label: (M,) cluster of each row.
        multiplicity: (M,) how many training inputs coincide in each row.
        weight: (M,) multiplicity / N_j.
        members: (N,) rows of ``Problem.x``, those of each row side by side.
        first: (M+1,) where in ``members`` those of each row begin.
        y_tilde: (C, Q) ỹ_j − x̄.
    """

    center: Array
    x: Array
    length: Array
    label: IntArray
    multiplicity: Array
    weight: Array
    members: IntArray
    first: IntArray
    y_tilde: Array

    @property
    def n_clusters(self) -> int:
        """C."""
        return int(self.y_tilde.shape[0])

    def members_of(self, i: int) -> IntArray:
        """Return the rows of ``Problem.x`` that row i stands for."""
        return self.members[self.first[i] : self.first[i + 1]]

    @cached_property
    def target(self) -> Array:
        """(M, Q) ỹ − x̄ of each row."""
        return np.ascontiguousarray(self.y_tilde[self.label])

    @cached_property
    def total(self) -> float:
        """N, the number of training inputs."""
        return float(self.multiplicity.sum())

    @property
    def spread(self) -> float:
        """Largest distance of a point to the mean."""
        return float(self.length.max(initial=0.0))


def general_data(problem: Problem) -> GeneralData:
    """Prepare the points of ``problem``; sums over them do not depend on the order they were given in."""
    keyed = np.column_stack([problem.cluster.astype(np.float64), problem.x + 0.0])
    distinct, inverse, counts = np.unique(keyed, axis=0, return_inverse=True, return_counts=True)
    multiplicity = counts.astype(np.float64)
    label = distinct[:, 0].astype(np.int64)
    sizes = np.bincount(label, weights=multiplicity, minlength=problem.n_clusters)
    center = multiplicity @ distinct[:, 1:] / multiplicity.sum()
    x = np.ascontiguousarray(distinct[:, 1:] - center)
    return GeneralData(
        center=center,
        x=x,
        length=np.linalg.norm(x, axis=1),
        label=label,
        multiplicity=multiplicity,
        weight=multiplicity / sizes[label],
        members=np.argsort(inverse.reshape(-1), kind="stable"),
        first=np.append(0, np.cumsum(counts)),
        y_tilde=problem.y_tilde - center,
    )
