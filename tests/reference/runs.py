"""The reference run of a Problem, and the stored runs of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reference.flow import Flow, Run
from reference.network import Network, pack, unpack
from reference.problems import CATALOGUE
from truncflow_cli.problem import Problem


@dataclass(frozen=True)
class Reference:
    """The reference's answer: samples at the problem's saved times, and its events.

    ``events`` holds (s, kind, layer, point, coordinate, side), in order of s; rests are left out.
    """

    beta: np.ndarray
    R: np.ndarray
    loss: np.ndarray
    energy_balance: np.ndarray
    events: list[tuple[float, str, int, int, int, int]]
    ambiguous: tuple[float, ...]
    runs: tuple[Run, ...]


def networks(problem: Problem) -> list[tuple[Network, np.ndarray, np.ndarray]]:
    """Return the independent parts of a problem: network, start, indices of its points."""
    sizes = np.bincount(problem.cluster, minlength=problem.n_clusters)
    turns = 0.0 if problem.settings.freeze_rotation else 1.0
    label = problem.y_tilde[problem.cluster]
    weight = 1.0 / sizes[problem.cluster]
    if problem.flow == "general":
        net = Network(problem.x, label, weight, problem.n_layers, turns)
        return [(net, pack(problem.beta0, problem.R0), np.arange(len(problem.x)))]
    parts = []
    for j in range(problem.n_layers):
        own = np.flatnonzero(problem.cluster == j)
        net = Network(problem.x[own], label[own], weight[own], 1, turns)
        parts.append((net, pack(problem.beta0[j], problem.R0[j]), own))
    return parts


def reference_run(problem: Problem) -> Reference:
    """Return the reference's run of a `separated` or `general` problem."""
    parts = networks(problem)
    s_end = problem.settings.s_end
    runs = [Flow(net, start).go(s_end) for net, start, _ in parts]
    beta, R = [], []
    events = []
    for layer, ((net, _, own), run) in enumerate(zip(parts, runs, strict=True)):
        b, r = unpack(net, np.array([run.at(s) for s in problem.s_save]))
        beta.append(b)
        R.append(r)
        for s, kind, inner, point, coordinate, side in run.events:
            if kind != "rest":
                events.append((s, kind, inner + layer, int(own[point]), coordinate, side))
    beta, R = np.concatenate(beta, axis=1), np.concatenate(R, axis=1)
    losses = np.array([sum(run.loss_at(s) for run in runs) for s in problem.s_save])
    dissipated = np.array([sum(run.dissipated(s) for run in runs) for s in problem.s_save])
    return Reference(
        beta=beta,
        R=R,
        loss=losses,
        energy_balance=losses[0] - losses - dissipated,
        events=sorted(events),
        ambiguous=tuple(s for run in runs for s in run.ambiguous),
        runs=tuple(runs),
    )


# ---- stored runs --------------------------------------------------------------------------------------------

#: The catalogue's runs, as ``store`` writes them: the reference takes seconds for some.
STORED = Path(__file__).with_name("catalogue.npz")
EVENT = np.dtype(
    [("s", "f8"), ("kind", "U8"), ("layer", "i2"), ("point", "i2"), ("coordinate", "i2"), ("side", "i1")]
)
N_STORED = 7


def catalogued(name: str) -> Problem:
    """Return a problem of the catalogue with the saved times of its stored run."""
    problem = CATALOGUE[name][0]()
    return replace(problem, s_save=np.linspace(0.0, problem.settings.s_end, N_STORED))


def store() -> None:
    """Run the reference on the whole catalogue and write the file: ``python -c`` it from tests/."""
    arrays: dict[str, np.ndarray] = {}
    for name in CATALOGUE:
        reference = reference_run(catalogued(name))
        for field in ("beta", "R", "loss", "energy_balance"):
            arrays[f"{name}/{field}"] = getattr(reference, field)
        arrays[f"{name}/events"] = np.array(reference.events, dtype=EVENT)
        arrays[f"{name}/ambiguous"] = np.array(reference.ambiguous)
    np.savez_compressed(STORED, **arrays)


def stored_run(name: str) -> Reference:
    """Return the stored reference run of a problem of the catalogue."""
    with np.load(STORED) as arrays:
        part = {field: arrays[f"{name}/{field}"] for field in ("beta", "R", "loss", "energy_balance")}
        events = [
            (float(s), str(kind), *map(int, rest)) for s, kind, *rest in arrays[f"{name}/events"].tolist()
        ]
        ambiguous = tuple(arrays[f"{name}/ambiguous"].tolist())
    return Reference(**part, events=events, ambiguous=ambiguous, runs=())
