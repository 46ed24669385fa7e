"""A run as plain data, whether it lies in a file or has just been computed: what certificates and reports read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.config.document import fit_to_show, recorded_settings
from truncflow_cli.errors import UserError
from truncflow_cli.events import EVENT_DTYPE, EventLog
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Array, IntArray, Problem

#: About how much of a run is held at a time while it is read piece by piece.
BLOCK_BYTES = 1 << 20

ALL = slice(None)

#: Returns a dataset by its path in the run file; None if there is none.
Read = Callable[[str], NDArray[Any] | None]

Verdict = Literal["holds", "violated", "hypothesis not met", "not applicable"]


@dataclass(frozen=True)
class Certificate:
    """What a run says of one statement of the paper; a number is NaN where there is none."""

    #: Short name, a valid HDF5 link: the group ``certificates/<name>`` of the run file.
    name: str
    #: What is claimed, in a sentence.
    statement: str
    #: Number of the theorem or equation in the paper.
    source: str
    #: What has to be true for the claim, with the numbers found on this run.
    hypothesis: str
    verdict: Verdict
    #: The measured quantity, and what the statement allows for it.
    value: float
    bound: float
    #: How far the value is on the right side of the bound; negative where it is violated.
    margin: float
    #: Quantities along the saved times, (T,) each, by name; the name "s" is taken.
    series: Mapping[str, Array] = field(default_factory=dict)


class Source:
    """Where the arrays of a run are: in memory, and an open file is one too (``runfile.reader``)."""

    def __init__(self, stored: Read) -> None:
        self._stored = stored

    def read(self, path: str, rows: slice = ALL) -> NDArray[Any] | None:
        """Return some rows of a dataset of the run file; None if the run has none at that path.

        Raises:
            UserError: it is damaged.
        """
        values = self._stored(path)
        return None if values is None else values[rows]

    def certificates(self) -> Mapping[str, Certificate]:
        """Return the certificates by name; a run in memory is told them once they are made."""
        return {}

    def close(self) -> None:
        """Let go of the file, if there is one."""


def _stored(path: str, field: str = "") -> cached_property[Any]:
    """Return what reads a dataset when it is first asked for; what is missing is that field of the problem, or None."""

    def read(run: Run) -> Any:
        values = run.source.read(path)
        return getattr(run.problem, field) if field and values is None else values

    return cached_property(read)


class Run:
    """A run of any flow, finished or not; a context manager, which closes its file.

    Arrays are read when they are first asked for; those that the flow does not have are None. N points, C clusters, L
    layers, Q dimensions, T saved times, E events. A run that is still going on shows the state of its last checkpoint.

    Attributes:
        attrs: the root attributes of its file (flow, equations, rotation_frozen, status, seed, ...).
        config: the resolved config as YAML.
        source: where the arrays come from.
        counters: statistics of the work done, by name.
        notes, warnings: what was found while the problem was built, by name; what the user was warned of.
        n_points, n_clusters, n_layers, dim, n_saved, n_events: N, C, L, Q, T, E.
    """

    def __init__(
        self,
        path: Path,
        attrs: dict[str, Any],
        config: str,
        sizes: Mapping[str, int],
        source: Source,
        *,
        counters: Mapping[str, int] | None = None,
        notes: Mapping[str, str | float] | None = None,
        warnings: tuple[str, ...] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a run together; sizes: the lengths by their letters; settings: the config as a mapping, if at hand."""
        self.path, self.attrs, self.config, self.source = path, attrs, config, source
        self.counters = dict(counters or {})
        self.notes = dict(notes or {})
        self.warnings = warnings
        self.n_points, self.n_clusters, self.n_layers = sizes["N"], sizes["C"], sizes["L"]
        self.dim, self.n_saved, self.n_events = sizes["Q"], sizes["T"], sizes["E"]
        self._given_settings = settings

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        length = f"{self.n_saved} saved times, {self.n_events} events"
        return f"<Run {self.path}: {self.flow}, {self.status}, {length}>"

    def close(self) -> None:
        """Close the file; arrays that have been read stay."""
        self.source.close()

    @property
    def sizes(self) -> dict[str, int]:
        """The lengths by their letters."""
        lengths = (self.n_points, self.n_clusters, self.n_layers, self.dim, self.n_saved, self.n_events)
        return dict(zip("NCLQTE", lengths, strict=True))

    @property
    def flow(self) -> str:
        """The name of the flow."""
        return str(self.attrs["flow"])

    @property
    def status(self) -> str:
        """How the run ended: complete, interrupted or failed; or "running"."""
        return str(self.attrs["status"])

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The resolved config as a mapping, fit to be shown; empty if there is none.

        Raises:
            UserError: it is not a configuration.
        """
        if self._given_settings is None:
            return recorded_settings(self.config, f"{self.path}: config")
        settings: Mapping[str, Any] = fit_to_show(self._given_settings)
        return settings

    #: (N, Q) training inputs.
    x: cached_property[Array] = _stored("data/x")
    #: (N,) index of the cluster of each training input.
    cluster: cached_property[IntArray] = _stored("data/cluster")
    #: (C, Q) labels.
    y: cached_property[Array] = _stored("data/y")
    #: (C, Q) pulled-back labels (1.15).
    y_tilde: cached_property[Array] = _stored("data/y_tilde")
    #: (T,) saved times, ascending.
    s: cached_property[Array] = _stored("trajectory/s")
    #: (T,) the flow's own loss.
    loss: cached_property[Array] = _stored("trajectory/loss")
    #: (T, C) its parts by cluster.
    loss_cluster: cached_property[Array] = _stored("trajectory/loss_cluster")
    #: (T,) D(s) = C(0) - C(s) - integral of |∇C|².
    energy_balance: cached_property[Array] = _stored("trajectory/energy_balance")
    #: (T, L, Q) cumulative biases.
    beta: cached_property[Array | None] = _stored("trajectory/beta")
    #: (T, L, Q, Q) cumulative weights.
    R: cached_property[Array | None] = _stored("trajectory/R")
    #: (T, Q, C) cumulative biases as columns.
    B: cached_property[Array | None] = _stored("trajectory/B")
    #: (T, Q, Q) output weight.
    W: cached_property[Array | None] = _stored("trajectory/W")
    #: (T, L, Q) mean of 1 - h by layer and coordinate.
    truncated_fraction: cached_property[Array | None] = _stored("trajectory/truncated_fraction")

    #: (L, Q, Q) initial cumulative weights, (L, Q) biases, (Q, Q) output weight. An older file does not have them: then
    #: the problem is built once more from the config, and it is a UserError if that cannot be done.
    R0: cached_property[Array] = _stored("initial/R", "R0")
    beta0: cached_property[Array] = _stored("initial/beta", "beta0")
    W0: cached_property[Array] = _stored("initial/W", "W0")

    @cached_property
    def events(self) -> EventLog:
        """(E,) the event log, of ``EVENT_DTYPE``, in order of s."""
        return self._events(ALL)

    @cached_property
    def certificates(self) -> Mapping[str, Certificate]:
        """The certificates by name; empty where none have been made (a run that goes on, say)."""
        return self.source.certificates()

    def array(self, path: str, rows: slice = ALL) -> NDArray[Any]:
        """Return some rows of a dataset that the run has.

        Raises:
            UserError: it is damaged.
            KeyError: there is no such dataset.
        """
        values = self.source.read(path, rows)
        if values is None:
            raise KeyError(path)
        return values

    def event_blocks(self) -> Iterator[EventLog]:
        """Yield the event log piece by piece, so that a log of any length takes little memory.

        Raises:
            UserError: a piece is damaged; those before it have been yielded.
        """
        for rows in _blocks(self.n_events, EVENT_DTYPE.itemsize):
            yield self._events(rows)

    def sample_blocks(self) -> Iterator[dict[str, Array]]:
        """Yield what is saved along s piece by piece: every dataset of the trajectory by name, (m, ...).

        Raises:
            UserError: a piece is damaged; those before it have been yielded.
        """
        state = (array.name for array in flow_named(self.flow).arrays)
        names = ("s", "loss", "loss_cluster", "energy_balance", *state)
        first = {name: self.array(f"trajectory/{name}", slice(0, 1)) for name in names}
        for rows in _blocks(self.n_saved, sum(row.nbytes for row in first.values())):
            yield {name: self.array(f"trajectory/{name}", rows) for name in names}

    def verify(self) -> None:
        """Read everything once and keep little of it: for what must not stop half way.

        Raises:
            UserError: something in the file is damaged.
        """
        for _ in self.event_blocks():
            pass
        for _ in self.sample_blocks():
            pass
        for name in ("R", "beta", "W"):
            self.source.read(f"initial/{name}")
        _ = self.x, self.cluster, self.y, self.y_tilde, self.certificates, self.settings

    def _events(self, rows: slice) -> EventLog:
        s = self.array("events/s", rows)
        events = np.empty(s.shape, dtype=EVENT_DTYPE)
        events["s"] = s
        for name in (EVENT_DTYPE.names or ())[1:]:  # one at a time: there may be very many
            events[name] = self.array(f"events/{name}", rows)
        return events

    @cached_property
    def problem(self) -> Problem:
        """The problem, built once more from the config and the files that it names.

        Raises:
            UserError: it cannot be built, or is of other data now.
        """
        from truncflow_cli import config  # reads a schema that nothing else here needs

        problem = config.build(config.load_text(self.config, Path.cwd(), "the run's config")).problem
        if not np.array_equal(problem.x, self.x):
            raise UserError("the run's config now gives other data")
        return problem


def _blocks(length: int, row_bytes: int) -> Iterator[slice]:
    """Yield slices of rows that together are all of ``length``, each of about ``BLOCK_BYTES``."""
    step = max(1, BLOCK_BYTES // max(1, row_bytes))
    for first in range(0, length, step):
        yield slice(first, min(first + step, length))
