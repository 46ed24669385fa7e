"""The analysis of flows with hidden layers that move: the saved states, sent once through plain passes."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np

from truncflow_cli.diagnostics.analysis import ROUNDING, RunAnalysis
from truncflow_cli.diagnostics.passes import (
    NOTHING_PINNED,
    ClusterPass,
    Pinned,
    cluster_pass,
    largest_norm,
    sector_margins,
    separated_velocity,
)
from truncflow_cli.events import EventLog
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.truncation import pin_intervals

#: Coordinates closer to 0 than this, relative to the data, lie on their surface for all one can tell.
ON_SURFACE = 1e-12


class LayeredAnalysis(RunAnalysis):
    """A run whose state is (β, R) of hidden layers, as the certificates see it."""

    about: ClassVar[str] = "hidden layers that move"

    @cached_property
    def beta(self) -> Array:
        """β^(ℓ), (M, L, Q)."""
        return self.evaluated(self.run.beta)

    @cached_property
    def R(self) -> Array:
        """R_ℓ, (M, L, Q, Q)."""
        return self.evaluated(self.run.R)

    @property
    def states(self) -> tuple[Array, ...]:
        """(β, R)."""
        return self.beta, self.R

    @property
    def square(self) -> bool:
        """Whether every cluster has a layer of its own, L = C."""
        return self.n_layers == self.n_clusters

    @cached_property
    def pins(self) -> IntArray:
        """The pinned surfaces at the evaluated times, (P, 4): evaluated time, layer, point, coordinate."""
        return pinned_at(self.run.events, self.s)

    def pinned_in(self, cluster: int, layer: int | None = None) -> Pinned:
        """Return the pinned coordinates of a cluster: in one layer, which is then layer 0, or in all."""
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
        margins: Array = np.full((self.s.size, self.n_layers, self.n_clusters), np.inf)
        for k in range(self.n_clusters):
            others = [layer for layer in range(self.n_layers) if layer != k]
            margins[:, others, k] = sector_margins(self.points(k), self.R[:, others], self.beta[:, others])
        return margins

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
        """The flow's own loss, by cluster: (M, C) (2.26)."""
        return self.by_cluster("loss")

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

    @property
    def residual_size(self) -> float:
        """The size of what is subtracted in a residual: ``reach``."""
        return self.reach

    @cached_property
    def state_error(self) -> float:
        """Error of where a point is mapped to that follows from the state's (a length)."""
        return self.bias_error + self.turn_error * self.reach

    @cached_property
    def loss_error(self) -> float:
        """Error of the loss that follows from the state's; |∂C| ≤ √(2C(0)) for each cluster and layer."""
        slope = float(np.sqrt(2.0 * self.loss[0] * self.n_clusters))
        alone = self.flow.acts_on == "own" and np.isinf(self.switched_at)
        return slope * (1 if alone else self.n_layers) * self.state_error


def one_layer_each(analysis: LayeredAnalysis) -> str:
    """Need L = C."""
    L, C = analysis.n_layers, analysis.n_clusters
    return "" if L == C else f"needs a layer for each cluster; here L = {L}, C = {C}"


def own_layers(analysis: LayeredAnalysis) -> str:
    """Need a flow, at the start at least, in which each layer acts on its own cluster."""
    acts = analysis.flow.acts_on == "own"
    return (
        "" if acts else f"about layers that act on their own cluster; this run's flow is {analysis.flow.name}"
    )


def pinned_at(events: EventLog, s: Array) -> IntArray:
    """Return the surfaces pinned at ascending times s (M,): rows (time's index, layer, point, coordinate)."""
    rows = [
        (m, *pinned.surface)
        for pinned in pin_intervals(events)
        for m in range(*np.searchsorted(s, (pinned.start, pinned.stop), "left").tolist())
    ]
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 4)
