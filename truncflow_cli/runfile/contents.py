"""What goes into an open HDF5 file to make it a run file; no files are opened or named here."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import h5py
import numpy as np

import truncflow_cli
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Problem
from truncflow_cli.run_data import Certificate, Read, Run
from truncflow_cli.runfile import schema
from truncflow_cli.runfile.checkpoint import backend_of, installed
from truncflow_cli.runfile.handles import Handles

#: Room for HDF5's own structures: once for the file, and once for each dataset.
_FILE_OVERHEAD = 1 << 18
_DATASET_OVERHEAD = 1 << 13

#: What HDF5's structures, certificates and the first events usually take.
_TYPICAL_OVERHEAD = 1 << 16

#: Root attributes that change in the course of a run.
_CHANGING = ("status", "message", "elapsed_seconds", "solving_seconds", "switched_at")


def estimate_bytes(problem: Problem) -> int:
    """Return about how large the run file will be without its events, which take 30 bytes each."""
    sizes = schema.sizes_of(problem)
    arrays = sum(math.prod(item.shape(sizes)) * item.element_bytes for item in schema.items(problem.flow))
    return arrays + _TYPICAL_OVERHEAD


def start_bytes(problem: Problem, config: str) -> int:
    """Return an upper bound of the room that ``write_start`` needs."""
    sizes = schema.sizes_of(problem)
    items = schema.items(problem.flow)
    arrays = sum(item.padded_bytes(sizes, item.shape(sizes)[0]) for item in items if not item.streamed)
    indices = 8 * sum(sizes[schema.AXES[axis][0]] for axis in schema.INDEX_AXES)
    return arrays + indices + _FILE_OVERHEAD + _DATASET_OVERHEAD * len(items) + 4 * len(config.encode())


def rows_bytes(problem: Problem, rows: Mapping[str, int]) -> int:
    """Return an upper bound of the room that so many more saved times ("s") and events ("event") need."""
    sizes = schema.sizes_of(problem)
    streamed = [item for item in schema.items(problem.flow) if item.streamed]
    arrays = sum(item.padded_bytes(sizes, rows[item.axes[0]]) for item in streamed)
    return _FILE_OVERHEAD + arrays + _DATASET_OVERHEAD * len(streamed)


def certificates_bytes(certificates: Sequence[Certificate]) -> int:
    """Return an upper bound of the room that ``write_certificates`` needs."""
    series = [array for certificate in certificates for array in certificate.series.values()]
    texts = sum(len(c.statement + c.hypothesis + c.source) for c in certificates)
    datasets = len(series) + len(certificates)
    return _FILE_OVERHEAD + sum(array.nbytes for array in series) + 4 * texts + datasets * _DATASET_OVERHEAD


def root_attributes(problem: Problem, seed: int, command: str) -> dict[str, Any]:
    """Return the root attributes of a run that begins now, by name."""
    backend = backend_of(problem)
    events_mode = flow_named(problem.flow).part("events_mode")
    return {
        "format": schema.FORMAT,
        "format_version": schema.FORMAT_VERSION,
        "flow": problem.flow,
        "equations": problem.equations,
        "rotation_frozen": problem.settings.freeze_rotation,
        "events_mode": events_mode(problem) if events_mode is not None else "exact",
        **({"backend": backend} if backend else {}),
        "seed": seed,
        "truncflow_version": truncflow_cli.__version__,
        "python_version": platform.python_version(),
        **{f"{package}_version": installed(package) for package in ("numpy", "scipy", "h5py")},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "status": "running",
        "message": "",
        "elapsed_seconds": 0.0,
        "solving_seconds": 0.0,
    }


def write_start(handles: Handles, run: Run) -> None:
    """Fill in everything that is known before the run starts, in a file of ``template``."""
    handles.put("", **run.attrs)
    write_config(handles, run.config)
    for axis in schema.INDEX_AXES:
        handles.write(axis, np.arange(run.sizes[schema.AXES[axis][0]]))
    for item in schema.items(run.flow):
        if not item.streamed:
            handles.write(item.path, run.array(item.path))
    handles.put("notes", warnings="\n".join(run.warnings))
    handles.put("notes", **run.notes)


def write_rows(handles: Handles, flow: str, rows_of: Read, start: Mapping[str, int]) -> None:
    """Have every dataset that grows go on with some rows, from where saved times ("s") and events ("event") start.

    ``rows_of`` returns the rows for a path; None if there are none.
    """
    for item in schema.items(flow):
        if item.streamed and (rows := rows_of(item.path)) is not None:
            handles.write_rows(item.path, start[item.axes[0]], rows)


def write_end(handles: Handles, run: Run) -> None:
    """Write how far the run is: root attributes such as its status and wall time, and statistics of the work done."""
    handles.put("", **{name: run.attrs[name] for name in _CHANGING if name in run.attrs})
    handles.put("counters", **{name: int(number) for name, number in run.counters.items()})


def make_certificates(handles: Handles) -> None:
    """Have no certificates, in a file that has some or none."""
    handles.remove("certificates")
    handles.make_group("certificates", in_order=True)  # they are read in the order they are written


def write_certificates(handles: Handles, certificates: Iterable[Certificate]) -> None:
    """Write the certificates, in a file that has none or has those of the same names and series."""
    shape = handles.dataset(schema.SCALE_PATHS["s"]).id.shape
    for certificate in certificates:
        path = f"certificates/{certificate.name}"
        if path not in handles:
            _make_certificate(handles, path, certificate, shape)
        handles.put(path, **{name: getattr(certificate, name) for name in schema.CERTIFICATE_ATTRIBUTES})
        for name, values in certificate.series.items():
            if np.shape(values) != shape:
                place = f"{certificate.name}/{name}"
                raise ValueError(f"series {place}: shape {np.shape(values)}, {shape} saved times")
            handles.write(f"{path}/{name}", values)


def _make_certificate(handles: Handles, path: str, certificate: Certificate, shape: tuple[int, ...]) -> None:
    handles.make_group(path)
    times = schema.SCALE_PATHS["s"]
    chunks = (min(handles.dataset(times).id.get_create_plist().get_chunk()[0], *shape),)
    if certificate.series:
        handles.link(path, "s", times)  # netCDF looks for a group's axes in the group
    for name in certificate.series:
        if name == "s":
            raise ValueError(f"series {path}/s: the name is taken")
        handles.make_dataset(f"{path}/{name}", np.dtype("f8"), shape, chunks=chunks)
        handles.put(f"{path}/{name}", description=f"{name} of the certificate, at each saved time")
        handles.attach_scale(f"{path}/{name}", times, 0)


def write_config(handles: Handles, text: str) -> None:
    """Write the config, in a file that has none or has one of the same length.

    Its length is fixed: that of any other string is not safe from damage.
    """
    encoded = text.encode()
    dtype = h5py.string_dtype("utf-8", max(1, len(encoded)))
    digest = hashlib.sha256(encoded).hexdigest()
    if schema.CONFIG_PATH not in handles:
        handles.make_dataset(schema.CONFIG_PATH, dtype, ())
    handles.write(schema.CONFIG_PATH, np.array(encoded, dtype))
    handles.put(schema.CONFIG_PATH, description=schema.CONFIG_DESCRIPTION, sha256=digest)
