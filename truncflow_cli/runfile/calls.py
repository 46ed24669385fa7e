"""Attributes and datasets by HDF5's own calls.

A run file has some hundred attributes and a few dozen datasets. What h5py does for each of them besides calling HDF5
takes several times as long as HDF5 does, and more than a small run takes to be solved.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5p, h5s, h5t
from numpy.typing import ArrayLike, NDArray

from truncflow_cli.runfile.checks import readable

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
    write_attribute(new_attribute(node, name, type(value)), value)


def new_attribute(node: Node, name: str, kind: type) -> Any:
    """Return an attribute that a node did not have, for values of one type."""
    return h5a.create(node, name.encode(), _attribute_type(kind)[0], _scalar())


def write_attribute(attribute: Any, value: str | float) -> None:
    """Have an attribute say something of the type that it was made for."""
    kind: Any = type(value)
    _, held, dtype = _attribute_type(kind)
    attribute.write(np.array(value, dtype=dtype), mtype=held)


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


@dataclass(frozen=True)
class Dataset:
    """An open dataset and the type of its elements, to numpy and to HDF5."""

    id: Node
    dtype: np.dtype[Any]
    kind: Any


def dataset(node: Node) -> Dataset:
    """Return an open dataset with its type, which takes long to be found out."""
    return Dataset(node, node.dtype, node.get_type())


def write(data: Dataset, values: ArrayLike) -> None:
    """Write all of a dataset."""
    array = np.asarray(values, dtype=data.dtype, order="C")
    if array.size:
        data.id.write(h5s.ALL, h5s.ALL, array, data.kind)


def write_rows(data: Dataset, start: int, rows: NDArray[Any]) -> None:
    """Have a growing dataset go on with some rows from its row ``start``, and end with them."""
    length, *rest = data.id.shape
    if rows.shape[1:] != tuple(rest):
        raise ValueError(f"rows of shape {rows.shape[1:]}, the layout has {tuple(rest)}")
    if length != start + len(rows):
        data.id.set_extent((start + len(rows), *rest))
    if start == 0 or not len(rows):
        write(data, rows)
        return
    space = data.id.get_space()
    space.select_hyperslab((start, *[0] * len(rest)), rows.shape)
    array = np.ascontiguousarray(rows, dtype=data.dtype)
    data.id.write(h5s.create_simple(rows.shape), space, array, data.kind)


def read(file: h5py.File, path: str) -> NDArray[Any] | None:
    """Return all of a dataset; None if there is none at a path."""
    if path not in file:
        return None
    with readable(Path("the run"), path):
        node = h5d.open(file.id, path.encode())
        array = np.empty(node.shape, dtype=node.dtype)
        node.read(h5s.ALL, h5s.ALL, array, node.get_type())
        return array


def read_into(file: h5py.File, path: str, array: NDArray[Any]) -> None:
    """Fill an array, of the same type and shape, with all of a dataset."""
    dataset = h5d.open(file.id, path.encode())
    dataset.read(h5s.ALL, h5s.ALL, array, dataset.get_type())
