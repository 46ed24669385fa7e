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
from h5py import h5ds
from numpy.typing import NDArray

import truncflow_cli
from truncflow_cli.certificate import Certificate
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Problem
from truncflow_cli.runfile import schema
from truncflow_cli.runfile.handles import Sheet
from truncflow_cli.runfile.origin import backend_of, installed
from truncflow_cli.runfile.schema import Item
from truncflow_cli.runfile.structure import chunks_of, sizes_of

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
        settings: the resolved config as a mapping, where it is at hand.
    """

    config: str
    seed: int
    command: str
    notes: Mapping[str, str | float] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    settings: Mapping[str, Any] | None = None


def estimate_bytes(problem: Problem) -> int:
    """Return about how large the run file will be without its events, which take 30 bytes each."""
    items = schema.items(problem.flow)
    sizes = sizes_of(problem)
    arrays = sum(math.prod(item.shape(sizes)) * schema.element_bytes(item) for item in items)
    return arrays + _TYPICAL_OVERHEAD


def fixed_bytes(problem: Problem, provenance: Provenance) -> int:
    """Return an upper bound of the room that ``write_fixed`` needs."""
    items = schema.items(problem.flow)
    sizes = sizes_of(problem)
    arrays = sum(_padded_bytes(item, sizes, item.shape(sizes)[0]) for item in items if not item.streamed)
    indices = 8 * sum(sizes[schema.AXES[axis][0]] for axis in schema.INDEX_AXES)
    overhead = _FILE_OVERHEAD + _DATASET_OVERHEAD * len(items)
    return arrays + indices + overhead + 4 * len(provenance.config.encode())


def streamed_bytes(problem: Problem, n_samples: int, n_events: int) -> int:
    """Return an upper bound of the room that so many more rows need."""
    rows = {"s": n_samples, "event": n_events}
    streamed = [item for item in schema.items(problem.flow) if item.streamed]
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


def write_fixed(
    sheet: Sheet, problem: Problem, provenance: Provenance, attributes: Mapping[str, str | float]
) -> None:
    """Fill in everything that is known before the run starts, in a file that has the structure of ``skeleton``.

    Args:
        sheet: the file.
        problem: what is being solved.
        provenance: where it came from.
        attributes: the root attributes.
    """
    sheet.put_all("", attributes.items())
    write_config(sheet, provenance.config)
    sizes = sizes_of(problem)
    for axis in schema.INDEX_AXES:
        sheet.write(axis, np.arange(sizes[schema.AXES[axis][0]]))
    for item in schema.items(problem.flow):
        if item.field:
            sheet.write(item.path, getattr(problem, item.field))
    sheet.put("notes", "warnings", "\n".join(provenance.warnings))
    sheet.put_all("notes", provenance.notes.items())


def write_samples(sheet: Sheet, flow: str, samples: Mapping[str, NDArray[np.float64]], start: int) -> None:
    """Have the trajectory go on from its row ``start``: an array for each of its datasets, saved times first."""
    items = {item.name: item for item in schema.items(flow) if item.axes[0] == "s"}
    if samples.keys() != items.keys():
        raise ValueError(f"samples of {flow!r}: got {sorted(samples)}, the layout has {sorted(items)}")
    for name, item in items.items():
        sheet.write_rows(item.path, start, samples[name])


def write_events(sheet: Sheet, events: NDArray[np.void], start: int) -> None:
    """Have the event log go on from its row ``start`` with events of ``EVENT_DTYPE``."""
    for item in schema.EVENTS:
        sheet.write_rows(item.path, start, events[item.name])


def write_status(sheet: Sheet, attributes: Mapping[str, str | float], counters: Mapping[str, int]) -> None:
    """Write how far the run is: root attributes such as its status and wall time, and statistics of the work done."""
    sheet.put_all("", attributes.items())
    sheet.put_all("counters", ((name, int(count)) for name, count in counters.items()))


def write_certificates(sheet: Sheet, certificates: Sequence[Certificate]) -> None:
    """Write the certificates, in a file that has none or has those of the same names and series."""
    times = sheet.node(schema.SCALE_PATHS["s"])
    chunks = (min(times.get_create_plist().get_chunk()[0], times.shape[0]),)
    for certificate in certificates:
        path = f"certificates/{certificate.name}"
        if path not in sheet:
            _make_certificate(sheet, path, certificate, chunks)
        sheet.put_all(path, ((name, getattr(certificate, name)) for name in schema.CERTIFICATE_ATTRIBUTES))
        for name, values in certificate.series.items():
            if np.shape(values) != times.shape:
                place = f"{certificate.name}/{name}"
                raise ValueError(f"series {place}: shape {np.shape(values)}, {times.shape} saved times")
            sheet.write(f"{path}/{name}", values)


def _make_certificate(sheet: Sheet, path: str, certificate: Certificate, chunks: tuple[int, ...]) -> None:
    group = sheet.make_group(path)
    times = sheet.node(schema.SCALE_PATHS["s"])
    if certificate.series:
        # A second link to the same dataset: netCDF looks for a group's axes in the group.
        group.links.create_hard(b"s", sheet.node(""), schema.SCALE_PATHS["s"].encode())
    for name in certificate.series:
        if name == "s":
            raise ValueError(f"series {path}/s: the name is taken")
        series = sheet.make_dataset(f"{path}/{name}", np.dtype("f8"), times.shape, chunks=chunks)
        sheet.put(f"{path}/{name}", "description", f"{name} of the certificate, at each saved time")
        h5ds.attach_scale(series, times, 0)


def remove_certificates(sheet: Sheet) -> None:
    """Take the certificates out of a file, if it has any."""
    if "certificates" in sheet:
        sheet.remove("certificates")
    sheet.make_group("certificates", in_order=True)  # they are read in the order they are written


def root_attributes(problem: Problem, provenance: Provenance) -> dict[str, Any]:
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
        "seed": provenance.seed,
        "truncflow_version": truncflow_cli.__version__,
        "python_version": platform.python_version(),
        **{f"{package}_version": installed(package) for package in ("numpy", "scipy", "h5py")},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": provenance.command,
        "status": "running",
        "message": "",
        "elapsed_seconds": 0.0,
        "solving_seconds": 0.0,
    }


def write_config(sheet: Sheet, text: str) -> None:
    """Write the config, in a file that has none or has one of the same length.

    Its length is fixed: that of any other string is not safe from damage.
    """
    encoded = text.encode()
    dtype = h5py.string_dtype("utf-8", max(1, len(encoded)))
    digest = hashlib.sha256(encoded).hexdigest()
    if schema.CONFIG_PATH not in sheet:
        sheet.make_dataset(schema.CONFIG_PATH, dtype, ())
    sheet.write(schema.CONFIG_PATH, np.array(encoded, dtype))
    sheet.put_all(schema.CONFIG_PATH, (("description", schema.CONFIG_DESCRIPTION), ("sha256", digest)))


def _padded_bytes(item: Item, sizes: Mapping[str, int], rows: int) -> int:
    """Return the room that so many rows of a dataset take on disk: whole chunks, and one that is begun."""
    chunks = chunks_of(item, sizes)
    return (-(-rows // chunks[0]) + 1) * int(np.prod(chunks, dtype=np.int64)) * schema.element_bytes(item)
