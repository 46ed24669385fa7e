"""Sweeps that several tests start from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np

#: Section 4.3 in closed form: nothing is compiled, nothing integrated.
QUICK = """\
flow: separated
clusters:
  - {center: [-2.0, 0.0], shape: gaussian, std: 0.4, size: 12}
  - {center: [2.0, 0.0], shape: gaussian, std: 0.4, size: 9}
labels: [[0.0, 0.0], [4.0, 0.0]]
initial: {construct: separated}
integrator: {s_end: 4.0, freeze_rotation: true}
save: {count: 5}
"""

#: What two files of the same run may differ in.
_OF_THE_DAY = {"created", "elapsed_seconds", "solving_seconds", "command", "resumed"}


def content(path: Path) -> str:
    """Return a digest of everything in a run file but when, how fast, by which command and in how many goes.

    A run that is not complete has a checkpoint to go on from if it took long enough: that, too, is of the day.
    """
    digest = hashlib.sha256()

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if name.startswith("checkpoint"):
            return
        digest.update(name.encode())
        for key in sorted(item.attrs.keys() - _OF_THE_DAY - {"REFERENCE_LIST", "DIMENSION_LIST"}):
            digest.update(f"{key}={item.attrs[key]!r}".encode())
        if isinstance(item, h5py.Dataset):
            digest.update(np.asarray(item[()]).tobytes())

    with h5py.File(path) as file:
        add("/", file)
        file.visititems(add)
    return digest.hexdigest()


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of every run file of a folder, by its name."""
    return {path.name: content(path) for path in sorted(folder.glob("*.h5"))}


def stamps(folder: Path, pattern: str = "*") -> dict[str, tuple[str, int]]:
    """Return bytes and time of modification of the files of a folder, by name."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.glob(pattern)
    }
