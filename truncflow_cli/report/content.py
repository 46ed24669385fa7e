"""What every form of the report shows: the settings, the certificates, and the flow's own quantities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from truncflow_cli.certificate import Certificate
from truncflow_cli.diagnostics import NAMES, certify
from truncflow_cli.diagnostics.collapsed import spectral_gap
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.run_data import RunLike

#: What each flow is, in the paper.
THEOREM = {
    "separated": "Theorem 3.2",
    "general": "Theorem 5.1",
    "collapsed": "section 8",
    "clustered": "section 9",
}


def certificates_of(run: RunLike) -> dict[str, Certificate]:
    """Return the run's certificates in order; a file that has none yet is certified here."""
    found = dict(run.certificates) or {certificate.name: certificate for certificate in certify(run)}
    order = {name: position for position, name in enumerate(NAMES)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


def section_of(run: RunLike, name: str) -> Mapping[str, Any]:
    """Return one section of the config, empty if it has none."""
    section = run.settings.get(name)
    return cast("Mapping[str, Any]", section) if isinstance(section, dict) else {}


def sizes_of(run: RunLike) -> dict[str, int]:
    """Return N, C, L, Q and T; L is 0 for a flow without layers that move."""
    return {
        "N": 0 if run.x is None else int(run.x.shape[0]),
        "C": int(run.y_tilde.shape[0]),
        "L": 0 if run.beta is None else int(run.beta.shape[1]),
        "Q": int(run.y_tilde.shape[1]),
        "T": int(run.s.size),
    }


def facts_of(run: RunLike) -> list[str]:
    """Return what is known of the flow from its start and its data alone, a line each."""
    if run.attrs["flow"] == "collapsed" and run.B is not None and run.W is not None:
        gap = spectral_gap(run.B[0], run.W[0])
        rate = f"λ0 = {gap.rate:.6g}" if gap.rate > 0.0 else "no λ0 > 0"
        return [f"I = BBᵀ − WᵀW is conserved: {gap.text}; {rate}"]
    if run.attrs["flow"] == "clustered" and run.x is not None:
        A = second_moment(run.x, run.cluster, run.settings.get("point_weights"))
        eigenvalues = np.linalg.eigvalsh(A)
        return [f"decay rates of W, the eigenvalues of XXᵀ/N: {eigenvalues[0]:.6g} … {eigenvalues[-1]:.6g}"]
    return []


def second_moment(x: Array, cluster: IntArray | None, point_weights: object) -> Array:
    """Return Σ_i w_i x_i x_iᵀ (Q, Q) of points x (N, Q): w_i = 1/N, or 1/N_j if that is asked for."""
    weights = np.full(x.shape[0], 1.0 / max(1, x.shape[0]))
    if point_weights == "1/N_j" and cluster is not None:
        weights = 1.0 / np.bincount(cluster)[cluster]
    return np.asarray((x * weights[:, None]).T @ x)


def quantities_of(run: RunLike, certificates: Mapping[str, Certificate]) -> dict[str, Array]:
    """Return what characterises the run's flow along the saved times, each (T,), by name.

    `separated`: |β + ỹ| and, with ‖R − R(0)‖, how far each layer has moved; `collapsed`: ‖B‖, ‖W‖, ‖WB + Y‖;
    `clustered`: ‖W‖ and the distances to its start and to the least-squares minimiser. Norms are those of Frobenius,
    but ‖B‖, ‖W‖ and ‖I − I(0)‖ of `collapsed` operator norms, as in the bounds (8.34)-(8.37) and in (8.21).
    """
    found: dict[str, Array] = {}
    if run.beta is not None and run.R is not None:
        layers = run.beta.shape[1]
        for layer in range(layers):
            if run.attrs["flow"] == "separated" and layers == run.y_tilde.shape[0]:
                found[f"|β + ỹ|, layer {layer}"] = np.linalg.norm(
                    run.beta[:, layer] + run.y_tilde[layer], axis=1
                )
            found[f"‖R − R(0)‖, layer {layer}"] = np.linalg.norm(
                run.R[:, layer] - run.R[0, layer], axis=(1, 2)
            )
    if run.W is not None and run.B is not None:
        found["‖B‖"] = np.linalg.norm(run.B, ord=2, axis=(1, 2))
        found["‖W‖"] = np.linalg.norm(run.W, ord=2, axis=(1, 2))
        found["‖WB + Y‖"] = np.linalg.norm(run.W @ run.B + run.y.T, axis=(1, 2))
        invariant = run.B @ run.B.swapaxes(1, 2) - run.W.swapaxes(1, 2) @ run.W
        found["‖I − I(0)‖"] = np.linalg.norm(invariant - invariant[0], ord=2, axis=(1, 2))
    elif run.W is not None:
        found["‖W‖"] = np.linalg.norm(run.W, axis=(1, 2))
        found["‖W − W(0)‖"] = np.linalg.norm(run.W - run.W[0], axis=(1, 2))
        limit = certificates.get("least_squares")
        if limit is not None and "distance" in limit.series:
            found["‖W − Y_ext X⁺‖"] = limit.series["distance"]
    return {name: np.asarray(values, dtype=np.float64) for name, values in found.items()}
