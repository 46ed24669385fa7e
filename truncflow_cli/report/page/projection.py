"""How points of any dimension are drawn: the coordinates themselves up to three, else principal axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array

#: Coordinates that are drawn at most.
MOST_DIMS = 3


@dataclass(frozen=True)
class View:
    """A linear map from the space that is drawn to the K ≤ 3 coordinates that the page has.

    Attributes:
        matrix: (K, Q) orthonormal rows.
        centre: (Q,) what is mapped to 0.
        axes: what each of the K coordinates is called.
        basis: (K, K) orthogonal: the first two rows are right and up on the page, the third towards the reader.
        sentence: what the picture is a projection of, for its caption.
    """

    matrix: Array
    centre: Array
    axes: tuple[str, ...]
    basis: Array
    sentence: str

    @property
    def dims(self) -> int:
        """K."""
        return int(self.matrix.shape[0])

    def coordinates(self, points: Array) -> Array:
        """Return the coordinates (..., K) of points (..., Q)."""
        result: Array = (points - self.centre) @ self.matrix.T
        return result

    def directions(self, vectors: Array) -> Array:
        """Return the components (..., K) of vectors (..., Q)."""
        result: Array = vectors @ self.matrix.T
        return result


def view_of(points: Array, labels: Array, letter: str) -> View:
    """Return how points (P, Q) and labels (C, Q) are drawn; ``letter`` stands for a coordinate."""
    dim = labels.shape[1]
    if dim <= 2:
        axes = tuple(f"{letter}[{k}]" for k in range(dim))
        across = "" if dim == 2 else "The line is drawn once for each cluster, one above the other."
        return View(np.eye(dim), np.zeros(dim), axes, np.eye(dim), across)
    centred = np.concatenate([points, labels])
    centre = centred.mean(axis=0)
    _, sizes, axes_found = np.linalg.svd(
        np.concatenate([centred - centre, np.zeros((dim, dim))]), full_matrices=False
    )
    principal = axes_found[:MOST_DIMS]
    principal = (
        principal * np.sign(principal[np.arange(MOST_DIMS), np.abs(principal).argmax(axis=1)])[:, None]
    )
    total = float((sizes**2).sum())
    share = f"{100.0 * float((sizes[:2] ** 2).sum()) / total:.3g} %" if total > 0.0 else "all"
    where = "the plane of the two largest principal axes of points and labels"
    if dim == MOST_DIMS:
        principal[2] = np.cross(principal[0], principal[1])
        text = (
            f"A projection onto {where} ({share} of their variance) to begin with; turn it with the sliders."
        )
        return View(np.eye(dim), np.zeros(dim), tuple(f"{letter}[{k}]" for k in range(dim)), principal, text)
    three = f"{100.0 * float((sizes[:3] ** 2).sum()) / total:.3g} %" if total > 0.0 else "all"
    text = (
        f"An orthogonal projection of R^{dim} onto {where} ({share} of their variance) to begin with; the sliders turn "
        f"it towards the third ({three})."
    )
    return View(principal, centre, tuple(f"axis {k}" for k in range(MOST_DIMS)), np.eye(MOST_DIMS), text)
