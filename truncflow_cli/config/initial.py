"""The state at s = 0 as a configuration gives it: rotations, biases, output weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from truncflow_cli.config.datafile import check_size, read_array
from truncflow_cli.config.errors import Fault
from truncflow_cli.config.labels import shaped
from truncflow_cli.config.streams import random_rotation, stream
from truncflow_cli.config.types import FromFile, NormalEntries, Scaled
from truncflow_cli.problem import Array

#: How far RᵀR of a given matrix may be from 1: what a file with ten digits has.
NOT_ORTHOGONAL = 1e-10
#: Below this, times Q, RᵀR differs from 1 by rounding only, and the matrix is used bit by bit as it is.
ROUNDING = 1e-15


def make_rotations(setting: object, n_layers: int, dim: int, seed: int, base_dir: Path) -> Array:
    """Return R_ℓ(0), (L, Q, Q), orthogonal to rounding.

    ``random`` draws each layer from the Haar measure on SO(Q), layer ℓ from its own stream.

    Raises:
        Fault: another shape, or a matrix that is not orthogonal.
    """
    shape = (n_layers, dim, dim)
    check_size(shape, "the rotations")
    if setting == "identity":
        return np.tile(np.eye(dim), (n_layers, 1, 1))
    if setting == "random":
        return np.stack(
            [random_rotation(stream(seed, f"initial/rotation/{layer}"), dim) for layer in range(n_layers)]
        )
    given = (
        read_array(setting.file, base_dir)
        if isinstance(setting, FromFile)
        else np.array(setting, dtype=np.float64)
    )
    return orthogonal(shaped(given, shape, "L×Q×Q"))


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
            raise Fault(
                f"matrix {layer} is not orthogonal: RᵀR differs from 1 by {off:.2g}; allowed "
                f"{NOT_ORTHOGONAL:g}"
            )
        if off > ROUNDING * dim:
            left, _, right = np.linalg.svd(matrix)
            result[layer] = left @ right
    return result


def make_biases(setting: object, n_layers: int, dim: int, seed: int, base_dir: Path) -> Array:
    """Return β^(ℓ)(0), (L, Q); ``normal`` entries come from a stream of each layer.

    Raises:
        Fault: another shape.
    """
    shape = (n_layers, dim)
    check_size(shape, "the biases")
    if isinstance(setting, NormalEntries):
        rows = [stream(seed, f"initial/bias/{layer}").standard_normal(dim) for layer in range(n_layers)]
        return shaped(setting.normal * np.stack(rows), shape, "L×Q")
    if isinstance(setting, FromFile):
        return shaped(read_array(setting.file, base_dir), shape, "L×Q")
    if isinstance(setting, list):
        return shaped(np.array(setting, dtype=np.float64), shape, "L×Q")
    return np.zeros(shape)


def make_output_weight(setting: object, dim: int, seed: int, base_dir: Path) -> Array:
    """Return W_{Q+1}(0), (Q, Q).

    Raises:
        Fault: another shape.
    """
    shape = (dim, dim)
    check_size(shape, "the output weight")
    if isinstance(setting, NormalEntries):
        entries = stream(seed, "initial/output_weight").standard_normal(shape)
        return shaped(setting.normal * entries, shape, "Q×Q")
    if isinstance(setting, FromFile):
        return shaped(read_array(setting.file, base_dir), shape, "Q×Q")
    if isinstance(setting, list):
        return shaped(np.array(setting, dtype=np.float64), shape, "Q×Q")
    return shaped((setting.scale if isinstance(setting, Scaled) else 1.0) * np.eye(dim), shape, "Q×Q")
