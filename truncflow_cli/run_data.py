"""What a certificate or a report reads of a run: the reader of a run file has all of this."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from truncflow_cli.certificate import Certificate
from truncflow_cli.events import EventLog
from truncflow_cli.problem import Array, IntArray


class RunLike(Protocol):
    """A run, whatever its flow; arrays that the flow does not have are None.

    N points, C clusters, L layers, Q dimensions, T saved times, E events.
    """

    @property
    def path(self) -> Path:
        """The file it comes from."""
        ...

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The run file's root attributes (flow, equations, rotation_frozen, status, seed, ...)."""
        ...

    @property
    def config(self) -> str:
        """The resolved config, YAML."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """The resolved config as a mapping, fit to be shown; empty if there is none.

        Raises:
            UserError: it is not a configuration.
        """
        ...

    @property
    def x(self) -> Array | None:
        """Training inputs, (N, Q)."""
        ...

    @property
    def cluster(self) -> IntArray | None:
        """Cluster of each input, (N,)."""
        ...

    @property
    def y(self) -> Array:
        """Labels, (C, Q)."""
        ...

    @property
    def y_tilde(self) -> Array:
        """Pulled-back labels (1.15), (C, Q)."""
        ...

    @property
    def s(self) -> Array:
        """Saved times, (T,)."""
        ...

    @property
    def beta(self) -> Array | None:
        """Cumulative biases, (T, L, Q): `separated` and `general`."""
        ...

    @property
    def R(self) -> Array | None:
        """Cumulative weights, (T, L, Q, Q): `separated` and `general`."""
        ...

    @property
    def B(self) -> Array | None:
        """The matrix of the biases, (T, Q, C): `collapsed`."""
        ...

    @property
    def W(self) -> Array | None:
        """The output weight, (T, Q, Q): `collapsed` and `clustered`."""
        ...

    @property
    def loss(self) -> Array:
        """The flow's own loss, (T,)."""
        ...

    @property
    def loss_cluster(self) -> Array:
        """Its parts by cluster, (T, C)."""
        ...

    @property
    def energy_balance(self) -> Array:
        """D(s) = C(0) − C(s) − ∫|∇C|², (T,)."""
        ...

    @property
    def truncated_fraction(self) -> Array | None:
        """Mean of 1 − h by layer and coordinate, (T, L, Q)."""
        ...

    @property
    def events(self) -> EventLog:
        """The event log, ``EVENT_DTYPE``, (E,)."""
        ...

    @property
    def certificates(self) -> Mapping[str, Certificate]:
        """The certificates in the file, by name."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """Statistics of the work done."""
        ...

    @property
    def notes(self) -> Mapping[str, str | float]:
        """What was found while the problem was built."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user was warned of when the run started."""
        ...
