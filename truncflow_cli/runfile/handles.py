"""An HDF5 file that is being filled in: each thing in it is opened once, and what it says already is left alone.

What h5py does to open an object takes longer than HDF5 does to write a small one, so that a file that stays open can be
filled in again and again at little cost (``form``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5g, h5o
from numpy.typing import ArrayLike, NDArray

from truncflow_cli.runfile import calls
from truncflow_cli.runfile.calls import Dataset, Node


class Sheet:
    """An open file by the paths in it; "" is its root.

    Attributes:
        file: the file, as h5py has it.
    """

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self._nodes: dict[str, Node] = {"": h5g.open(file.id, b"/")}
        self._datasets: dict[str, Dataset] = {}
        self._attributes: dict[tuple[str, str], Node] = {}
        self._said: dict[tuple[str, str], str] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._nodes or path in self.file

    def node(self, path: str) -> Node:
        """Return the group or dataset at a path."""
        if path not in self._nodes:
            self._nodes[path] = h5o.open(self.file.id, path.encode())
        return self._nodes[path]

    def make_group(self, path: str, *, in_order: bool = False) -> Node:
        """Make a group, and return it.

        Args:
            path: where it will be.
            in_order: whether what is in it is shown in the order in which it was made.
        """
        self._nodes[path] = self.file.create_group(path, track_order=in_order).id
        return self._nodes[path]

    def make_dataset(self, path: str, dtype: np.dtype[Any], shape: tuple[int, ...], **storage: Any) -> Node:
        """Make a dataset, and return it; see ``calls.create`` for how it is stored."""
        self._nodes[path] = calls.create(self.file.id, path, dtype, shape, **storage)
        return self._nodes[path]

    def put(self, path: str, name: str, value: str | float) -> None:
        """Have an attribute say a text, a truth value, an integer or a number."""
        key, said = (path, name), value if isinstance(value, str) else repr(value)  # tells 0.0 from -0.0
        if self._said.get(key) == said:
            return
        self._said[key] = said
        if key not in self._attributes:
            node = self.node(path)
            if h5a.exists(node, name.encode()):
                h5a.delete(node, name.encode())
            self._attributes[key] = calls.new_attribute(node, name, type(value))
        calls.write_attribute(self._attributes[key], value)

    def put_all(self, path: str, attributes: Iterable[tuple[str, str | float]]) -> None:
        """Have several attributes of one group or dataset say something."""
        for name, value in attributes:
            self.put(path, name, value)

    def write(self, path: str, values: ArrayLike) -> None:
        """Write all of a dataset."""
        calls.write(self._dataset(path), values)

    def write_rows(self, path: str, start: int, rows: NDArray[Any]) -> None:
        """Have a dataset go on with some rows from its row ``start``, and end with them."""
        calls.write_rows(self._dataset(path), start, rows)

    def remove(self, path: str) -> None:
        """Take a group or dataset out of the file."""
        del self.file[path]
        inside = f"{path}/"
        for known in (self._nodes, self._datasets):
            for place in [place for place in known if place == path or place.startswith(inside)]:
                del known[place]
        for key in [key for key in self._attributes if key[0] == path or key[0].startswith(inside)]:
            del self._attributes[key]
            self._said.pop(key, None)

    def _dataset(self, path: str) -> Dataset:
        if path not in self._datasets:
            self._datasets[path] = calls.dataset(self.node(path))
        return self._datasets[path]
