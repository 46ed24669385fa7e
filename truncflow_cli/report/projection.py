"""From R^Q to the page: as it is for Q = 1 and 2, seen from a side for Q = 3, by principal axes beyond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array, IntArray

#: Coordinates that are drawn at most.
MOST_DIMS = 3
#: Height from which three dimensions are looked at, in degrees.
ELEVATION = 22.0
#: Directions that are tried, in degrees: not along a coordinate, which would then be seen as a point or a short line.
AZIMUTHS = tuple(azimuth for azimuth in range(0, 180, 15) if azimuth % 90)
#: A direction with less than this share of the variance is none.
FLAT = 1e-12


@dataclass(frozen=True)
class Projection:
    """A linear map from R^Q to the K ≤ 3 coordinates that are drawn, and how they lie on the page.

    Attributes:
        matrix: (K, Q) orthonormal rows.
        centre: (Q,) what is mapped to 0.
        basis: (K, K) orthogonal: the first two rows are right and up on the page, the third towards the reader.
        text: what it is, beside a picture that stays; empty where nothing is lost.
        sentence: the same for a picture that the reader can turn.
    """

    matrix: Array
    centre: Array
    basis: Array
    text: str = ""
    sentence: str = ""

    @property
    def dims(self) -> int:
        """K."""
        return int(self.matrix.shape[0])

    @property
    def dim(self) -> int:
        """Q."""
        return int(self.matrix.shape[1])

    @property
    def plane(self) -> Array:
        """Right and up on the page as vectors of R^Q, (2, Q); for Q = 1 the second is zero."""
        return np.concatenate([self.basis @ self.matrix, np.zeros((1, self.dim))])[:2]

    def coordinates(self, points: Array) -> Array:
        """Return the coordinates (..., K) of points (..., Q)."""
        return np.asarray((points - self.centre) @ self.matrix.T)

    def on_page(self, points: Array, cluster: IntArray | None = None, level: float = 0.0) -> Array:
        """Return where points (n, Q) are on the page, (n, 2).

        For Q = 1, ``cluster`` (n,) says on which line and ``level`` how far above it.
        """
        placed = (points - self.centre) @ self.plane.T
        if self.dim == 1:
            placed[:, 1] = level - (0.0 if cluster is None else cluster)
        return np.asarray(placed)


def projection_for(points: Array, labels: Array | None = None) -> Projection:
    """Return the projection that suits points (n, Q); where ``labels`` (c, Q) are given, by their plane first."""
    dim = points.shape[1]
    if dim < MOST_DIMS:
        lines = "" if dim == 2 else "The line is drawn once for each cluster, one above the other."
        return Projection(np.eye(dim), np.zeros(dim), np.eye(dim), sentence=lines)
    every = points if labels is None else np.concatenate([points, labels])
    if dim == MOST_DIMS:
        best = max(AZIMUTHS, key=lambda azimuth: _area(every @ _view(azimuth)[:2].T))
        how = f"azimuth {best}°, elevation {ELEVATION:g}°"
        sentence = f"An orthographic view ({how}) to begin with; turn it with the sliders."
        return Projection(np.eye(dim), np.zeros(dim), _view(best), f"orthographic view, {how}", sentence)
    rows, onto = _principal(points), "the two largest principal axes of points and labels"
    if labels is not None:
        rows, onto = _by_labels(points, labels)
    centre = every.mean(axis=0)
    sizes = (((every - centre) @ rows.T) ** 2).sum(axis=0)
    two, three = (100.0 * sizes[:k].sum() / (sizes.sum() or 1.0) for k in (2, 3))
    return Projection(
        rows[:MOST_DIMS],
        centre,
        np.eye(MOST_DIMS),
        f"projected on {onto}, {two:.0f} % of the variance",
        f"An orthogonal projection of R^{dim} onto the plane of {onto} ({two:.3g} % of the variance) to begin with; "
        f"the sliders turn it towards a third axis ({three:.3g} %).",
    )


def _view(azimuth: float) -> Array:
    """Return the directions right, up and towards the reader of an orthographic view, (3, 3)."""
    a, e = np.deg2rad((azimuth, ELEVATION))
    right = np.array([-np.sin(a), np.cos(a), 0.0])
    up = np.array([-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)])
    return np.array([right, up, np.cross(right, up)])


def _area(placed: Array) -> float:
    around = placed - placed.mean(axis=0)
    return float(np.linalg.det(around.T @ around))


def _by_labels(points: Array, labels: Array) -> tuple[Array, str]:
    """Return orthonormal rows (Q, Q), the labels' plane or line first, and what the first two are."""
    around = labels - labels.mean(axis=0)
    kept = _principal(labels)
    sizes = ((around @ kept.T) ** 2).sum(axis=0)
    kept = kept[: min(2, int(np.count_nonzero(sizes > FLAT * (sizes.sum() or 1.0))))]
    across = _principal(points - points @ kept.T @ kept)[: len(labels[0]) - len(kept)]
    if len(kept) == 2:
        return np.concatenate([kept, across]), "the two largest principal axes of the labels"
    return np.concatenate([kept, across]), "the line of the labels and the largest principal axis across it"


def _principal(points: Array) -> Array:
    """Return the principal axes of points (n, Q), all Q, the largest first."""
    around = points - points.mean(axis=0)
    rows = np.linalg.eigh(around.T @ around)[1].T[::-1]
    return np.asarray(rows * np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])[:, None])
