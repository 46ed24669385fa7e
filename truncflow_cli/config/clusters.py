"""Training inputs: the points of every cluster, from a list, a shape, a file, or a labelled table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from truncflow_cli.config.clusterschema import FileCluster, ListedCluster, ShapedCluster
from truncflow_cli.config.errors import Fault
from truncflow_cli.config.files import LARGEST, check_size, read_array
from truncflow_cli.config.streams import stream
from truncflow_cli.problem import Array

#: Squares of smaller coordinates are nearly zero in double precision, or are zero.
SMALLEST = 1e-100
#: Points that are looked at together, or moved away from zero: of very many there should not be a second copy.
_BLOCK = 8_192


@dataclass(frozen=True)
class Clusters:
    """The clusters of an experiment.

    Attributes:
        points: (N_j, Q) array of each cluster.
        names: what messages call each.
        notes: what became of the table on the way (columns, explained variance), for the reports.
        warnings: what a user should know of the data.
    """

    points: tuple[Array, ...]
    names: tuple[str, ...]
    notes: dict[str, str | float]
    warnings: tuple[str, ...] = ()

    @property
    def dim(self) -> int:
        """Q."""
        return int(self.points[0].shape[1])

    def but(self, cluster: int) -> list[Array]:
        """Return the points of all clusters but one."""
        return [points for other, points in enumerate(self.points) if other != cluster]

    def called(self, cluster: int) -> str:
        """Return "cluster 1", with its name where it has one."""
        name = self.names[cluster]
        return f"cluster {cluster} ({name})" if name else f"cluster {cluster}"


def points_of(
    cluster: ListedCluster | FileCluster | ShapedCluster, index: int, seed: int, base_dir: Path
) -> Array:
    """Return the points of the cluster with this index, (N_j, Q), written out, from a file, or drawn.

    Raises:
        Fault: unreadable data, or more points than fit into memory.
    """
    if isinstance(cluster, ListedCluster):
        return np.array(cluster.points, dtype=np.float64)
    if isinstance(cluster, FileCluster):
        points = read_array(cluster.file, base_dir)
        if points.ndim != 2 or 0 in points.shape:
            shape = "×".join(map(str, points.shape)) or "a single number"
            raise Fault(f"points must be N×Q, a row a point; {Path(cluster.file).name} is {shape}", ("file",))
        return points
    check_size((cluster.size, 3 * len(cluster.center)), "drawing the points", "size")
    stream_of = f"clusters/name={cluster.name}" if cluster.name else f"clusters/{index}"
    return shaped_points(cluster, seed, stream_of)


def shaped_points(cluster: ShapedCluster, seed: int, name: str) -> Array:
    """Draw the points of a shape, (size, Q): uniform in the ball, uniform on the sphere, or normal around the center.

    Directions and distances have a stream each, whose names begin with ``name``: a larger ``size`` keeps the points
    there were and adds to them.
    """
    center = np.array(cluster.center)
    dim = len(center)
    normal = stream(seed, f"{name}/direction").standard_normal((cluster.size, dim))
    if cluster.shape == "gaussian":
        normal *= cluster.std or 0.0
        normal += center
        return normal
    distance = np.full((cluster.size, 1), cluster.radius or 0.0)
    if cluster.shape == "ball":
        # The volume within distance t of the center grows as t^Q.
        distance *= stream(seed, f"{name}/distance").random((cluster.size, 1)) ** (1.0 / dim)
    for part in _parts(normal):
        direction = normal[part]
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        direction *= distance[part]
        direction += center
    return normal


def check_points(points: Array) -> None:
    """Raise a Fault at a coordinate that the equations cannot square."""
    for part in _parts(points):
        size = np.abs(points[part])
        with np.errstate(invalid="ignore"):
            beyond = ~(size <= LARGEST) | ((size > 0.0) & (size < SMALLEST))
        if beyond.any():
            point, coordinate = (int(i) for i in np.argwhere(beyond)[0])
            value = points[part][point, coordinate]
            allowed = f"coordinates up to {LARGEST:g} are allowed, and from {SMALLEST:g} on if they are not 0"
            raise Fault(f"point {part.start + point} has coordinate {value:g}; {allowed}")


def _parts(points: Array) -> Iterator[slice]:
    """Cut points (N, Q) into parts to look at."""
    return (slice(first, first + _BLOCK) for first in range(0, len(points), _BLOCK))
