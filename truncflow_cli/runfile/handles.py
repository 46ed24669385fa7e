"""An HDF5 file that is being filled in, by HDF5's own calls: each thing in it is opened once.

A run file has some hundred attributes and a few dozen datasets. What h5py does for each of them besides calling HDF5
takes several times as long as HDF5 does, and more than a small run takes to be solved. So handles are kept, what an
attribute says already is left alone, and a file that stays open can be filled in again at little cost (``template``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5ds, h5g, h5p, h5s, h5t
from numpy.typing import ArrayLike, NDArray

from truncflow_cli.runfile.checks import readable

#: The format of HDF5 1.10 has check sums over its own structures, so that damage is found and not followed.
#: Named bounds, not "latest": what any supported h5py writes can be read by every other.
LIBVER = ("v110", "v110")

#: What an attribute says: a text, a truth value, an integer or a number.
Value = str | float

#: Types that attributes have here. A bool is an int to Python, so it comes first.
_TYPES: tuple[tuple[type, np.dtype[Any]], ...] = (
    (str, h5py.string_dtype()),
    (bool, np.dtype(bool)),
    (int, np.dtype("i8")),
    (float, np.dtype("f8")),
)


@cache
def _attribute_type(kind: type) -> tuple[h5t.TypeID, h5t.TypeID, np.dtype[Any]]:
    """Return the type that an attribute of such a value has in a file, that in memory, and numpy's."""
    dtype = next(dtype for base, dtype in _TYPES if issubclass(kind, base))
    return h5t.py_create(dtype, logical=True), h5t.py_create(dtype), dtype


@cache
def _creation(chunks: tuple[int, ...] | None) -> h5p.DatasetCreation:
    """Return how a dataset is stored: in pieces with check sums, or in one."""
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)  # so that the same data make the same file
    if chunks is not None:
        properties.set_chunk(chunks)
        properties.set_fletcher32()
    return properties


#: A dataset is made with the groups on the way to it.
_LINKS = h5p.create(h5p.LINK_CREATE)
_LINKS.set_create_intermediate_group(True)


@dataclass(frozen=True)
class Dataset:
    """An open dataset and the type of its elements, to numpy and to HDF5, which takes long to be found out."""

    id: h5d.DatasetID
    dtype: np.dtype[Any]
    kind: h5t.TypeID


class Handles:
    """An open file by the paths in it; "" is its root.

    Attributes:
        file: the file, as h5py has it.
    """

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self._groups = {"": h5g.open(file.id, b"/")}
        self._datasets: dict[str, Dataset] = {}
        self._attributes: dict[tuple[str, str], h5a.AttrID] = {}
        self._said: dict[tuple[str, str], str] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._groups or path in self._datasets or path in self.file

    def make_group(self, path: str, *, in_order: bool = False) -> None:
        """Make a group; in_order: what is in it is shown in the order in which it was made."""
        self._groups[path] = self.file.create_group(path, track_order=in_order).id

    def make_dataset(
        self,
        path: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        *,
        growing: bool = False,
        chunks: tuple[int, ...] | None = None,
    ) -> None:
        """Make a dataset, and the groups on the way to it.

        Args:
            path, shape: where and how large it will be.
            dtype: type of an element; may be an enum of h5py.
            growing: whether its first axis may become longer; it then needs chunks.
            chunks: shape of the pieces in which it is stored, with check sums; None for one piece without.
        """
        longest = (h5s.UNLIMITED, *shape[1:]) if growing else shape
        space = h5s.create_simple(shape, longest) if shape else h5s.create(h5s.SCALAR)
        kind = h5t.py_create(dtype, logical=True)
        made = h5d.create(self.file.id, path.encode(), kind, space, _creation(chunks), _LINKS)
        self._datasets[path] = Dataset(made, made.dtype, made.get_type())

    def make_scale(self, path: str, name: str) -> None:
        """Make a dataset a dimension scale, of that name to netCDF."""
        h5ds.set_scale(self.dataset(path).id, name.encode())

    def attach_scale(self, path: str, scale: str, axis: int) -> None:
        """Hang an axis of a dataset on the scale at another path."""
        h5ds.attach_scale(self.dataset(path).id, self.dataset(scale).id, axis)

    def link(self, group: str, name: str, path: str) -> None:
        """Give a dataset another name, in a group."""
        self._group(group).links.create_hard(name.encode(), self._groups[""], path.encode())

    def dataset(self, path: str) -> Dataset:
        """Return the dataset at a path."""
        if path not in self._datasets:
            found = h5d.open(self.file.id, path.encode())
            self._datasets[path] = Dataset(found, found.dtype, found.get_type())
        return self._datasets[path]

    def put(self, path: str, /, **attributes: Value) -> None:
        """Have attributes of the group or dataset at a path say something."""
        for name, value in attributes.items():
            self._put(path, name, value)

    def _put(self, path: str, name: str, value: Value) -> None:
        key, said = (path, name), value if isinstance(value, str) else repr(value)  # tells 0.0 from -0.0
        if self._said.get(key) == said:
            return
        self._said[key] = said
        asked: type = type(value)
        in_file, in_memory, dtype = _attribute_type(asked)
        if key not in self._attributes:
            node = self._datasets[path].id if path in self._datasets else self._group(path)
            if h5a.exists(node, name.encode()):
                h5a.delete(node, name.encode())
            self._attributes[key] = h5a.create(node, name.encode(), in_file, h5s.create(h5s.SCALAR))
        self._attributes[key].write(np.array(value, dtype=dtype), mtype=in_memory)

    def write(self, path: str, values: ArrayLike) -> None:
        """Write all of a dataset."""
        dataset = self.dataset(path)
        array = np.asarray(values, dtype=dataset.dtype, order="C")
        if array.size:
            dataset.id.write(h5s.ALL, h5s.ALL, array, dataset.kind)

    def write_rows(self, path: str, start: int, rows: NDArray[Any]) -> None:
        """Have a growing dataset go on with some rows from its row ``start``, and end with them."""
        dataset = self.dataset(path)
        length, *rest = dataset.id.shape
        if rows.shape[1:] != tuple(rest):
            raise ValueError(f"rows of shape {rows.shape[1:]}, the layout has {tuple(rest)}")
        if length != start + len(rows):
            dataset.id.set_extent((start + len(rows), *rest))
        if start == 0 or not len(rows):
            self.write(path, rows)
            return
        space = dataset.id.get_space()
        space.select_hyperslab((start, *[0] * len(rest)), rows.shape)
        array = np.ascontiguousarray(rows, dtype=dataset.dtype)
        dataset.id.write(h5s.create_simple(rows.shape), space, array, dataset.kind)

    def read(self, path: str, into: NDArray[Any] | None = None) -> NDArray[Any] | None:
        """Return all of a dataset, in an array of its shape and type if one is given; None if there is none."""
        if path not in self:
            return None
        with readable(Path("the run"), path):
            dataset = self.dataset(path)
            array = np.empty(dataset.id.shape, dtype=dataset.dtype) if into is None else into
            dataset.id.read(h5s.ALL, h5s.ALL, array, dataset.kind)
            return array

    def remove(self, path: str) -> None:
        """Take a group or dataset out of the file, if it is there."""
        if path not in self:
            return
        del self.file[path]
        for known in (self._groups, self._datasets):
            for place in [place for place in known if _is_in(place, path)]:
                del known[place]
        for key in [key for key in self._attributes if _is_in(key[0], path)]:
            del self._attributes[key], self._said[key]

    def _group(self, path: str) -> h5g.GroupID:
        if path not in self._groups:
            self._groups[path] = h5g.open(self.file.id, path.encode())
        return self._groups[path]


def _is_in(place: str, path: str) -> bool:
    return place == path or place.startswith(f"{path}/")
