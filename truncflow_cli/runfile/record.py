"""A run as the program that has just written it knows it: certified and told of without reading its file again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.certificate import Certificate
from truncflow_cli.config.recorded import fit_to_show, recorded_settings
from truncflow_cli.events import EVENT_DTYPE, EventLog
from truncflow_cli.problem import Array, IntArray, Problem
from truncflow_cli.runfile import schema
from truncflow_cli.runfile.contents import Provenance


@dataclass
class Record:
    """What a run file holds, by the names that ``RunFile`` has for it.

    Attributes:
        path: the file, as the user named it.
        problem: what has been solved.
        attrs: the root attributes.
        provenance: what it says of its run besides the numbers.
        counters: statistics of the work done, by name.
        read: returns a dataset by its path, None if the run has none there; asked until all that is told of has been
            read.
        certificates: those of the run, by name; empty before they are made.
    """

    path: Path
    problem: Problem
    attrs: dict[str, Any]
    provenance: Provenance
    counters: Mapping[str, int]
    read: Callable[[str], NDArray[Any] | None]
    certificates: Mapping[str, Certificate] = field(default_factory=dict)

    def keep(self, certificates: Sequence[Certificate]) -> None:
        """Have certificates, and read what is told of a run once its file is closed: s, loss, D, biases and events.

        Raises:
            UserError: memory does not suffice.
        """
        self.certificates = {certificate.name: certificate for certificate in certificates}
        _ = self.s, self.loss, self.energy_balance, self.beta, self.events

    @property
    def config(self) -> str:
        """The resolved config as YAML."""
        return self.provenance.config

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The resolved config as a mapping, fit to be shown."""
        if self.provenance.settings is None:
            return recorded_settings(self.config, f"{self.path}: config")
        settings: Mapping[str, Any] = fit_to_show(self.provenance.settings)
        return settings

    @property
    def notes(self) -> Mapping[str, str | float]:
        """What was found while the problem was built, by name."""
        return self.provenance.notes

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user was warned of when the run started."""
        return tuple(self.provenance.warnings)

    @property
    def flow(self) -> str:
        """The name of the flow."""
        return str(self.attrs["flow"])

    @property
    def status(self) -> str:
        """How the run ended."""
        return str(self.attrs["status"])

    @property
    def n_events(self) -> int:
        """E, the number of events."""
        return len(self.events)

    @property
    def n_clusters(self) -> int:
        """C."""
        return self.problem.n_clusters

    @property
    def n_layers(self) -> int:
        """L."""
        return self.problem.n_layers

    @property
    def x(self) -> Array:
        """(N, Q) training inputs."""
        return self.problem.x

    @property
    def cluster(self) -> IntArray:
        """(N,) index of the cluster of each training input."""
        return self.problem.cluster

    @property
    def y(self) -> Array:
        """(C, Q) labels."""
        return self.problem.y

    @property
    def y_tilde(self) -> Array:
        """(C, Q) pulled-back labels (1.15)."""
        return self.problem.y_tilde

    @cached_property
    def s(self) -> Array:
        """(T,) saved times, ascending."""
        return self._read("trajectory/s")

    @cached_property
    def beta(self) -> Array | None:
        """(T, L, Q) cumulative biases; None for `collapsed` and `clustered`."""
        return self.read("trajectory/beta")

    @cached_property
    def R(self) -> Array | None:
        """(T, L, Q, Q) cumulative weights; None for `collapsed` and `clustered`."""
        return self.read("trajectory/R")

    @cached_property
    def B(self) -> Array | None:
        """(T, Q, C) cumulative biases as columns; only for `collapsed`."""
        return self.read("trajectory/B")

    @cached_property
    def W(self) -> Array | None:
        """(T, Q, Q) output weight; only for `collapsed` and `clustered`."""
        return self.read("trajectory/W")

    @cached_property
    def loss(self) -> Array:
        """(T,) loss of the flow."""
        return self._read("trajectory/loss")

    @cached_property
    def loss_cluster(self) -> Array:
        """(T, C) contribution of each cluster to the loss."""
        return self._read("trajectory/loss_cluster")

    @cached_property
    def energy_balance(self) -> Array:
        """(T,) D(s), zero for an exact solution."""
        return self._read("trajectory/energy_balance")

    @cached_property
    def truncated_fraction(self) -> Array | None:
        """(T, L, Q) mean of 1 - h per layer and coordinate; None where it was not recorded."""
        return self.read("trajectory/truncated_fraction")

    @cached_property
    def events(self) -> EventLog:
        """(E,) the event log, of ``EVENT_DTYPE``, in order of s."""
        events = np.empty(self._read("events/s").shape, dtype=EVENT_DTYPE)
        for item in schema.EVENTS:  # one at a time: there may be very many
            events[item.name] = self._read(item.path)
        return events

    def _read(self, path: str) -> NDArray[Any]:
        values = self.read(path)
        assert values is not None, path
        return values
