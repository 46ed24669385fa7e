"""Labels y_j, the output map W^(Q+1), and the pulled-back labels ỹ_j of (1.15)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from truncflow_cli.config.datafile import LARGEST, check_size, read_array
from truncflow_cli.config.errors import Fault
from truncflow_cli.config.streams import random_orthogonal, stream
from truncflow_cli.config.types import FromFile, Scaled
from truncflow_cli.problem import Array

#: An output map with a larger condition number has no inverse in double precision.
WORST_CONDITION = 1e14


def shaped(array: Array, shape: tuple[int, ...], letters: str) -> Array:
    """Return ``array`` if it has the shape and no coordinate beyond what the equations can square.

    Raises:
        Fault: it has another shape, or too large an entry.
    """
    if array.shape != shape:
        wanted, given = ("×".join(map(str, lengths)) or "a number" for lengths in (shape, array.shape))
        raise Fault(f"must be {wanted} ({letters}), not {given}")
    if array.size and not np.abs(array).max() <= LARGEST:
        raise Fault(f"has an entry of {np.abs(array).max():g}; entries up to {LARGEST:g} are allowed")
    return array


def make_labels(
    setting: str | Scaled | FromFile | list[list[float]], count: int, dim: int, base_dir: Path
) -> Array:
    """Return the labels y, (C, Q).

    Raises:
        Fault: another shape, or more clusters than unit vectors.
    """
    if isinstance(setting, FromFile):
        return shaped(read_array(setting.file, base_dir), (count, dim), "C×Q")
    if isinstance(setting, list):
        return shaped(np.array(setting, dtype=np.float64), (count, dim), "C×Q")
    if count > dim:
        raise Fault(
            f"y_j = e_j needs C <= Q, but there are {count} clusters in {dim} dimensions; give a C×Q list"
        )
    factor = setting.scale if isinstance(setting, Scaled) else 1.0
    return shaped(factor * np.eye(count, dim), (count, dim), "C×Q")


def make_output_map(setting: object, dim: int, seed: int, base_dir: Path) -> Array | None:
    """Return W^(Q+1), (Q, Q), or None for the identity.

    Raises:
        Fault: another shape, or not invertible.
    """
    if setting == "identity":
        return None
    check_size((dim, dim), "output_map")
    if isinstance(setting, FromFile):
        matrix = shaped(read_array(setting.file, base_dir), (dim, dim), "Q×Q")
    elif isinstance(setting, list):
        matrix = shaped(np.array(setting, dtype=np.float64), (dim, dim), "Q×Q")
    else:
        return random_orthogonal(stream(seed, "output_map"), dim)
    condition = float(np.linalg.cond(matrix)) if matrix.any() else np.inf
    if not condition < WORST_CONDITION:
        raise Fault(f"is not invertible (condition number {condition:.2g}); (1.15) needs its inverse")
    return matrix


def pulled_back(y: Array, output_map: Array | None) -> Array:
    """Return ỹ_j = (W^(Q+1))⁻¹ y_j, (C, Q)  (1.15).

    Raises:
        Fault: the result is out of range.
    """
    if output_map is None:
        return y.copy()
    y_tilde = np.ascontiguousarray(np.linalg.solve(output_map, y.T).T)
    if not np.abs(y_tilde).max() <= LARGEST:
        raise Fault(f"(W^(Q+1))⁻¹ y_j reaches {np.abs(y_tilde).max():g}; at most {LARGEST:g} is allowed")
    return y_tilde
