"""What goes into an open HDF5 file to make it a run file; no files are opened or named here."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

import h5py
import numpy as np
from numpy.typing import NDArray

import truncflow_cli
from truncflow_cli.model.certificate import Certificate
from truncflow_cli.model.problem import Problem
from truncflow_cli.store import layout
from truncflow_cli.store.layout import Item

#: By this name netCDF-4 knows an axis that has a length and no values.
_AXIS_WITHOUT_VALUES = "This is a netCDF dimension but not a netCDF variable.%10d"

#: Events expected in one piece of the event log: its chunk length.
_EVENT_ROWS = 1024

#: Room for HDF5's own structures: once for the file, and once for each dataset.
_FILE_OVERHEAD = 1 << 18
_DATASET_OVERHEAD = 1 << 13

#: What HDF5's structures, certificates and the first events usually take.
_TYPICAL_OVERHEAD = 1 << 16


@dataclass(frozen=True)
class Provenance:
    """What a run file says of its run besides the numbers.

    Attributes:
        config: the resolved config as YAML.
        seed: the seed of every random choice.
        command: the command that makes the file.
        notes: what was found while the problem was built.
        warnings: what the user was warned of.
    """

    config: str
    seed: int
    command: str
    notes: Mapping[str, str | float] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def sizes_of(problem: Problem) -> dict[str, int]:
    """Return the length for each letter of ``layout.AXES``; T as planned, E as zero."""
    return {
        "N": len(problem.x),
        "C": problem.n_clusters,
        "L": problem.n_layers,
        "Q": problem.dim,
        "T": len(problem.s_save),
        "E": 0,
    }


def estimate_bytes(problem: Problem) -> int:
    """Return about how large the run file will be without its events, which take 30 bytes each."""
    items = layout.items(problem.flow)
    sizes = sizes_of(problem)
    arrays = sum(math.prod(item.shape(sizes)) * layout.element_bytes(item) for item in items)
    return arrays + _TYPICAL_OVERHEAD


def fixed_bytes(problem: Problem, provenance: Provenance) -> int:
    """Return an upper bound of the room that ``write_fixed`` needs."""
    items = layout.items(problem.flow)
    sizes = sizes_of(problem)
    arrays = sum(_padded_bytes(item, sizes, item.shape(sizes)[0]) for item in items if not item.streamed)
    indices = 8 * sum(sizes[layout.AXES[axis][0]] for axis in layout.INDEX_AXES)
    overhead = _FILE_OVERHEAD + _DATASET_OVERHEAD * len(items)
    return arrays + indices + overhead + 4 * len(provenance.config.encode())


def streamed_bytes(problem: Problem, n_samples: int, n_events: int) -> int:
    """Return an upper bound of the room that so many more rows need."""
    rows = {"s": n_samples, "event": n_events}
    streamed = [item for item in layout.items(problem.flow) if item.streamed]
    sizes = sizes_of(problem)
    return _FILE_OVERHEAD + sum(
        _padded_bytes(item, sizes, rows[item.axes[0]]) + _DATASET_OVERHEAD for item in streamed
    )


def certificates_bytes(certificates: Sequence[Certificate]) -> int:
    """Return an upper bound of the room that ``write_certificates`` needs."""
    series = [array for certificate in certificates for array in certificate.series.values()]
    texts = sum(len(c.statement + c.hypothesis + c.source) for c in certificates)
    datasets = len(series) + len(certificates)
    return _FILE_OVERHEAD + sum(array.nbytes for array in series) + 4 * texts + datasets * _DATASET_OVERHEAD


def write_fixed(file: h5py.File, problem: Problem, provenance: Provenance) -> None:
    """Write everything that is known before the run starts, and the empty datasets that will grow."""
    _write_attributes(file, problem, provenance)
    write_config(file, provenance.config)
    sizes = sizes_of(problem)
    for axis in layout.INDEX_AXES:
        _make_index(file, axis, sizes[layout.AXES[axis][0]])
    for item in layout.items(problem.flow):
        if not item.streamed:
            _make_dataset(file, item, sizes)[...] = getattr(problem, item.name)
        elif item.required:
            _make_dataset(file, item, sizes)
    notes = file.create_group("notes")
    notes.attrs["warnings"] = "\n".join(provenance.warnings)
    for name, note in provenance.notes.items():
        notes.attrs[name] = note
    file.create_group("counters")
    file.create_group("certificates", track_order=True)


def append_samples(file: h5py.File, flow: str, samples: Mapping[str, NDArray[np.float64]]) -> None:
    """Append rows to the trajectory: an array for each of its datasets, saved times along the first axis."""
    items = [item for item in layout.items(flow) if item.axes[0] == "s"]
    known = {item.name for item in items}
    missing = {item.name for item in items if item.required} - samples.keys()
    if missing or not samples.keys() <= known:
        raise ValueError(f"samples of {flow!r}: got {sorted(samples)}, the layout has {sorted(known)}")
    for item in items:
        if item.name in samples:
            if item.path not in file:
                _make_dataset(file, item, _sizes_in(file))
            _append(file[item.path], samples[item.name])


def append_events(file: h5py.File, events: NDArray[np.void]) -> None:
    """Append events, of ``EVENT_DTYPE``, to the event log."""
    for item in layout.EVENTS:
        _append(file[item.path], events[item.name])


def write_status(
    file: h5py.File,
    status: layout.Status,
    message: str,
    elapsed_seconds: float,
    counters: Mapping[str, int],
    switched_at: float | None = None,
) -> None:
    """Write how far the run is: its status, wall time, work statistics and when the flow was switched."""
    if switched_at is not None:
        file.attrs["switched_at"] = float(switched_at)
    file.attrs["status"] = status
    file.attrs["message"] = message
    file.attrs["elapsed_seconds"] = float(elapsed_seconds)
    for name, count in counters.items():
        file["counters"].attrs[name] = int(count)


def write_certificates(file: h5py.File, certificates: Sequence[Certificate]) -> None:
    """Write the certificates in place of those that the file has."""
    if "certificates" in file:
        del file["certificates"]
    parent = file.create_group(
        "certificates", track_order=True
    )  # they are read in the order they are written
    times = file[layout.SCALE_PATHS["s"]]
    chunks = (min(times.chunks[0], len(times)),)
    for certificate in certificates:
        group = parent.create_group(certificate.name)
        for name in layout.CERTIFICATE_ATTRIBUTES:
            group.attrs[name] = getattr(certificate, name)
        if certificate.series:
            group["s"] = (
                times  # a second link to the same dataset: netCDF looks for a group's axes in the group
            )
        for name, values in certificate.series.items():
            if name == "s" or np.shape(values) != times.shape:
                place = f"{certificate.name}/{name}"
                raise ValueError(f"series {place}: shape {np.shape(values)}, {times.shape} saved times")
            series = group.create_dataset(name, data=values, dtype="f8", chunks=chunks, fletcher32=True)
            series.attrs["description"] = f"{name} of the certificate, at each saved time"
            series.dims[0].attach_scale(times)


def _write_attributes(file: h5py.File, problem: Problem, provenance: Provenance) -> None:
    file.attrs["format"] = layout.FORMAT
    file.attrs["format_version"] = layout.FORMAT_VERSION
    file.attrs["flow"] = problem.flow
    file.attrs["equations"] = problem.equations
    file.attrs["rotation_frozen"] = problem.settings.freeze_rotation
    file.attrs["events_mode"] = "batched" if problem.batched else "exact"
    file.attrs["seed"] = provenance.seed
    file.attrs["truncflow_version"] = truncflow_cli.__version__
    file.attrs["python_version"] = platform.python_version()
    for package in ("numpy", "scipy", "h5py"):
        file.attrs[f"{package}_version"] = version(package)
    file.attrs["created"] = datetime.now(UTC).isoformat(timespec="seconds")
    file.attrs["command"] = provenance.command
    file.attrs["status"] = "running"
    file.attrs["message"] = ""
    file.attrs["elapsed_seconds"] = 0.0


def write_config(file: h5py.File, text: str) -> None:
    """Write the config with fixed length: the length of any other string is not safe from damage."""
    encoded = text.encode()
    dtype = h5py.string_dtype("utf-8", max(1, len(encoded)))
    config = file.create_dataset(layout.CONFIG_PATH, data=np.array(encoded, dtype), dtype=dtype)
    config.attrs["description"] = layout.CONFIG_DESCRIPTION
    config.attrs["sha256"] = hashlib.sha256(encoded).hexdigest()


def _make_index(file: h5py.File, axis: str, length: int) -> None:
    scale = file.create_dataset(axis, data=np.arange(length))
    scale.make_scale(_AXIS_WITHOUT_VALUES % length)
    scale.attrs["description"] = layout.AXES[axis][1]


def _make_dataset(file: h5py.File, item: Item, sizes: Mapping[str, int]) -> h5py.Dataset:
    shape = item.shape(sizes)
    dtype = h5py.enum_dtype(layout.KIND_NAMES, basetype="i1") if item.dtype == "kind" else item.dtype
    if item.streamed:
        shape, maxshape = (0, *shape[1:]), (None, *shape[1:])
    else:
        maxshape = shape
    if item.streamed or 0 not in shape:
        storage = {"maxshape": maxshape, "chunks": _chunks(item, sizes), "fletcher32": True}
    else:  # HDF5 has no chunks, and so no check sums, for nothing
        storage = {}
    dataset = file.create_dataset(item.path, shape=shape, dtype=dtype, **storage)
    dataset.attrs["description"] = item.description
    for position, axis in enumerate(item.axes):
        scale_path = layout.SCALE_PATHS[axis]
        if item.path == scale_path:
            dataset.make_scale(item.name)
        else:
            dataset.dims[position].attach_scale(file[scale_path])
    return dataset


def _chunks(item: Item, sizes: Mapping[str, int]) -> tuple[int, ...]:
    shape = item.shape(sizes)
    return layout.chunk_shape(item, shape, _EVENT_ROWS if item.axes[0] == "event" else max(1, shape[0]))


def _padded_bytes(item: Item, sizes: Mapping[str, int], rows: int) -> int:
    """Return the room that so many rows of a dataset take on disk: whole chunks, and one that is begun."""
    chunks = _chunks(item, sizes)
    return (-(-rows // chunks[0]) + 1) * int(np.prod(chunks, dtype=np.int64)) * layout.element_bytes(item)


def _sizes_in(file: h5py.File) -> dict[str, int]:
    sizes = {layout.AXES[axis][0]: int(file[axis].shape[0]) for axis in layout.INDEX_AXES}
    return {**sizes, "T": int(file[layout.SCALE_PATHS["s"]].chunks[0]), "E": 0}


def _append(dataset: h5py.Dataset, rows: NDArray[np.generic]) -> None:
    if len(rows) == 0:
        return
    if rows.shape[1:] != dataset.shape[1:]:
        raise ValueError(
            f"{dataset.name}: rows of shape {rows.shape[1:]}, the layout has {dataset.shape[1:]}"
        )
    start = dataset.shape[0]
    dataset.resize(start + len(rows), axis=0)
    dataset[start:] = rows
