"""Labels, output map and the state at s = 0: arrays that are written out, in a file, a word, or random."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from truncflow_cli.config.errors import Fault
from truncflow_cli.config.files import LARGEST, check_size, read_array
from truncflow_cli.config.streams import random_orthogonal, random_rotation, stream
from truncflow_cli.config.types import FromFile, NormalEntries, Scaled
from truncflow_cli.problem import Array

#: An output map with a larger condition number has no inverse in double precision.
WORST_CONDITION = 1e14
#: How far RᵀR of a given matrix may be from 1: what a file with ten digits has.
NOT_ORTHOGONAL = 1e-10
#: Below this, times Q, RᵀR differs from 1 by rounding only, and the matrix is used bit by bit as it is.
ROUNDING = 1e-15


def _given(setting: object, shape: tuple[int, ...], letters: str, base_dir: Path) -> Array:
    """Return the array that a setting stands for: a list, a file, a multiple of the identity, zero; or a made one.

    Raises:
        Fault: it has another shape, or an entry beyond what the equations can square.
    """
    if isinstance(setting, FromFile):
        array = read_array(setting.file, base_dir)
    elif isinstance(setting, list | np.ndarray):
        array = np.asarray(setting, dtype=np.float64)
    elif setting == "zero":
        array = np.zeros(shape)
    else:
        factor = setting.scale if isinstance(setting, Scaled) else 1.0
        array = np.broadcast_to(factor * np.eye(shape[-2], shape[-1]), shape).copy()
    if array.shape != shape:
        wanted, given = ("×".join(map(str, lengths)) or "a number" for lengths in (shape, array.shape))
        raise Fault(f"must be {wanted} ({letters}), not {given}")
    if array.size and not np.abs(array).max() <= LARGEST:
        raise Fault(f"has an entry of {np.abs(array).max():g}; entries up to {LARGEST:g} are allowed")
    return array


def make_labels(setting: object, count: int, dim: int, base_dir: Path) -> Array:
    """Return the labels y, (C, Q).

    Raises:
        Fault: another shape, or more clusters than unit vectors.
    """
    check_size((count, dim), "the labels")
    if count > dim and not isinstance(setting, FromFile | list):
        raise Fault(
            f"y_j = e_j needs C <= Q, but there are {count} clusters in {dim} dimensions; give a C×Q list"
        )
    return _given(setting, (count, dim), "C×Q", base_dir)


def make_output_map(setting: object, dim: int, seed: int, base_dir: Path) -> Array | None:
    """Return W^(Q+1), (Q, Q), or None for the identity.

    Raises:
        Fault: another shape, or not invertible.
    """
    if setting == "identity":
        return None
    check_size((dim, dim), "output_map")
    if not isinstance(setting, FromFile | list):
        return random_orthogonal(stream(seed, "output_map"), dim)
    matrix = _given(setting, (dim, dim), "Q×Q", base_dir)
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


def make_rotations(setting: object, n_layers: int, dim: int, seed: int, base_dir: Path) -> Array:
    """Return R_ℓ(0), (L, Q, Q), orthogonal to rounding.

    ``random`` draws each layer from the Haar measure on SO(Q), layer ℓ from its own stream.

    Raises:
        Fault: another shape, or a matrix that is not orthogonal.
    """
    shape = (n_layers, dim, dim)
    check_size(shape, "the rotations")
    if setting == "random":
        streams = (stream(seed, f"initial/rotation/{layer}") for layer in range(n_layers))
        return np.stack([random_rotation(rng, dim) for rng in streams])
    return orthogonal(_given(setting, shape, "L×Q×Q", base_dir))


def orthogonal(matrices: Array) -> Array:
    """Return matrices (L, Q, Q) that are orthogonal to rounding, or refuse them.

    A matrix that is orthogonal to rounding stays bit for bit what it is; one a little off is replaced by the
    nearest orthogonal matrix (its polar factor).

    Raises:
        Fault: RᵀR differs from 1 by more than ``NOT_ORTHOGONAL``.
    """
    result = matrices.copy()
    dim = matrices.shape[-1]
    for layer, matrix in enumerate(matrices):
        off = float(np.abs(matrix.T @ matrix - np.eye(dim)).max())
        if not off <= NOT_ORTHOGONAL:
            what = f"matrix {layer} is not orthogonal: RᵀR differs from 1 by {off:.2g}"
            raise Fault(f"{what}; allowed {NOT_ORTHOGONAL:g}")
        if off > ROUNDING * dim:
            left, _, right = np.linalg.svd(matrix)
            result[layer] = left @ right
    return result


def make_biases(setting: object, n_layers: int, dim: int, seed: int, base_dir: Path) -> Array:
    """Return β^(ℓ)(0), (L, Q); ``normal`` entries come from a stream of each layer.

    Raises:
        Fault: another shape.
    """
    check_size((n_layers, dim), "the biases")
    if isinstance(setting, NormalEntries):
        streams = (stream(seed, f"initial/bias/{layer}") for layer in range(n_layers))
        setting = setting.normal * np.stack([rng.standard_normal(dim) for rng in streams])
    return _given(setting, (n_layers, dim), "L×Q", base_dir)


def make_output_weight(setting: object, dim: int, seed: int, base_dir: Path) -> Array:
    """Return W_{Q+1}(0), (Q, Q).

    Raises:
        Fault: another shape.
    """
    check_size((dim, dim), "the output weight")
    if isinstance(setting, NormalEntries):
        setting = setting.normal * stream(seed, "initial/output_weight").standard_normal((dim, dim))
    return _given(setting, (dim, dim), "Q×Q", base_dir)
