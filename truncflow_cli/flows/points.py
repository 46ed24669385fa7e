"""The points as the layers of a flow see them, prepared once: coinciding ones merged, coordinates centred."""

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
class Points:
    """Distinct points that act on a flow, and behind them those that are only watched.

    Attributes:
        center: (Q,) mean of the acting points; all positions here are relative to it.
        x: (M, Q) distinct acting points, each cluster's in lexicographic order, then the watched ones.
        length: (M,) |x_i|.
        multiplicity: (n_own,) how many training inputs coincide in each acting row.
        members: (N,) the rows of ``Problem.x`` that the rows of ``x`` stand for, one row's after the other's.
        first: (M+1,) where in ``members`` those of each row begin, and the end.
        label: (M,) cluster of each row.
        n_clusters: C.
        y_tilde: ỹ − x̄, (Q,) of the acting cluster or (C, Q) of all.
    """

    center: Array
    x: Array
    length: Array
    multiplicity: Array
    members: Indices
    first: Indices
    label: Indices
    n_clusters: int
    y_tilde: Array

    def target_of(self, points: IntArray | slice) -> Array:
        """Return ỹ − x̄ of these acting rows (m, Q), or the one (Q,) that they share."""
        raise NotImplementedError

    def weight_of(self, points: IntArray | slice) -> Array:
        """Return what each of these acting rows counts in the loss (m,): multiplicity / N_j."""
        raise NotImplementedError

    def members_of(self, i: int) -> Indices:
        """Return the rows of ``Problem.x`` that row i stands for."""
        return self.members[self.first[i] : self.first[i + 1]]

    @property
    def dim(self) -> int:
        """Q."""
        return int(self.center.size)

    @property
    def n_own(self) -> int:
        """How many rows act."""
        return int(self.multiplicity.size)

    @cached_property
    def distinct(self) -> bool:
        """Whether no two acting points coincide."""
        return self.n_own == self.total

    @cached_property
    def total(self) -> float:
        """The number of acting training inputs."""
        return float(self.multiplicity.sum())

    @cached_property
    def spread(self) -> float:
        """Largest distance of an acting point to the mean."""
        return float(self.length[: self.n_own].max(initial=0.0))


@dataclass(frozen=True)
class LayerPoints(Points):
    """What layer ℓ of `separated` sees: the points of cluster ℓ act, the others are watched.

    Attributes:
        layer: ℓ, also the index of the own cluster.
    """

    layer: int

    def target_of(self, points: IntArray | slice) -> Array:
        """See ``Points``."""
        return self.y_tilde

    def weight_of(self, points: IntArray | slice) -> Array:
        """See ``Points``."""
        return np.asarray(self.multiplicity[points] / self.total)


@dataclass(frozen=True)
class NetworkPoints(Points):
    """What the layers of `general` see: all points act.

    Attributes:
        weight: (M,) multiplicity / N_j.
    """

    weight: Array

    def target_of(self, points: IntArray | slice) -> Array:
        """See ``Points``."""
        return np.asarray(self.y_tilde[self.label[points]])

    def weight_of(self, points: IntArray | slice) -> Array:
        """See ``Points``."""
        return self.weight[points]

    @cached_property
    def target(self) -> Array:
        """(M, Q) ỹ − x̄ of each row."""
        return np.ascontiguousarray(self.y_tilde[self.label])


def layer_points(problem: Problem, layer: int, *, in_place: bool = False) -> LayerPoints:
    """Prepare the points of ``problem`` for layer ``layer`` of the `separated` flow.

    Args:
        problem: the problem.
        layer: ℓ.
        in_place: whether the positions may take the place of ``problem.x``, which are lost; else they are a copy.
    """
    shared = _prepared(problem, [layer], in_place)
    return LayerPoints(**shared, layer=layer, y_tilde=problem.y_tilde[layer] - shared["center"])


def network_points(problem: Problem) -> NetworkPoints:
    """Prepare the points of ``problem`` for the `general` flow."""
    shared = _prepared(problem, range(problem.n_clusters), in_place=False)
    label = shared["label"] = shared["label"].astype(np.int64)  # as the kernels take it
    sizes = np.bincount(label, weights=shared["multiplicity"], minlength=problem.n_clusters)
    return NetworkPoints(
        **shared,
        weight=shared["multiplicity"] / sizes[label],
        y_tilde=problem.y_tilde - shared["center"],
    )


def _prepared(problem: Problem, acting: list[int] | range, in_place: bool) -> dict[str, Any]:
    """Return the fields of ``Points`` where these clusters act.

    Points are put into an order of their own, so that sums do not depend on the order they were given in.
    """
    foreign = np.flatnonzero((problem.cluster < acting[0]) | (problem.cluster > acting[-1]))
    parts, news = [], []
    for cluster in acting:
        own = np.flatnonzero(problem.cluster == cluster)
        parts.append(own[lexicographic_order(problem.x, own)])
        news.append(starts_of_runs(problem.x, parts[-1]))
    members, new = np.concatenate(parts), np.flatnonzero(np.concatenate(news))
    del parts, news, own
    multiplicity = np.diff(np.append(new, members.size)).astype(np.float64)
    rows = np.concatenate([members[new], foreign])
    x = moved_to_front(problem.x, rows) if in_place else problem.x[rows]
    center = multiplicity @ x[: new.size] / members.size
    x -= center
    length = np.einsum("ia,ia->i", x, x)
    return {
        "center": center,
        "x": x,
        "length": np.sqrt(length, out=length),
        "multiplicity": multiplicity,
        "members": _short(np.concatenate([members, foreign])),
        "first": _short(np.concatenate([new, members.size + np.arange(foreign.size + 1)])),
        "label": _short(problem.cluster[rows]),
        "n_clusters": problem.n_clusters,
    }


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
