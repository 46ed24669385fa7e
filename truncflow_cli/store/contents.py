"""What goes into an open HDF5 file to make it a run file; no files are opened or named here."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5ds, h5g
from numpy.typing import NDArray

import truncflow_cli
from truncflow_cli.model.certificate import Certificate
from truncflow_cli.model.problem import Problem
from truncflow_cli.store import calls, layout
from truncflow_cli.store.layout import Item
from truncflow_cli.store.origin import installed
from truncflow_cli.store.skeleton import chunks_of, make_dataset, sizes_of

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


def write_fixed(file: h5py.File, problem: Problem, provenance: Provenance) -> dict[str, Any]:
    """Fill in everything that is known before the run starts, in a file that has the structure of ``skeleton``.

    Returns:
        The root attributes, by name.
    """
    attributes = _attributes(problem, provenance)
    for name, value in attributes.items():
        calls.attach(file.id, name, value)
    write_config(file, provenance.config)
    sizes = sizes_of(problem)
    for axis in layout.INDEX_AXES:
        calls.write(h5d.open(file.id, axis.encode()), np.arange(sizes[layout.AXES[axis][0]]))
    for item in layout.items(problem.flow):
        if not item.streamed:
            calls.write(h5d.open(file.id, item.path.encode()), getattr(problem, item.name))
    notes = h5g.open(file.id, b"notes")
    calls.attach(notes, "warnings", "\n".join(provenance.warnings))
    for name, note in provenance.notes.items():
        calls.attach(notes, name, note)
    return attributes


def append_samples(file: h5py.File, flow: str, samples: Mapping[str, NDArray[np.float64]]) -> None:
    """Append rows to the trajectory: an array for each of its datasets, saved times along the first axis."""
    items = [item for item in layout.items(flow) if item.axes[0] == "s"]
    known = {item.name for item in items}
    missing = {item.name for item in items if item.required} - samples.keys()
    if missing or not samples.keys() <= known:
        raise ValueError(f"samples of {flow!r}: got {sorted(samples)}, the layout has {sorted(known)}")
    for item in items:
        if item.name in samples:
            if not item.required and item.path not in file:
                make_dataset(file, item, _sizes_in(file), {})
            _append(file, item, samples[item.name])


def append_events(file: h5py.File, events: NDArray[np.void]) -> None:
    """Append events, of ``EVENT_DTYPE``, to the event log."""
    for item in layout.EVENTS:
        _append(file, item, events[item.name])


def write_status(file: h5py.File, attributes: Mapping[str, str | float], counters: Mapping[str, int]) -> None:
    """Write how far the run is: root attributes such as its status and wall time, and statistics of the work done."""
    for name, value in attributes.items():
        calls.replace(file.id, name, value)
    group = h5g.open(file.id, b"counters")
    for name, count in counters.items():
        calls.replace(group, name, int(count))


def write_certificates(file: h5py.File, certificates: Sequence[Certificate]) -> None:
    """Write the certificates in place of those that the file has."""
    if "certificates" in file:
        del file["certificates"]
    parent = file.create_group(
        "certificates", track_order=True
    )  # they are read in the order they are written
    root = h5g.open(file.id, b"/")
    times = h5d.open(root, layout.SCALE_PATHS["s"].encode())
    chunks = (min(times.get_create_plist().get_chunk()[0], times.shape[0]),)
    for certificate in certificates:
        group = h5g.create(parent.id, certificate.name.encode())
        for name in layout.CERTIFICATE_ATTRIBUTES:
            calls.attach(group, name, getattr(certificate, name))
        if certificate.series:
            # A second link to the same dataset: netCDF looks for a group's axes in the group.
            group.links.create_hard(b"s", root, layout.SCALE_PATHS["s"].encode())
        for name, values in certificate.series.items():
            if name == "s" or np.shape(values) != times.shape:
                place = f"{certificate.name}/{name}"
                raise ValueError(f"series {place}: shape {np.shape(values)}, {times.shape} saved times")
            series = calls.create(group, name, np.dtype("f8"), times.shape, chunks=chunks)
            calls.write(series, values)
            calls.attach(series, "description", f"{name} of the certificate, at each saved time")
            h5ds.attach_scale(series, times, 0)


def _attributes(problem: Problem, provenance: Provenance) -> dict[str, Any]:
    return {
        "format": layout.FORMAT,
        "format_version": layout.FORMAT_VERSION,
        "flow": problem.flow,
        "equations": problem.equations,
        "rotation_frozen": problem.settings.freeze_rotation,
        "events_mode": "batched" if problem.batched else "exact",
        "seed": provenance.seed,
        "truncflow_version": truncflow_cli.__version__,
        "python_version": platform.python_version(),
        **{f"{package}_version": installed(package) for package in ("numpy", "scipy", "h5py")},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": provenance.command,
        "status": "running",
        "message": "",
        "elapsed_seconds": 0.0,
    }


def write_config(file: h5py.File, text: str) -> None:
    """Write the config with fixed length: the length of any other string is not safe from damage."""
    encoded = text.encode()
    dtype = h5py.string_dtype("utf-8", max(1, len(encoded)))
    config = calls.create(file.id, layout.CONFIG_PATH, dtype, ())
    calls.write(config, np.array(encoded, dtype))
    calls.attach(config, "description", layout.CONFIG_DESCRIPTION)
    calls.attach(config, "sha256", hashlib.sha256(encoded).hexdigest())


def _padded_bytes(item: Item, sizes: Mapping[str, int], rows: int) -> int:
    """Return the room that so many rows of a dataset take on disk: whole chunks, and one that is begun."""
    chunks = chunks_of(item, sizes)
    return (-(-rows // chunks[0]) + 1) * int(np.prod(chunks, dtype=np.int64)) * layout.element_bytes(item)


def _sizes_in(file: h5py.File) -> dict[str, int]:
    sizes = {layout.AXES[axis][0]: int(file[axis].shape[0]) for axis in layout.INDEX_AXES}
    return {**sizes, "T": int(file[layout.SCALE_PATHS["s"]].chunks[0]), "E": 0}


def _append(file: h5py.File, item: Item, rows: NDArray[np.generic]) -> None:
    if len(rows) == 0:
        return
    dataset = h5d.open(file.id, item.path.encode())
    if rows.shape[1:] != dataset.shape[1:]:
        raise ValueError(f"{item.path}: rows of shape {rows.shape[1:]}, the layout has {dataset.shape[1:]}")
    calls.append(dataset, rows)
