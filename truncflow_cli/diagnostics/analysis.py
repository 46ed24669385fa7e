"""What all certificates look at: a run's saved states, sent once through plain passes, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.diagnostics.passes import (
    NOTHING_PINNED,
    ClusterPass,
    Pinned,
    blocks,
    cluster_pass,
    largest_norm,
    sector_margins,
    separated_velocity,
)
from truncflow_cli.events import EventLog, Kind, of_kind
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.run_data import RunLike

Mask = NDArray[np.bool_]

#: Multiplications that the passes of one run may take; beyond, saved times are left out (a second at most).
WORK = 1_500_000_000
#: However many points there are, at least this many saved times are looked at.
FEWEST_TIMES = 5
#: Coordinates closer to 0 than this, relative to the data, lie on their surface for all one can tell.
ON_SURFACE = 1e-12
#: Relative rounding error of a sum over points, taken generously.
ROUNDING = 1e-14


class Evidence:
    """A run as the certificates see it.

    M of the T saved times are evaluated; arrays here have them along the first axis unless said otherwise.

    Attributes:
        run: the run.
        times: (M,) indices of the saved times that are evaluated, the first and the last among them.
        s: (M,) those times.
        x, cluster: the training inputs (N, Q) and their clusters (N,), empty where the run has none.
        groups: indices of the points of each cluster.
    """

    def __init__(self, run: RunLike) -> None:
        self.run = run
        self.flow = str(run.attrs["flow"])
        self.printed = run.attrs.get("equations") == "printed"
        self.frozen = bool(run.attrs.get("rotation_frozen", False))
        self.n_clusters, self.dim = int(run.y_tilde.shape[0]), int(run.y_tilde.shape[1])
        self.x = np.empty((0, self.dim)) if run.x is None else np.asarray(run.x, dtype=np.float64)
        self.cluster = (
            np.empty(0, np.int64) if run.cluster is None else np.asarray(run.cluster, dtype=np.int64)
        )
        self.groups = tuple(np.flatnonzero(self.cluster == k) for k in range(self.n_clusters))
        self.n_layers = 0 if run.beta is None else int(run.beta.shape[1])
        work = 6 * max(1, self.x.shape[0]) * max(1, self.n_layers) * self.dim**2
        finite = _finite_times(run)
        count = min(finite, max(FEWEST_TIMES, WORK // work))
        self.times: IntArray = np.unique(np.linspace(0, max(0, finite - 1), count).round().astype(np.int64))
        self.s: Array = run.s[self.times]

    def points(self, cluster: int) -> Array:
        """Return the points of a cluster, (N_j, Q): a view where they stand next to one another."""
        group = self.groups[cluster]
        if group.size and group[-1] - group[0] == group.size - 1:
            return self.x[group[0] : group[-1] + 1]
        return self.x[group]

    # -- what was asked for ----------------------------------------------------------------------------------

    @cached_property
    def integrator(self) -> Mapping[str, Any]:
        """Its ``integrator`` section."""
        section = self.run.settings.get("integrator")
        return cast("Mapping[str, Any]", section) if isinstance(section, dict) else {}

    @property
    def rtol(self) -> float:
        """Relative tolerance the run was asked for (dimensionless)."""
        return float(self.integrator.get("rtol", 1e-9))

    @property
    def atol(self) -> float:
        """Absolute tolerance the run was asked for (a length)."""
        return float(self.integrator.get("atol", 1e-12))

    @property
    def layered(self) -> bool:
        """Whether the state is (β, R) of hidden layers."""
        return self.run.beta is not None and self.run.R is not None and self.n_layers > 0

    @cached_property
    def switched_at(self) -> float:
        """When a `separated` run went on with the `general` flow (infinite: never)."""
        value = self.run.attrs.get("switched_at")
        return np.inf if value is None or np.isnan(float(value)) else float(value)

    @cached_property
    def own_layer_only(self) -> Mask:
        """At which evaluated times the `separated` flow held, (M,) bool."""
        if self.flow != "separated":
            return np.zeros(self.s.size, dtype=bool)
        return np.asarray(self.s <= self.switched_at, dtype=bool)

    def sampling(self) -> str:
        """Say which saved times were evaluated."""
        if self.times.size == self.run.s.size:
            return (
                f"evaluated at all {self.run.s.size} saved times"
                if self.times.size > 1
                else "evaluated at s = 0"
            )
        return f"evaluated at {self.times.size} of the {self.run.s.size} saved times"

    def along(self, values: Array) -> Array:
        """Spread values (M,) at the evaluated times over all saved times, (T,), NaN between."""
        result = np.full(self.run.s.size, np.nan)
        result[self.times] = values
        return result

    # -- the states ------------------------------------------------------------------------------------------

    @cached_property
    def beta(self) -> Array:
        """β^(ℓ), (M, L, Q)."""
        return np.asarray(self.run.beta, dtype=np.float64)[self.times]

    @cached_property
    def R(self) -> Array:
        """R_ℓ, (M, L, Q, Q)."""
        return np.asarray(self.run.R, dtype=np.float64)[self.times]

    @property
    def square(self) -> bool:
        """Whether every cluster has a layer of its own, L = C."""
        return self.layered and self.n_layers == self.n_clusters

    @cached_property
    def pins(self) -> IntArray:
        """The pinned surfaces at the evaluated times, (P, 4): evaluated time, layer, point, coordinate."""
        return pinned_at(self.run.events, self.s)

    def pinned_in(self, cluster: int, layer: int | None = None) -> Pinned:
        """Return the pinned coordinates of a cluster: in one layer, a stack of its own, or in all."""
        if not self.pins.size:
            return NOTHING_PINNED
        group = self.groups[cluster]
        rows = self.pins if layer is None else self.pins[self.pins[:, 1] == layer]
        local = np.searchsorted(group, rows[:, 2])
        here = np.searchsorted(group, rows[:, 2], "right") > local
        rows, local = rows[here], local[here]
        return Pinned(rows[:, 0], rows[:, 1] if layer is None else np.zeros_like(local), local, rows[:, 3])

    @cached_property
    def own(self) -> list[ClusterPass]:
        """Each cluster through its own layer only (Theorem 3.2); needs L = C."""
        return [
            cluster_pass(self.points(k), label, *self._layer(k), self.pinned_in(k, k))
            for k, label in enumerate(self.run.y_tilde)
        ]

    @cached_property
    def composed(self) -> list[ClusterPass]:
        """Each cluster through all layers in turn (Theorem 5.1), watched where that is the flow."""
        if self.square and self.n_layers == 1:
            return self.own
        watched = not self.own_layer_only.all()
        return [
            cluster_pass(
                self.points(k),
                label,
                self.R,
                self.beta,
                self.pinned_in(k),
                own=k if self.square else None,
                watched=watched,
            )
            for k, label in enumerate(self.run.y_tilde)
        ]

    @cached_property
    def velocity(self) -> list[tuple[Array, Array]]:
        """(∂_s β, Ω) of each cluster's own layer by Theorem 3.2, as printed if the run says so; needs L = C."""
        return [
            separated_velocity(
                self.points(k),
                label,
                self.R[:, k],
                self.beta[:, k],
                self.pinned_in(k, k),
                printed=self.printed,
            )
            for k, label in enumerate(self.run.y_tilde)
        ]

    def _layer(self, k: int) -> tuple[Array, Array]:
        return self.R[:, k : k + 1], self.beta[:, k : k + 1]

    @cached_property
    def foreign_margins(self) -> Array:
        """Least coordinate of any point of cluster k under layer l, (M, L, C); infinite for l = k."""
        margins = [sector_margins(self.points(k), self.R, self.beta) for k in range(self.n_clusters)]
        result: Array = np.stack(margins, axis=2)
        result[:, range(self.n_clusters), range(self.n_clusters)] = np.inf
        return result

    @cached_property
    def image_margins(self) -> Array:
        """The same for the images τ^(k)(x) of cluster k under layers l > k, (M, L, C); else infinite."""
        margins = [sector_margins(self.points(k), self.R, self.beta, own=k) for k in range(self.n_clusters)]
        return np.stack(margins, axis=2)

    def by_cluster(self, name: str) -> Array:
        """Return a quantity of ``ClusterPass``, (M, C, ...), under the flow that held at each time."""
        alone = self.own_layer_only
        parts = []
        for k in range(self.n_clusters):
            if alone.all():
                parts.append(getattr(self.own[k], name))
                continue
            value = getattr(self.composed[k], name)
            if alone.any():
                mask = alone.reshape(-1, *([1] * (value.ndim - 1)))
                value = np.where(mask, getattr(self.own[k], name), value)
            parts.append(value)
        return np.stack(parts, axis=1)

    @cached_property
    def loss_cluster(self) -> Array:
        """The flow's own loss, recomputed from the saved states, by cluster: (M, C)."""
        if self.layered:
            return self.by_cluster("loss")
        W = np.asarray(self.run.W, dtype=np.float64)[self.times]
        if self.flow == "collapsed":
            E = W @ np.asarray(self.run.B, dtype=np.float64)[self.times] + self.run.y.T
            result: Array = 0.5 * np.einsum("tqc,tqc->tc", E, E)
            return result
        return clustered_loss(self.x, self.groups, self.run.y, W, self.point_weights)

    @cached_property
    def point_weights(self) -> Array:
        """Weight of each point in the loss of `clustered`, (N,): 1/N (9.3), or 1/N_j (2.22)."""
        n = max(1, self.x.shape[0])
        weights = np.full(self.x.shape[0], 1.0 / n)
        if self.run.settings.get("point_weights") == "1/N_j":
            for group in self.groups:
                weights[group] = 1.0 / max(1, group.size)
        return weights

    @cached_property
    def loss(self) -> Array:
        """The recomputed loss, (M,)."""
        result: Array = self.loss_cluster.sum(axis=1)
        return result

    # -- tolerances ------------------------------------------------------------------------------------------

    @cached_property
    def reach(self) -> float:
        """Largest |x + β| or |ỹ + β| there can be (a length)."""
        points = largest_norm(self.x)
        labels = np.linalg.norm(self.run.y_tilde, axis=1).max(initial=0.0)
        return float(max(points, labels) + np.linalg.norm(self.beta, axis=-1).max(initial=0.0))

    @cached_property
    def bias_error(self) -> float:
        """Error of a bias that the tolerances allow (a length)."""
        return (
            (self.rtol + ROUNDING) * float(np.abs(self.beta).max(initial=0.0))
            + self.atol
            + ROUNDING * self.reach
        )

    @cached_property
    def turn_error(self) -> float:
        """Error of a rotation that the tolerances allow (dimensionless)."""
        return self.rtol + ROUNDING

    @cached_property
    def loss_error(self) -> float:
        """Error of the loss that follows from the state's; |∂C| ≤ √(2C(0)) for each cluster and layer."""
        slope = float(np.sqrt(2.0 * self.loss[0] * self.n_clusters))
        if not self.layered:
            size = float(max(np.abs(a).max(initial=0.0) for a in (self.run.W, self.run.B) if a is not None))
            lever = max(size, float(self.x.max(initial=0.0)), -float(self.x.min(initial=0.0)))
            error = slope * ((self.rtol + ROUNDING) * size + self.atol) * lever * self.dim
            return float(error + ROUNDING * self.loss[0])
        layers = 1 if self.flow == "separated" and np.isinf(self.switched_at) else self.n_layers
        return slope * layers * (self.bias_error + self.turn_error * self.reach)


def _finite_times(run: RunLike) -> int:
    """Return how many saved times there are before the first at which the state or the loss is not finite."""
    parts = [part for part in (run.loss, run.beta, run.R, run.B, run.W) if part is not None]
    if all(np.isfinite(part).all() for part in parts):
        return int(run.loss.size)
    finite = np.logical_and.reduce(
        [np.isfinite(part).reshape(part.shape[0], -1).all(axis=1) for part in parts]
    )
    return int(np.argmin(finite))


def pinned_at(events: EventLog, s: Array) -> IntArray:
    """Return the pinned surfaces at ascending times s (M,): rows (time's index, layer, point, coordinate)."""
    since: dict[tuple[int, int, int], float] = {}
    rows: list[tuple[int, int, int, int]] = []

    def stretch(key: tuple[int, int, int], start: float, stop: float) -> None:
        first, last = np.searchsorted(s, start, "left"), np.searchsorted(s, stop, "left")
        rows.extend((m, *key) for m in range(first, last))

    for event in events[of_kind(events, Kind.PIN, Kind.UNPIN)]:
        key = (int(event["layer"]), int(event["point"]), int(event["coordinate"]))
        if event["kind"] == Kind.PIN:
            since.setdefault(key, float(event["s"]))
        elif key in since:
            stretch(key, since.pop(key), float(event["s"]))
    for key, start in since.items():
        stretch(key, start, np.inf)
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 4)


def clustered_loss(x: Array, groups: tuple[IntArray, ...], y: Array, W: Array, weights: Array) -> Array:
    """Return ½ Σ_i w_i |W x_i − y_j|² for each cluster j, (M, C): W (M, Q, Q), weights (N,)."""
    result = np.zeros((W.shape[0], len(groups)))
    for j, group in enumerate(groups):
        for states, points in blocks(W.shape[0], group.size, x.shape[1]):
            part = group[points]
            residual = x[part] @ W[states].swapaxes(1, 2) - y[j]
            result[states, j] += 0.5 * np.einsum(
                "i,tiq,tiq->t", weights[part], residual, residual, optimize=True
            )
    return result
