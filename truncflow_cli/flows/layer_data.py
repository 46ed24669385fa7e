"""The points a layer sees, prepared once: coinciding ones merged, coordinates centred, foreign ones behind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.problem import Array, BoolArray, IntArray, Problem

#: Indices of points, in 4 bytes where that is enough: with very many points, each array of them counts.
Indices = NDArray[np.signedinteger[Any]]


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
        members: (N,) the rows of ``Problem.x`` that the rows of ``x`` stand for, one row's after the other's.
        first: (M+1,) where in ``members`` those of each row begin, and the end.
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
    members: Indices
    first: Indices
    owner: Indices
    y_tilde: Array
    n_clusters: int

    def members_of(self, i: int) -> Indices:
        """Return the rows of ``Problem.x`` that row i stands for."""
        return self.members[self.first[i] : self.first[i + 1]]

    @property
    def dim(self) -> int:
        """Q."""
        return int(self.center.size)

    @cached_property
    def distinct(self) -> bool:
        """Whether no two own points coincide."""
        return self.n_own == self.total

    @cached_property
    def total(self) -> float:
        """N_ℓ, the number of own training inputs."""
        return float(self.multiplicity.sum())

    @cached_property
    def spread(self) -> float:
        """Largest distance of an own point to the mean."""
        return float(self.length[: self.n_own].max(initial=0.0))


def layer_data(problem: Problem, layer: int, *, in_place: bool = False) -> LayerData:
    """Prepare the points of ``problem`` for layer ``layer`` of the `separated` flow.

    Points are put into an order of their own, so that sums do not depend on the order they were given in.

    Args:
        problem: the problem.
        layer: ℓ.
        in_place: whether the positions may take the place of ``problem.x``, which are lost; else they are a copy.
    """
    own = np.flatnonzero(problem.cluster == layer)
    foreign = np.flatnonzero(problem.cluster != layer)
    members = own[lexicographic_order(problem.x, own)]
    del own
    new = np.flatnonzero(starts_of_runs(problem.x, members))
    multiplicity = np.diff(np.append(new, members.size)).astype(np.float64)
    rows = np.concatenate([members[new], foreign])
    x = moved_to_front(problem.x, rows) if in_place else problem.x[rows]
    center = multiplicity @ x[: new.size] / members.size
    x -= center
    length = np.einsum("ia,ia->i", x, x)
    return LayerData(
        layer=layer,
        center=center,
        x=x,
        length=np.sqrt(length, out=length),
        n_own=new.size,
        multiplicity=multiplicity,
        members=_short(np.concatenate([members, foreign])),
        first=_short(np.concatenate([new, members.size + np.arange(foreign.size + 1)])),
        owner=_short(problem.cluster[rows]),
        y_tilde=problem.y_tilde[layer] - center,
        n_clusters=problem.n_clusters,
    )


def _short(indices: IntArray) -> Indices:
    return indices.astype(np.int32) if indices.max(initial=0) <= np.iinfo(np.int32).max else indices


def moved_to_front(x: Array, rows: IntArray) -> Array:
    """Return these rows (M,) of x (N, Q), which take the place of its first M rows: a copy is of one column only."""
    for a in range(x.shape[1]):
        x[: rows.size, a] = x[rows, a]
    return x[: rows.size]


def lexicographic_order(x: Array, rows: IntArray) -> IntArray:
    """Return the order (M,) that sorts these rows (M,) of x (N, Q), equal ones staying as they are.

    Only rows that agree in the first coordinate, which measured data hardly have, are compared in the others.
    """
    order = np.argsort(x[rows, 0], kind="stable")
    value = x[rows[order], 0]
    new = np.append(True, value[1:] != value[:-1])[: value.size]
    tied = np.flatnonzero(~(new & np.append(new[1:], True)[: new.size]))
    if tied.size:
        among = x[rows[order[tied]], 1:]
        order[tied] = order[tied[np.lexsort((*among.T[::-1], np.cumsum(new)[tied]))]]
    return order


def starts_of_runs(x: Array, rows: IntArray) -> BoolArray:
    """Return which of these rows (M,) of x (N, Q), in lexicographic order, differ from the row before."""
    new = np.zeros(rows.size, dtype=bool)
    new[:1] = True
    for a in range(x.shape[1]):
        value = x[rows, a]
        new[1:] |= value[1:] != value[:-1]
    return new
