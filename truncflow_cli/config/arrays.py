"""Labels, output map, the state at s = 0 and the saved times: written out, in a file, a word, or random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from truncflow_cli.config.construct.rotations import polished
from truncflow_cli.config.errors import Fault
from truncflow_cli.config.experiment import Experiment
from truncflow_cli.config.files import LARGEST, check_size, read_array
from truncflow_cli.config.schema import MOST_TIMES, Save
from truncflow_cli.config.streams import random_orthogonal, random_rotation, stream
from truncflow_cli.config.types import FromFile, NormalEntries, Scaled
from truncflow_cli.problem import Array

#: An output map with a larger condition number has no inverse in double precision.
WORST_CONDITION = 1e14
#: How far RᵀR of a given matrix may be from 1: what a file with ten digits has.
NOT_ORTHOGONAL = 1e-10
#: Below this, times Q, RᵀR differs from 1 by rounding only, and the matrix is used bit by bit as it is.
ROUNDING = 1e-15
#: `spacing: log` begins this much before s_end unless `first` says otherwise.
_LOG_SPAN = 1e-4


def _array(setting: object, base_dir: Path, shape: tuple[int, ...], letters: str) -> Array:
    """Return the array that a setting stands for: a list, a file, a multiple of the identity, zero.

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


def _drawn(setting: object, seed: int, names: Sequence[str], shape: tuple[int, ...]) -> object:
    """Return the array that ``{normal: a}`` draws from streams of these names, one after the other."""
    if not isinstance(setting, NormalEntries):
        return setting
    parts = [stream(seed, name).standard_normal(math.prod(shape) // len(names)) for name in names]
    return setting.normal * np.concatenate(parts).reshape(shape)


def make_labels(experiment: Experiment, count: int, dim: int) -> Array:
    """Return the labels y, (C, Q); a UserError says of this and those below what is wrong with the setting."""
    setting = experiment.config.labels
    with experiment.at("labels"):
        check_size((count, dim), "the labels")
        if count > dim and not isinstance(setting, FromFile | list):
            there = f"there are {count} clusters in {dim} dimensions"
            raise Fault(f"y_j = e_j needs C <= Q, but {there}; give a C×Q list")
        return _array(setting, experiment.base_dir, (count, dim), "C×Q")


def make_output_map(experiment: Experiment, dim: int) -> Array | None:
    """Return W^(Q+1), (Q, Q), invertible; or None for the identity."""
    setting = experiment.config.output_map
    if setting == "identity":
        return None
    with experiment.at("output_map"):
        check_size((dim, dim), "output_map")
        if not isinstance(setting, FromFile | list):
            return random_orthogonal(stream(experiment.config.seed, "output_map"), dim)
        matrix = _array(setting, experiment.base_dir, (dim, dim), "Q×Q")
        condition = float(np.linalg.cond(matrix)) if matrix.any() else np.inf
        if not condition < WORST_CONDITION:
            raise Fault(f"is not invertible (condition number {condition:.2g}); (1.15) needs its inverse")
        return matrix


def pulled_back(experiment: Experiment, y: Array, output_map: Array | None) -> Array:
    """Return ỹ_j = (W^(Q+1))⁻¹ y_j, (C, Q)  (1.15), within range."""
    if output_map is None:
        return y.copy()
    y_tilde = np.ascontiguousarray(np.linalg.solve(output_map, y.T).T)
    if not (largest := np.abs(y_tilde).max()) <= LARGEST:
        what = f"(W^(Q+1))⁻¹ y_j reaches {largest:g}; at most {LARGEST:g} is allowed"
        raise experiment.error(("output_map",), what)
    return y_tilde


def make_rotations(experiment: Experiment, n_layers: int, dim: int) -> Array:
    """Return R_ℓ(0), (L, Q, Q), orthogonal to rounding.

    ``random`` draws each layer from the Haar measure on SO(Q), layer ℓ from its own stream.
    """
    setting, shape = experiment.config.initial.rotation, (n_layers, dim, dim)
    with experiment.at("initial", "rotation"):
        check_size(shape, "the rotations")
        if setting == "random":
            seed = experiment.config.seed
            streams = (stream(seed, f"initial/rotation/{layer}") for layer in range(n_layers))
            return np.stack([random_rotation(rng, dim) for rng in streams])
        return orthogonal(_array(setting, experiment.base_dir, shape, "L×Q×Q"))


def orthogonal(matrices: Array) -> Array:
    """Return matrices (L, Q, Q), each as it is if it is orthogonal to rounding, or its polar factor if a little off.

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
            result[layer] = polished(matrix)
    return result


def make_biases(experiment: Experiment, n_layers: int, dim: int) -> Array:
    """Return β^(ℓ)(0), (L, Q); ``normal`` entries come from a stream of each layer."""
    config, shape = experiment.config, (n_layers, dim)
    with experiment.at("initial", "bias"):
        check_size(shape, "the biases")
        names = [f"initial/bias/{layer}" for layer in range(n_layers)]
        setting = _drawn(config.initial.bias, config.seed, names, shape)
        return _array(setting, experiment.base_dir, shape, "L×Q")


def make_output_weight(experiment: Experiment, dim: int) -> Array:
    """Return W_{Q+1}(0), (Q, Q)."""
    config, shape = experiment.config, (dim, dim)
    with experiment.at("initial", "output_weight"):
        check_size(shape, "the output weight")
        setting = _drawn(config.initial.output_weight, config.seed, ["initial/output_weight"], shape)
        return _array(setting, experiment.base_dir, shape, "Q×Q")


def saved_times(save: Save, s_end: float) -> Array:
    """Return the saved times, (T,), strictly increasing from 0 to ``s_end``; both are always among them.

    ``count`` with spacing ``linear`` gives evenly spaced times; with ``log``, 0 and then a geometric sequence
    from ``first`` (default s_end/10⁴) to s_end. A run that ends at 0 has the one time 0.

    Raises:
        Fault: a time beyond s_end, or more times than fit into memory.
    """
    count = save.count or 2
    for index, time in enumerate(save.at or ()):
        if time > s_end:
            raise Fault(f"{time:g} lies beyond integrator.s_end = {s_end:g}", ("at", index))
    if s_end == 0:
        return np.zeros(1)
    if save.at is not None:
        times = np.unique([0.0, *save.at, s_end])
    elif save.every is not None:
        if not s_end / save.every < MOST_TIMES:
            what = f"{save.every:g} makes more than {MOST_TIMES} saved times up to s_end = {s_end:g}"
            raise Fault(what, ("every",))
        # A last multiple that is s_end but for rounding is s_end.
        before = math.ceil(s_end / save.every * (1 - 1e-12))
        times = np.append(save.every * np.arange(before), s_end)
    elif save.spacing == "log" and count > 2:
        first = _LOG_SPAN * s_end if save.first is None else save.first
        if not 0 < first < s_end:
            raise Fault(f"{first:g} is not between 0 and integrator.s_end = {s_end:g}", ("first",))
        times = np.append(0.0, np.geomspace(first, s_end, count - 1))
        times[-1] = s_end
    else:
        times = np.linspace(0.0, s_end, count)
    if not (np.diff(times) > 0).all():
        raise Fault(f"{len(times)} times up to s_end = {s_end:g} are not distinct numbers; save fewer")
    return times
