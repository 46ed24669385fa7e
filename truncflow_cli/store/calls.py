"""Attributes and datasets by HDF5's own calls.

A run file has some hundred attributes and a few dozen datasets. What h5py does for each of them besides calling HDF5
takes several times as long as HDF5 does, and more than a small run takes to be solved.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5p, h5s, h5t
from numpy.typing import ArrayLike, NDArray

#: What attributes hang on; h5py's low-level objects have no types.
Node = Any

#: Types that attributes have here. A bool is an int to Python, so it comes first.
_TYPES: tuple[tuple[type, np.dtype[Any]], ...] = (
    (str, h5py.string_dtype()),
    (bool, np.dtype(bool)),
    (int, np.dtype("i8")),
    (float, np.dtype("f8")),
)


@cache
def _attribute_type(kind: type) -> tuple[Any, Any, np.dtype[Any]]:
    """Return the type that an attribute of such a value has in a file, that in memory, and numpy's."""
    dtype = next(dtype for base, dtype in _TYPES if issubclass(kind, base))
    return h5t.py_create(dtype, logical=True), h5t.py_create(dtype), dtype


@cache
def _scalar() -> Any:
    return h5s.create(h5s.SCALAR)


def attach(node: Node, name: str, value: str | float) -> None:
    """Give a node an attribute that it does not have: a text, a truth value, an integer or a number."""
    kind: Any = type(value)
    stored, held, dtype = _attribute_type(kind)
    h5a.create(node, name.encode(), stored, _scalar()).write(np.array(value, dtype=dtype), mtype=held)


def replace(node: Node, name: str, value: str | float) -> None:
    """Give a node an attribute, in place of the one of that name if it has one."""
    if h5a.exists(node, name.encode()):
        h5a.delete(node, name.encode())
    attach(node, name, value)


@cache
def _creation(chunks: tuple[int, ...] | None) -> Any:
    """Return how a dataset is stored: in pieces with check sums, or in one."""
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)  # so that the same data make the same file
    if chunks is not None:
        properties.set_chunk(chunks)
        properties.set_fletcher32()
    return properties


@cache
def _links() -> Any:
    properties = h5p.create(h5p.LINK_CREATE)
    properties.set_create_intermediate_group(True)
    return properties


def create(
    node: Node,
    path: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    growing: bool = False,
    chunks: tuple[int, ...] | None = None,
) -> Any:
    """Return a new dataset, and make the groups on the way to it.

    Args:
        node: the file, or the group that the path starts from.
        path: where it will be.
        dtype: type of an element; may be an enum of h5py.
        shape: its shape.
        growing: whether its first axis may become longer; it then needs chunks.
        chunks: shape of the pieces in which it is stored, with check sums; None for one piece without.
    """
    longest = (h5s.UNLIMITED, *shape[1:]) if growing else shape
    space = h5s.create_simple(shape, longest) if shape else h5s.create(h5s.SCALAR)
    return h5d.create(
        node, path.encode(), h5t.py_create(dtype, logical=True), space, _creation(chunks), _links()
    )


def write(dataset: Any, values: ArrayLike) -> None:
    """Write all of a dataset."""
    array = np.asarray(values, dtype=dataset.dtype, order="C")
    if array.size:
        dataset.write(h5s.ALL, h5s.ALL, array, dataset.get_type())


def append(dataset: Any, rows: NDArray[Any]) -> None:
    """Make a dataset longer by some rows."""
    start, *rest = dataset.shape
    dataset.set_extent((start + len(rows), *rest))
    if start == 0:
        write(dataset, rows)
        return
    space = dataset.get_space()
    space.select_hyperslab((start, *[0] * len(rest)), rows.shape)
    array = np.ascontiguousarray(rows, dtype=dataset.dtype)
    dataset.write(h5s.create_simple(rows.shape), space, array, dataset.get_type())


def read(file: h5py.File, path: str) -> NDArray[Any]:
    """Return all of a dataset."""
    dataset = h5d.open(file.id, path.encode())
    array = np.empty(dataset.shape, dtype=dataset.dtype)
    dataset.read(h5s.ALL, h5s.ALL, array, dataset.get_type())
    return array


def read_into(file: h5py.File, path: str, array: NDArray[Any]) -> None:
    """Fill an array, of the same type and shape, with all of a dataset."""
    dataset = h5d.open(file.id, path.encode())
    dataset.read(h5s.ALL, h5s.ALL, array, dataset.get_type())
