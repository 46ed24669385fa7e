"""From R^Q to the page: as it is for Q = 1 and 2, seen from a side for Q = 3, by principal components beyond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array, IntArray

#: Height from which three dimensions are looked at, in degrees.
ELEVATION = 22.0
#: Directions that are tried, in degrees.
AZIMUTHS = range(0, 180, 15)
#: A direction with less than this share of the variance is none.
FLAT = 1e-12


@dataclass(frozen=True)
class Projection:
    """A linear map to the page.

    Attributes:
        matrix: (2, Q); for Q = 1 the second row is zero, and clusters lie on lines of their own.
        text: what it is, for the reader; empty where nothing is lost.
    """

    matrix: Array
    text: str

    @property
    def dim(self) -> int:
        """Q."""
        return int(self.matrix.shape[1])

    def __call__(self, points: Array, cluster: IntArray | None = None, level: float = 0.0) -> Array:
        """Return where points (n, Q) are on the page, (n, 2).

        For Q = 1, ``cluster`` (n,) says on which line and ``level`` how far above it.
        """
        placed = points @ self.matrix.T
        if self.dim == 1:
            placed[:, 1] = level - (0.0 if cluster is None else cluster)
        return np.asarray(placed)


def projection_for(points: Array, labels: Array | None = None) -> Projection:
    """Return the projection that suits points (n, Q); where ``labels`` (c, Q) are given, by their plane first."""
    dim = points.shape[1]
    if dim == 1:
        return Projection(np.array([[1.0], [0.0]]), "")
    if dim == 2:
        return Projection(np.eye(2), "")
    if dim == 3:
        best = max(AZIMUTHS, key=lambda azimuth: _area(points @ _view(azimuth).T))
        text = f"orthographic view, azimuth {best}°, elevation {ELEVATION:g}°"
        return Projection(_view(best), text)
    return _principal(points) if labels is None else _plane(points, labels)


def _view(azimuth: float) -> Array:
    """Return the right and the upward direction of an orthographic view, (2, 3)."""
    a, e = np.deg2rad((azimuth, ELEVATION))
    right = (-np.sin(a), np.cos(a), 0.0)
    up = (-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e))
    return np.array([right, up])


def _area(placed: Array) -> float:
    around = placed - placed.mean(axis=0)
    return float(np.linalg.det(around.T @ around))


def _principal(points: Array) -> Projection:
    rows, shares = _components(points)
    text = "projected on the first two principal components of what is shown"
    return Projection(rows[:2], f"{text}, {100.0 * shares[:2].sum():.0f} % of its variance")


def _plane(points: Array, labels: Array) -> Projection:
    """Return the plane of the labels; if they lie on a line, with the first component of the rest."""
    rows, shares = _components(labels)
    kept = rows[: min(2, int(np.count_nonzero(shares > FLAT)))]
    rest, _ = _components(points - points @ kept.T @ kept)
    text = "projected on the first two principal components of the labels"
    if kept.shape[0] < 2:
        text = "projected on the line of the labels and the first principal component across it"
    return Projection(np.concatenate([kept, rest])[:2], text)


def _components(points: Array) -> tuple[Array, Array]:
    """Return the principal directions of points (n, Q), all Q, and the share of the variance of each."""
    around = points - points.mean(axis=0)
    values, columns = np.linalg.eigh(around.T @ around)
    rows, values = columns.T[::-1], np.maximum(values[::-1], 0.0)
    signs = np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])
    return np.asarray(rows * signs[:, None]), np.asarray(values / (values.sum() or 1.0))
