"""The field that a trajectory should have (complex step), and that it has (differences of samples)."""

from __future__ import annotations

import numpy as np

from reference.gradient import gradient
from reference.loss import (
    all_pre_activations,
    cluster_losses_general,
    cluster_losses_separated,
    pre_activation,
)
from truncflow_cli.events import Kind
from truncflow_cli.problem import Problem

#: Central differences over nine equidistant samples, eighth order: weights of f(k) - f(-k), k = 1 .. 4.
WEIGHTS = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])


def difference_quotient(samples: np.ndarray, spacing: float) -> np.ndarray:
    """Return the derivative in the middle of nine samples (9, ...) to eighth order in ``spacing``."""
    return sum(w * (samples[4 + k] - samples[4 - k]) for k, w in enumerate(WEIGHTS, start=1)) / spacing


def measured_field(beta: np.ndarray, R: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (d_s beta, Omega) in the middle of nine samples beta (9, L, Q), R (9, L, Q, Q)."""
    turned = difference_quotient(R, spacing)
    return difference_quotient(beta, spacing), turned @ R[4].swapaxes(1, 2)


def starting_pattern(problem: Problem) -> np.ndarray:
    """Return h at s = 0, (L, N, Q); for `separated` it is 0 in all layers but a cluster's own."""
    if problem.flow == "general":
        return (all_pre_activations(problem.x, problem.beta0, problem.R0) > 0).astype(float)
    h = np.zeros((problem.n_layers, *problem.x.shape))
    for layer in range(problem.n_layers):
        own = problem.cluster == layer
        h[layer, own] = pre_activation(problem.x[own], problem.beta0[layer], problem.R0[layer]) > 0
    return h


def replayed_pattern(
    problem: Problem, events: np.ndarray, s: float
) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Return the pattern (L, N, Q) and the pinned surfaces at s, by the event log alone.

    Raises:
        AssertionError: an event contradicts what held before it.
    """
    h = starting_pattern(problem)
    pinned: set[tuple[int, int, int]] = set()
    for event in events[events["s"] <= s]:
        key = (int(event["layer"]), int(event["point"]), int(event["coordinate"]))
        kind = Kind(event["kind"])
        if kind == Kind.TRUNCATE:
            assert h[key] == 1 and key not in pinned, f"{key} truncated, but was so at s = {event['s']}"
            h[key] = 0
        elif kind == Kind.RELEASE:
            assert h[key] == 0 and key not in pinned, f"{key} released, but was so at s = {event['s']}"
            h[key] = 1
        elif kind == Kind.PIN:
            assert key not in pinned, f"{key} pinned twice"
            pinned.add(key)
            h[key] = 0
        elif kind == Kind.UNPIN:
            assert key in pinned, f"{key} unpinned, but was not pinned"
            pinned.remove(key)
            h[key] = event["side"]
    return h, sorted(pinned)


def expected_field(
    problem: Problem, beta: np.ndarray, R: np.ndarray, h: np.ndarray, pinned: list[tuple[int, int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return minus the gradient of the loss under the pattern h, made tangent to the pinned surfaces.

    On pinned surfaces the gradient is known up to their normals, and the motion must not leave them.
    """
    general = problem.flow == "general"
    points = np.arange(len(problem.x))

    def loss(b: np.ndarray, r: np.ndarray) -> complex:
        if general:
            return cluster_losses_general(problem.x, problem.cluster, problem.y_tilde, b, r, h).sum()
        own = h[problem.cluster, points]
        return cluster_losses_separated(problem.x, problem.cluster, problem.y_tilde, b, r, own).sum()

    field = -_flat(*gradient(loss, beta, R))
    if pinned:
        normals = []
        for layer, i, r in pinned:

            def z(b: np.ndarray, o: np.ndarray, layer=layer, i=i, r=r) -> complex:
                if general:
                    return all_pre_activations(problem.x[i : i + 1], b, o, h[:, i : i + 1])[layer, 0, r]
                return pre_activation(problem.x[i : i + 1], b[layer], o[layer])[0, r]

            normals.append(_flat(*gradient(z, beta, R)))
        N = np.array(normals).T
        field = field - N @ np.linalg.lstsq(N, field, rcond=1e-9)[0]
    return field[: beta.size].reshape(beta.shape), field[beta.size :].reshape(R.shape)


def _flat(along_beta: np.ndarray, along_R: np.ndarray) -> np.ndarray:
    return np.concatenate([along_beta.ravel(), along_R.ravel()])
