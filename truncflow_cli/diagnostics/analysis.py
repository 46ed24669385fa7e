"""What all certificates look at: a run's saved states, and what was asked for. Each kind of flow adds its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.run_data import Run

Mask = NDArray[np.bool_]
T = TypeVar("T")

#: Multiplications that the passes of one run may take; beyond, saved times are left out (some seconds at most).
WORK = 1_500_000_000
#: However many points there are, at least this many saved times are looked at.
FEWEST_TIMES = 5
#: Relative rounding error of a sum over points, taken generously.
ROUNDING = 1e-14


def analysis_of(run: Run) -> RunAnalysis:
    """Return the analysis of a run: the part "analysis" of its flow, or what is known of every run."""
    made: RunAnalysis = (flow_named(run.flow).part("analysis") or RunAnalysis)(run)
    return made


class RunAnalysis:
    """A run as the certificates see it, of any flow.

    M of the T saved times are evaluated; arrays here have them along the first axis unless said otherwise. A flow's
    own analysis, its part "analysis" in the registry, adds its state and formulas.

    Attributes:
        about: the runs that this is for, in words.
        run: the run.
        flow: its flow.
        times: (M,) indices of the saved times that are evaluated, the first and the last among them.
        s: (M,) those times.
        x, cluster: the training inputs (N, Q) and their clusters (N,), empty where the run has none.
        groups: indices of the points of each cluster.
        states: what moves, each (M, ...); nothing where the flow has no analysis of its own.
    """

    about: ClassVar[str] = "any flow"

    def __init__(self, run: Run) -> None:
        self.run = run
        self.flow = flow_named(run.flow)
        self.printed = run.attrs.get("equations") == "printed"
        self.frozen = bool(run.attrs.get("rotation_frozen", False))
        self.n_clusters, self.dim = int(run.y_tilde.shape[0]), int(run.y_tilde.shape[1])
        self.x = np.asarray(run.x, dtype=np.float64)
        self.cluster = np.asarray(run.cluster, dtype=np.int64)
        self.groups = tuple(np.flatnonzero(self.cluster == k) for k in range(self.n_clusters))
        self.n_layers = 0 if run.beta is None else int(run.beta.shape[1])
        self.n_points = self.x.shape[0]
        work = 6 * max(1, self.n_points) * max(1, self.n_layers) * self.dim**2
        finite = _finite_times(run)
        count = min(finite, max(FEWEST_TIMES, WORK // work))
        self.times: IntArray = np.linspace(0, max(0, finite - 1), count).round().astype(np.int64)
        self.s: Array = run.s[self.times]
        self._once: dict[Callable[..., Any], Any] = {}

    def points(self, cluster: int) -> Array:
        """Return the points of a cluster, (N_j, Q): a view where they stand next to one another."""
        group = self.groups[cluster]
        if group.size and group[-1] - group[0] == group.size - 1:
            return self.x[group[0] : group[-1] + 1]
        return self.x[group]

    def once(self, compute: Callable[..., T]) -> T:
        """Return what a function makes of this analysis; it is called the first time only."""
        if compute not in self._once:
            self._once[compute] = compute(self)
        found: T = self._once[compute]
        return found

    def evaluated(self, values: object) -> Array:
        """Return a dataset of the trajectory at the evaluated times."""
        values = np.asarray(values, dtype=np.float64)
        # In one order in memory, wherever they come from: sums have the same bits then.
        return np.ascontiguousarray(values if self.times.size == len(values) else values[self.times])

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

    @cached_property
    def switched_at(self) -> float:
        """When a `separated` run went on with the `general` flow (infinite: never)."""
        value = self.run.attrs.get("switched_at")
        return np.inf if value is None or np.isnan(float(value)) else float(value)

    @cached_property
    def own_layer_only(self) -> Mask:
        """At which evaluated times each layer acted on its own cluster only, (M,) bool."""
        return np.asarray((self.flow.acts_on == "own") & (self.s <= self.switched_at), dtype=bool)

    def sampling(self) -> str:
        """Say which saved times were evaluated."""
        if self.times.size < self.run.s.size:
            return f"evaluated at {self.times.size} of the {self.run.s.size} saved times"
        return (
            f"evaluated at all {self.run.s.size} saved times" if self.times.size > 1 else "evaluated at s = 0"
        )

    def asked(self) -> str:
        """Say with which tolerances the loss was integrated."""
        return f"rtol {self.rtol:.3g}, atol {self.atol:.3g}, C(0) = {self.loss[0]:.4g}"

    def along(self, values: Array) -> Array:
        """Spread values (M,) at the evaluated times over all saved times, (T,), NaN between."""
        if self.times.size == self.run.s.size:
            return np.array(values, dtype=np.float64)
        result = np.full(self.run.s.size, np.nan)
        result[self.times] = values
        return result

    # -- the loss, which each flow's own analysis works out from the saved states ----------------------------

    @property
    def states(self) -> tuple[Array, ...]:
        """What moves, each (M, ...)."""
        return ()

    @cached_property
    def loss_cluster(self) -> Array:
        """The flow's own loss by cluster, (M, C); as it was saved, where there is no formula for it."""
        return self.evaluated(self.run.loss_cluster)

    @cached_property
    def loss(self) -> Array:
        """Its sum, (M,)."""
        result: Array = self.loss_cluster.sum(axis=1)
        return result

    @property
    def residual_size(self) -> float:
        """The size of what is subtracted in a residual (a length)."""
        return float(np.linalg.norm(self.run.y, axis=1).max(initial=0.0))

    @cached_property
    def loss_error(self) -> float:
        """Error of the loss that the tolerances allow; |∂C| ≤ √(2C(0)) for each cluster."""
        slope = float(np.sqrt(2.0 * self.loss[0] * self.n_clusters))
        return slope * ((self.rtol + ROUNDING) * self.residual_size + self.atol)


def has_data(analysis: RunAnalysis) -> str:
    """Need training points."""
    return "" if analysis.n_points else "the run has no training points"


def has_states(analysis: RunAnalysis) -> str:
    """Need an analysis of the flow's own."""
    return "" if analysis.states else f"flow {analysis.flow.name} has no analysis of its states"


def _finite_times(run: Run) -> int:
    """Return how many saved times there are before the first at which the state or the loss is not finite."""
    parts = [part for part in (run.loss, run.beta, run.R, run.B, run.W) if part is not None]
    if all(np.isfinite(part).all() for part in parts):
        return int(run.loss.size)
    finite = np.logical_and.reduce(
        [np.isfinite(part).reshape(part.shape[0], -1).all(axis=1) for part in parts]
    )
    return int(np.argmin(finite))
