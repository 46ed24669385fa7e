"""Reading a run file, whatever is in it: the arrays by their names, or one sentence on what is wrong."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

import h5py
import numpy as np
from numpy.typing import NDArray

from truncflow_cli.certificate import Certificate, Verdict
from truncflow_cli.config.errors import shown
from truncflow_cli.config.recorded import recorded_settings
from truncflow_cli.errors import UserError, one_line
from truncflow_cli.events import EVENT_DTYPE, EventLog, Kind
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.runfile import checks, schema
from truncflow_cli.runfile.heap_check import has_sound_heaps

#: About how much of a run file is held at a time while it is read piece by piece.
BLOCK_BYTES = 1 << 20

#: What a terminal would obey, and no configuration holds.
_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class RunFile:
    """A run file, open for reading; a context manager.

    Shapes, types and attributes are checked when it is opened, arrays are read when they are first asked for.
    A run that is still going on can be read: it shows the state of its last checkpoint.

    Attributes:
        path: the file.
        attrs: the root attributes (flow, equations, rotation_frozen, status, seed, ...) as Python values.
        config: the resolved config as YAML.
        counters: statistics of the work done, by name.
        notes: what was found while the problem was built, by name.
        warnings: what the user was warned of when the run started.
        n_points: N.
        n_clusters: C.
        n_layers: L.
        dim: Q.
    """

    def __init__(self, path: Path) -> None:
        """Open and check a run file.

        Raises:
            UserError: it is missing, not a run file, of another version, damaged, or not to be trusted.
        """
        self.path = Path(path)
        self._file = _open(self.path)
        try:
            with checks.readable(self.path, "its structure"):
                self.attrs: dict[str, Any] = checks.attributes(self.path, self._file)
                self._datasets = self._find_datasets()
                self._sizes = self._check_sizes()
                self.config: str = self._read_config()
                self.counters = {name: int(count) for name, count in self._facts("counters").items()}
                self.warnings = self._read_warnings()
                self.notes = {name: note for name, note in self._facts("notes").items() if name != "warnings"}
        except BaseException:
            self._file.close()
            raise
        self.n_points = self._sizes["N"]
        self.n_clusters = self._sizes["C"]
        self.n_layers = self._sizes["L"]
        self.dim = self._sizes["Q"]

    def __enter__(self) -> RunFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        saved, events = self._sizes["T"], self._sizes["E"]
        return f"<RunFile {self.path}: {self.flow}, {self.status}, {saved} saved times, {events} events>"

    def close(self) -> None:
        """Close the file; arrays that have been read stay."""
        self._file.close()

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The resolved config as a mapping, fit to be shown; empty if there is none.

        Raises:
            UserError: it is not a configuration.
        """
        return recorded_settings(self.config, f"{self.path}: config")

    @property
    def flow(self) -> str:
        """The name of the flow."""
        return str(self.attrs["flow"])

    @property
    def status(self) -> schema.Status:
        """How the run ended, or "running"."""
        status: schema.Status = self.attrs["status"]
        return status

    @property
    def n_events(self) -> int:
        """E, the number of events, without reading them."""
        return self._sizes["E"]

    @cached_property
    def x(self) -> Array:
        """(N, Q) training inputs."""
        return self._read("data/x")

    @cached_property
    def cluster(self) -> IntArray:
        """(N,) index of the cluster of each training input."""
        cluster: IntArray = self._read("data/cluster")
        self._check_range("data/cluster", cluster, 0, self.n_clusters)
        return cluster

    @cached_property
    def y(self) -> Array:
        """(C, Q) labels."""
        return self._read("data/y")

    @cached_property
    def y_tilde(self) -> Array:
        """(C, Q) pulled-back labels (1.15)."""
        return self._read("data/y_tilde")

    @cached_property
    def s(self) -> Array:
        """(T,) saved times, ascending."""
        s = self._read("trajectory/s")
        self._check_ascending("trajectory/s", s)
        return s

    @cached_property
    def beta(self) -> Array | None:
        """(T, L, Q) cumulative biases; None for `collapsed` and `clustered`."""
        return self._read_if_there("trajectory/beta")

    @cached_property
    def R(self) -> Array | None:
        """(T, L, Q, Q) cumulative weights; None for `collapsed` and `clustered`."""
        return self._read_if_there("trajectory/R")

    @cached_property
    def B(self) -> Array | None:
        """(T, Q, C) cumulative biases as columns; only for `collapsed`."""
        return self._read_if_there("trajectory/B")

    @cached_property
    def W(self) -> Array | None:
        """(T, Q, Q) output weight; only for `collapsed` and `clustered`."""
        return self._read_if_there("trajectory/W")

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
        return self._read_if_there("trajectory/truncated_fraction")

    @cached_property
    def events(self) -> EventLog:
        """(E,) the event log, of ``EVENT_DTYPE``, in order of s."""
        events = self._read_events(slice(None))
        self._check_ascending("events/s", events["s"])
        return events

    def event_blocks(self) -> Iterator[EventLog]:
        """Yield the event log piece by piece, so that a log of any length takes little memory.

        Raises:
            UserError: a piece is damaged; those before it have been yielded.
        """
        before = np.empty(0)
        for rows in _blocks(self.n_events, EVENT_DTYPE.itemsize):
            events = self._read_events(rows)
            self._check_ascending("events/s", np.concatenate([before, events["s"]]))
            yield events
            before = events["s"][-1:].copy()

    def sample_blocks(self) -> Iterator[dict[str, Array]]:
        """Yield what is saved along s piece by piece: every dataset of the trajectory by name, (m, ...).

        Raises:
            UserError: a piece is damaged; those before it have been yielded.
        """
        items = [item for item in self._datasets if item.axes[0] == "s"]
        row_bytes = sum(schema.element_bytes(i) * math.prod(i.shape(self._sizes)[1:]) for i in items)
        before = np.empty(0)
        for rows in _blocks(self._sizes["T"], row_bytes):
            samples = {item.name: self._read(item.path, rows) for item in items}
            self._check_ascending("trajectory/s", np.concatenate([before, samples["s"]]))
            yield samples
            before = samples["s"][-1:]

    def verify(self) -> None:
        """Read everything once and keep little of it: for what must not stop half way.

        Raises:
            UserError: something in the file is damaged.
        """
        for _ in self.event_blocks():
            pass
        for _ in self.sample_blocks():
            pass
        for name in ("x", "cluster", "y", "y_tilde", "certificates"):
            getattr(self, name)
        _ = self.settings

    def _read_events(self, rows: slice) -> EventLog:
        """Return some rows of the event log, with every index where it can be."""
        columns = {item.name: self._read(item.path, rows) for item in schema.EVENTS}
        events = np.empty(len(columns["s"]), dtype=EVENT_DTYPE)
        for name, column in columns.items():
            events[name] = column
        limits = {
            "kind": (0, len(schema.KIND_NAMES)),
            "layer": (-1, self.n_layers),
            "point": (-1, self.n_points),
            "coordinate": (-1, self.dim),
            "cluster": (-1, self.n_clusters),
            "side": (-1, 2),
        }
        for name, (low, high) in limits.items():
            self._check_range(f"events/{name}", events[name], low, high)
        crossings = events[events["kind"] <= Kind.SEPARATION_REGAINED]  # of a point through a surface
        for name in ("layer", "point", "coordinate"):
            if (crossings[name] < 0).any():
                raise UserError(
                    f"{self.path}: damaged run file, events/{name} is -1 where a point crosses a surface"
                )
        return events

    @cached_property
    def certificates(self) -> Mapping[str, Certificate]:
        """The certificates by name; empty where none have been made (a run that goes on, say)."""
        with checks.readable(self.path, "certificates"):
            parent = checks.child(self.path, self._file, "certificates", h5py.Group)
            if len(parent) > checks.MAX_CERTIFICATES:
                raise UserError(f"{self.path}: {len(parent)} certificates; at most {checks.MAX_CERTIFICATES}")
            return {one_line(name): self._read_certificate(parent, name) for name in parent}

    def _find_datasets(self) -> dict[schema.Item, h5py.Dataset]:
        found = {}
        for item in schema.items(self.attrs["flow"]):
            if item.required or item.path in self._file:
                found[item] = checks.child(self.path, self._file, item.path, h5py.Dataset)
        return found

    def _check_sizes(self) -> dict[str, int]:
        layers = checks.child(self.path, self._file, "layer", h5py.Dataset)
        checks.check_unpacked(self.path, [layers])
        sizes = checks.dataset_sizes(self.path, self._datasets, {"L": layers.size or 0})
        if sizes["T"] == 0:
            raise UserError(f"{self.path}: not a whole run file, it has no saved time")
        for letter, what in (("C", "cluster"), ("Q", "dimension"), ("L", "layer")):
            if sizes[letter] == 0:
                raise UserError(f"{self.path}: not a whole run file, it has no {what}")
        return sizes

    def _read_config(self) -> str:
        dataset = checks.child(self.path, self._file, schema.CONFIG_PATH, h5py.Dataset)
        string = h5py.check_string_dtype(dataset.dtype)
        if dataset.shape != () or string is None or string.length is None:
            raise UserError(f"{self.path}: config is not one string of fixed length")
        checks.check_unpacked(self.path, [dataset])
        encoded = bytes(dataset[()])
        if hashlib.sha256(encoded).hexdigest() != dataset.attrs["sha256"]:
            raise UserError(f"{self.path}: damaged run file, config is not what was written")
        text = encoded.decode()
        if (bad := _CONTROL_CHARACTER.search(text)) is not None:
            raise UserError(f"{self.path}: config holds the character {bad.group()}, which no text has")
        return text

    def _facts(self, place: str) -> dict[str, str | float]:
        group = checks.child(self.path, self._file, place, h5py.Group)
        return checks.texts_and_numbers(self.path, group)

    def _read_warnings(self) -> tuple[str, ...]:
        """Return the warnings, which are kept in one text, a line each."""
        notes = checks.child(self.path, self._file, "notes", h5py.Group)
        return tuple(one_line(line) for line in str(notes.attrs.get("warnings", "")).splitlines())

    def _read(self, place: str, rows: slice = slice(None)) -> NDArray[Any]:
        dataset = next(dataset for item, dataset in self._datasets.items() if item.path == place)
        with checks.readable(self.path, place):
            array = np.asarray(dataset[rows])
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UserError(f"{self.path}: damaged run file, {place} holds numbers that are not finite")
        return array

    def _read_if_there(self, place: str) -> Array | None:
        return self._read(place) if any(item.path == place for item in self._datasets) else None

    def _check_ascending(self, place: str, s: Array) -> None:
        if not (np.all(np.isfinite(s)) and np.all(np.diff(s) >= 0)):
            raise UserError(f"{self.path}: damaged run file, {place} is not in ascending order")

    def _check_range(self, place: str, indices: NDArray[Any], low: int, high: int) -> None:
        if len(indices) and not (low <= indices.min() and indices.max() < high):
            raise UserError(f"{self.path}: damaged run file, {place} is not between {low} and {high - 1}")

    def _read_certificate(self, parent: h5py.Group, name: str) -> Certificate:
        place = f"certificates/{name}"
        group = checks.child(self.path, parent, name, h5py.Group, "certificates/")
        attributes = {key: checks.attribute(group, key) for key in schema.CERTIFICATE_ATTRIBUTES}
        for key, value in attributes.items():
            if not isinstance(value, float if key in ("value", "bound", "margin") else str):
                raise UserError(f"{self.path}: {place} has {key} = {shown(value)}")
        if attributes["verdict"] not in get_args(Verdict):
            raise UserError(f"{self.path}: {place} has verdict = {shown(attributes['verdict'])}")
        datasets = {
            key: checks.child(self.path, group, key, h5py.Dataset, f"{place}/") for key in group if key != "s"
        }
        for key, dataset in datasets.items():
            if dataset.shape != (self._sizes["T"],) or dataset.dtype.kind != "f":
                raise UserError(f"{self.path}: {place}/{key} is not a number for each saved time")
        checks.check_unpacked(self.path, list(datasets.values()))
        series = {one_line(key): np.asarray(dataset[()], dtype=float) for key, dataset in datasets.items()}
        return Certificate(name=one_line(name), **attributes, series=series)


def _blocks(length: int, row_bytes: int) -> Iterator[slice]:
    """Yield slices of rows that together are all of ``length``, each of about ``BLOCK_BYTES``."""
    step = max(1, BLOCK_BYTES // max(1, row_bytes))
    for start in range(0, length, step):
        yield slice(start, start + step)


def open_run(path: Path | str) -> RunFile:
    """Open a run file for reading.

    Raises:
        UserError: it is missing, not a run file, of another version, damaged, or not to be trusted.
    """
    return RunFile(Path(path))


def _open(path: Path) -> h5py.File:
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path}: not a file")
    try:
        if not h5py.is_hdf5(path):
            with path.open("rb"):  # tells a file that may not be read from one of another kind
                raise UserError(f"{path}: not an HDF5 file, so not a run file")
        if not has_sound_heaps(path):
            raise UserError(f"{path}: damaged run file, its strings cannot be read")
        return h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        if error.errno is not None and error.strerror:
            raise UserError(f"{path}: {error.strerror.lower()}") from error
        raise UserError(f"{path}: damaged run file ({str(error).partition(chr(10))[0]})") from error
