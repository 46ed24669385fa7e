"""What a run of `separated` watches without being moved by it: separation of the clusters, and their collapse."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from reference.flow import NODES, Run
from reference.loss import pre_activation
from reference.network import unpack
from truncflow_cli.problem import Problem

#: (s, kind, layer, point, coordinate, cluster); point and coordinate are -1 at s = 0.
Watched = tuple[float, str, int, int, int, int]


def sampled(run: Run) -> list[tuple]:
    """Return for each piece its nodes (M,), beta (M, Q) and R (M, Q, Q) there, and its dense output."""
    found = []
    for s0, s1, dense in run.pieces:
        nodes = s0 + (s1 - s0) * NODES
        beta, R = unpack(run.net, np.array([dense(s)[:-1] for s in nodes]))
        found.append((nodes, beta[:, 0], R[:, 0], dense))
    return found


def crossings(run: Run, pieces: list[tuple], point: np.ndarray, coordinate: int) -> tuple[bool, list[float]]:
    """Return whether z > 0 at s = 0 for a foreign point (Q,), and the times at which its sign changes."""

    def along(dense):
        def z(s: float) -> float:
            beta, R = unpack(run.net, dense(s)[:-1])
            return float(R[0, coordinate] @ (point + beta[0]))

        return z

    times: list[float] = []
    start = inside = bool(pieces[0][2][0, coordinate] @ (point + pieces[0][1][0]) > 0)
    for nodes, beta, R, dense in pieces:
        z = along(dense)
        values = np.einsum("mq,mq->m", R[:, coordinate], point + beta)
        for m in range(1, len(nodes)):
            low, high = nodes[m - 1], nodes[m]
            if (values[m] > 0) != inside:
                if (values[m - 1] > 0) == inside:
                    times.append(brentq(z, low, high, xtol=1e-15, rtol=1e-15))
                inside = not inside
            elif m + 1 < len(nodes):  # there and back between two nodes
                sign = 1.0 if inside else -1.0
                before, here, after = sign * values[m - 1 : m + 2]
                if after > 0 and 2 * here < min(before, after):
                    dip = minimize_scalar(
                        lambda s, z=z, sign=sign: sign * z(s), bounds=(low, nodes[m + 1]), method="bounded"
                    )
                    if dip.fun < 0:
                        times.append(brentq(z, low, dip.x, xtol=1e-15))
                        times.append(brentq(z, dip.x, nodes[m + 1], xtol=1e-15))
    return start, times


def separation(problem: Problem, runs: tuple[Run, ...]) -> list[Watched]:
    """Return when each cluster is first not wholly in S_l^+ of a foreign layer l, and when it is again."""
    found: list[Watched] = []
    for layer, run in enumerate(runs):
        pieces = sampled(run)
        for cluster in range(problem.n_clusters):
            if cluster == layer:
                continue
            outside, changes = 0, []
            for i in np.flatnonzero(problem.cluster == cluster):
                for r in range(problem.dim):
                    inside, times = crossings(run, pieces, problem.x[i], r)
                    outside += not inside
                    changes += [
                        (s, int(i), r, -1 if (inside == bool(k % 2)) else 1) for k, s in enumerate(times)
                    ]
            if outside:
                found.append((0.0, "separation_lost", layer, -1, -1, cluster))
            for s, i, r, step in sorted(changes):
                outside += step
                if step == 1 and outside == 1:
                    found.append((s, "separation_lost", layer, i, r, cluster))
                if step == -1 and outside == 0:
                    found.append((s, "separation_regained", layer, i, r, cluster))
    return sorted(found)


def collapse(problem: Problem, events: list[tuple]) -> list[Watched]:
    """Return when each cluster is wholly in S_l^- of its own layer, and when no more, by the crossings."""
    found: list[Watched] = []
    for layer in range(problem.n_layers):
        own = problem.x[problem.cluster == layer]
        up = pre_activation(own, problem.beta0[layer], problem.R0[layer]) > 0
        state = {
            (int(i), r): bool(up[k, r])
            for k, i in enumerate(np.flatnonzero(problem.cluster == layer))
            for r in range(problem.dim)
        }
        collapsed = not any(state.values())
        if collapsed:
            found.append((0.0, "collapse", layer, -1, -1, layer))
        for s, kind, where, point, coordinate, side in events:
            if where != layer:
                continue
            state[point, coordinate] = kind == "release" or (kind == "unpin" and side == 1)
            if collapsed != (not any(state.values())):
                collapsed = not collapsed
                found.append((s, "collapse" if collapsed else "uncollapse", layer, point, coordinate, layer))
    return sorted(found)
