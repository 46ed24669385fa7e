"""The structure of a run file: groups, axes and empty datasets, the same for all runs of a flow and its sizes.

To make it takes longer than to fill it, so it is made once, in memory, and each run file begins as a copy of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import count
from typing import Any

import h5py
import numpy as np
from h5py import h5ds

from truncflow_cli.problem import Problem
from truncflow_cli.runfile import calls, schema
from truncflow_cli.runfile.schema import Item

#: h5py's low-level objects have no types.
DatasetID = Any

#: The format of HDF5 1.10 has check sums over its own structures, so that damage is found and not followed.
#: Named bounds, not "latest": what any supported h5py writes can be read by every other.
LIBVER = ("v110", "v110")

#: By this name netCDF-4 knows an axis that has a length and no values.
_AXIS_WITHOUT_VALUES = "This is a netCDF dimension but not a netCDF variable.%10d"

#: Events expected in one piece of the event log: its chunk length.
_EVENT_ROWS = 1024


def image_of(problem: Problem) -> bytes:
    """Return the run file of a problem without anything that has a value: no data, no root attributes."""
    return _image(problem.flow, tuple(sizes_of(problem).items()))


def in_memory(flow: str, lengths: Mapping[str, int]) -> h5py.File:
    """Return such a file, open in memory.

    Args:
        flow: the flow of the run.
        lengths: the length for each letter of ``schema.AXES``.
    """
    name = f"skeleton {next(_NUMBER)}"
    file = h5py.File(name, "w", driver="core", backing_store=False, libver=LIBVER)
    scales = {axis: _make_index(file, axis, lengths[schema.AXES[axis][0]]) for axis in schema.INDEX_AXES}
    for item in schema.items(flow):
        _make_dataset(file, item, lengths, scales)
    for group in ("notes", "counters"):
        file.create_group(group)
    # Certificates are read in the order they are written.
    file.create_group("certificates", track_order=True)
    return file


def sizes_of(problem: Problem) -> dict[str, int]:
    """Return the length for each letter of ``schema.AXES``; T as planned, E as zero."""
    return {
        "N": len(problem.x),
        "C": problem.n_clusters,
        "L": problem.n_layers,
        "Q": problem.dim,
        "T": len(problem.s_save),
        "E": 0,
    }


#: Two threads may make one at the same time, and HDF5 opens no name twice.
_NUMBER = count()


@lru_cache(maxsize=4)
def _image(flow: str, sizes: tuple[tuple[str, int], ...]) -> bytes:
    with in_memory(flow, dict(sizes)) as file:
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def _make_index(file: h5py.File, axis: str, length: int) -> DatasetID:
    scale = calls.create(file.id, axis, np.dtype("i8"), (length,))
    h5ds.set_scale(scale, (_AXIS_WITHOUT_VALUES % length).encode())
    calls.attach(scale, "description", schema.AXES[axis][1])
    return scale


def _make_dataset(
    file: h5py.File, item: Item, sizes: Mapping[str, int], scales: dict[str, DatasetID]
) -> None:
    """Make an empty dataset on its axes; a scale that is met on the way joins ``scales``."""
    shape = item.shape(sizes)
    dtype = (
        h5py.enum_dtype(schema.KIND_NAMES, basetype="i1") if item.dtype == "kind" else np.dtype(item.dtype)
    )
    if item.streamed:
        shape = (0, *shape[1:])
    # HDF5 has no chunks, and so no check sums, for nothing.
    chunks = chunks_of(item, sizes) if item.streamed or 0 not in shape else None
    dataset = calls.create(file.id, item.path, dtype, shape, item.streamed, chunks)
    calls.attach(dataset, "description", item.description)
    for position, axis in enumerate(item.axes):
        if item.path == schema.SCALE_PATHS[axis]:
            h5ds.set_scale(dataset, item.name.encode())
            scales[axis] = dataset
        else:
            h5ds.attach_scale(dataset, scales[axis], position)


def chunks_of(item: Item, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Return the pieces in which a dataset is stored."""
    shape = item.shape(sizes)
    return schema.chunk_shape(item, shape, _EVENT_ROWS if item.axes[0] == "event" else max(1, shape[0]))
