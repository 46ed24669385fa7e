"""Whether two run files hold the same, byte for byte."""

from __future__ import annotations

from pathlib import Path

import h5py

#: What says when, by which command and in how many goes a file was made, and what it can be gone on from.
_CIRCUMSTANCES = {"created", "elapsed_seconds", "solving_seconds", "command", "resumed", "checkpoint"}


def differences(one: Path, other: Path) -> list[str]:
    """Return the paths of all datasets and attributes that are not the same in both files."""
    with h5py.File(one, "r") as first, h5py.File(other, "r") as second:
        a, b = contents(first), contents(second)
    return sorted(path for path in a.keys() | b.keys() if a.get(path) != b.get(path))


def contents(file: h5py.File) -> dict[str, object]:
    """Return everything in a file that does not depend on how it came about: bytes of datasets, attributes."""
    found: dict[str, object] = {}

    def note(path: str, node: h5py.Group | h5py.Dataset) -> None:
        if path.partition("/")[0] in _CIRCUMSTANCES:
            return
        if isinstance(node, h5py.Dataset):
            found[path] = (node.dtype, node.shape, node[()].tobytes())
        for name, value in node.attrs.items():
            if name not in _CIRCUMSTANCES and not name.isupper():  # netCDF's own refer to places in the file
                found[f"{path}@{name}"] = repr(value)

    note("/", file["/"])
    file.visititems(note)
    return found
