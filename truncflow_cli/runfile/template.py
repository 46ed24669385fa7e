"""Files in memory: the structure of a run file, which is made once, and small run files as a whole.

What takes long about a small run file is its structure: some hundred objects to be made, one by one. So each file that
is streamed begins as a copy of one that is kept, and a small run's is filled in at once on a *template*: a finished
file that stays open in memory. The next run writes its own numbers and texts over those that are there, and the bytes
of it all are the run file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from itertools import count

import h5py
import numpy as np

from truncflow_cli.problem import Problem
from truncflow_cli.run_data import Run
from truncflow_cli.runfile import contents, schema
from truncflow_cli.runfile.checkpoint import Checkpoint
from truncflow_cli.runfile.handles import LIBVER, Handles

#: By this name netCDF-4 knows an axis that has a length and no values.
_AXIS_WITHOUT_VALUES = "This is a netCDF dimension but not a netCDF variable.%10d"

#: Templates that are kept; each takes as much memory as a small run file, and as much again.
KEPT = 16

#: Templates that nobody is filling in, by what there is in them.
templates: OrderedDict[Hashable, Handles] = OrderedDict()
_lock = threading.Lock()

#: HDF5 opens no name twice, also in two threads.
_number = count()


def image_of(problem: Problem) -> bytes:
    """Return the run file of a problem without anything that has a value: no data, no root attributes."""
    return _image(problem.flow, tuple(schema.sizes_of(problem).items()))


@lru_cache(maxsize=4)
def _image(flow: str, sizes: tuple[tuple[str, int], ...]) -> bytes:
    handles = _structure(flow, dict(sizes))
    with handles.file as file:
        file.flush()
        return file.id.get_file_image()


def filled(run: Run, checkpoint: Checkpoint | None, elapsed: Callable[[], float]) -> bytes:
    """Return a finished run, with its certificates and what it can be gone on from, as the bytes of its file.

    ``elapsed`` is asked how long the run has taken when everything else is in the file.
    """
    kind = _kind(run, checkpoint)
    with _lock:
        handles = templates.pop(kind, None)
    if handles is None:
        handles = _structure(run.flow, run.sizes)
    contents.write_start(handles, run)
    contents.write_rows(handles, run.flow, run.source.read, {"s": 0, "event": 0})
    contents.write_end(handles, run)
    contents.write_certificates(handles, run.certificates.values())
    if checkpoint is not None:
        checkpoint.write(handles)
    handles.put("", elapsed_seconds=elapsed())
    handles.file.flush()
    image = handles.file.id.get_file_image()
    with _lock:
        templates[kind] = handles  # not if it has failed half-way
        surplus = [templates.popitem(last=False)[1] for _ in range(len(templates) - KEPT)]
    for old in surplus:
        old.file.close()
    return image


def _kind(run: Run, checkpoint: Checkpoint | None) -> Hashable:
    """Return everything on which it depends what there is in the file: two runs of one kind differ in values alone."""
    facts = (run.attrs, run.notes, run.counters)
    return (
        run.flow,
        tuple((letter, length) for letter, length in run.sizes.items() if letter != "E"),
        *(tuple((name, type(value)) for name, value in group.items()) for group in facts),
        tuple((certificate.name, *certificate.series) for certificate in run.certificates.values()),
        len(run.config.encode()),
        None if checkpoint is None else checkpoint.state.size,
    )


def _structure(flow: str, sizes: Mapping[str, int]) -> Handles:
    """Return groups, axes and empty datasets of a flow's run file, open in memory; sizes by letter of ``AXES``."""
    name = f"template {next(_number)}"
    handles = Handles(h5py.File(name, "w", driver="core", backing_store=False, libver=LIBVER))
    for axis in schema.INDEX_AXES:
        letter, meaning = schema.AXES[axis]
        handles.make_dataset(axis, np.dtype("i8"), (sizes[letter],))
        handles.make_scale(axis, _AXIS_WITHOUT_VALUES % sizes[letter])
        handles.put(axis, description=meaning)
    for item in schema.items(flow):
        shape = item.shape(sizes)
        # HDF5 has no chunks, and so no check sums, for nothing.
        chunks = item.chunks(sizes) if item.streamed or 0 not in shape else None
        if item.streamed:
            shape = (0, *shape[1:])
        handles.make_dataset(item.path, item.numpy_type, shape, growing=item.streamed, chunks=chunks)
        handles.put(item.path, description=item.description)
        for position, axis in enumerate(item.axes):
            if item.path == schema.SCALE_PATHS[axis]:
                handles.make_scale(item.path, item.name)
            else:
                handles.attach_scale(item.path, schema.SCALE_PATHS[axis], position)
    for group in ("notes", "counters"):
        handles.make_group(group)
    contents.make_certificates(handles)
    return handles
