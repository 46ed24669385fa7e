"""Good input of every kind, to be damaged: configurations, data files, run files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

import truncflow_cli as truncflow

_END = "integrator: {s_end: 0.5, max_events: 400}\nsave: {count: 5}\n"

CONFIGS = {
    "separated": """\
flow: separated
seed: 3
clusters:
  - {name: a, center: [2.0, 0.0], shape: ball, radius: 0.5, size: 12}
  - {points: [[0.1, 1.9], [-0.2, 2.1], [0.3, 2.3]]}
labels: {scale: 2.0}
initial: {construct: {method: separated, start: mixed, margin: 0.01}}
"""
    + _END,
    "frozen": """\
flow: separated
clusters: [{points: [[2, 0], [2.2, 0.1], [1.5, 0.4]]}, {points: [[0, 2], [0.5, 2.5]]}]
initial:
  rotation: [[[0.8, 0.6], [-0.6, 0.8]], [[1, 0], [0, 1]]]
  bias: [[-1.7, 3.0], [3.0, -2.1]]
integrator: {s_end: 2, freeze_rotation: true, rtol: 1e-8, on_separation_lost: record}
save: {at: [0.5, 1, 1.5]}
""",
    "general": """\
flow: general
layers: 2
clusters:
  - {center: [0.0, 1.0], shape: gaussian, std: 0.5, size: 5}
  - {center: [3.0, 1.0], shape: sphere, radius: 0.5, size: 5}
output_map: {random: orthogonal}
initial: {rotation: random, bias: {normal: 0.7}}
save: {count: 5, spacing: log}
integrator: {s_end: 0.5, max_events: 400}
""",
    "collapsed": """\
flow: collapsed
labels: [[1, 0, 0], [0, 1, 0]]
initial: {bias: {normal: 0.5}, output_weight: {scale: 1.3}}
"""
    + _END,
    "clustered": """\
flow: clustered
clusters: {file: table.csv, label_column: kind, standardize: true, reduce: {method: pca, to: 2}}
point_weights: 1/N_j
initial: {construct: clustered, output_weight: {normal: 0.3}}
"""
    + _END,
}

#: A configuration for each kind of data file; FILE stands for its name.
READERS = {
    "points": "flow: general\nclusters: [{file: FILE}, {points: [[0, 2], [0.5, 2.5]]}]\n" + _END,
    "labels": "flow: separated\nclusters: [{points: [[2, 0]]}, {points: [[0, 2]]}]\nlabels: {file: FILE}\n"
    + _END,
    "table": "flow: separated\nclusters: {file: FILE, label_column: kind}\ninitial: {construct: separated}\n"
    + _END,
}

TABLE = """\
length,width,kind
5.1,3.5,setosa
4.9,3.0,setosa
6.3,3.3,virginica
5.8,2.7,virginica
5.9,3.0,virginica
"""


@dataclass(frozen=True)
class Samples:
    """A folder of good input.

    Attributes:
        folder: where it all is.
        runs: run files of every flow, some as an older HDF5 library would have written them.
    """

    folder: Path
    runs: tuple[Path, ...]

    def copy(self, name: str, target: Path) -> Path:
        """Copy a file of the folder into another folder."""
        return Path(shutil.copy(self.folder / name, target))


def make(folder: Path) -> Samples:
    """Write good input of every kind into a folder."""
    points = np.array([[2.0, 0.0], [2.5, 0.25], [1.5, 0.5]])
    (folder / "table.csv").write_text(TABLE)
    np.savetxt(folder / "points.csv", points, delimiter=",", header="a,b", comments="")
    np.save(folder / "points.npy", points)
    np.savez(folder / "points.npz", points=points, other=points[:1])
    np.savez_compressed(folder / "packed.npz", points=points)
    for name, versions in (("points.h5", ("earliest", "latest")), ("modern.h5", ("latest", "latest"))):
        with h5py.File(folder / name, "w", libver=versions) as file:
            file.create_dataset("group/points", data=points, chunks=(2, 2), compression="gzip")
            file["points"] = points
            file.attrs["of"] = "a sample"
    return Samples(folder, tuple(_runs(folder)))


def _runs(folder: Path) -> list[Path]:
    runs = []
    for name, text in CONFIGS.items():
        config = folder / f"{name}.yaml"
        config.write_text(text)
        path = folder / f"run-{name}.h5"
        truncflow.run(config, out=path).close()
        old = folder / f"old-{name}.h5"
        _as_older_library(path, old)
        runs += [path, old]
    return runs


def _as_older_library(path: Path, target: Path) -> None:
    """Write a run file anew in the oldest format: without check sums on the library's own structures."""
    with h5py.File(path, "r") as file, h5py.File(target, "w", libver=("earliest", "v108")) as copy:

        def write_anew(name: str, node: h5py.Group | h5py.Dataset) -> None:
            if isinstance(node, h5py.Group):
                made = copy.create_group(name)
            else:
                chunked = (
                    {"chunks": node.chunks, "maxshape": node.maxshape} if node.chunks and node.size else {}
                )
                made = copy.create_dataset(name, data=node[()], dtype=node.dtype, **chunked)
            _copy_attributes(node, made)

        file.visititems(write_anew)
        _copy_attributes(file, copy)


def _copy_attributes(node: h5py.HLObject, copy: h5py.HLObject) -> None:
    """Copy all but those of dimension scales, which refer to places in the file."""
    for name, value in node.attrs.items():
        if name not in ("CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST"):
            copy.attrs[name] = value
