"""Runs in memory, for tests of what reads a run: solved from a config, whole or damaged on purpose."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from truncflow_cli import config, solver
from truncflow_cli.certificate import Certificate
from truncflow_cli.config.recorded import recorded_settings
from truncflow_cli.errors import RunFailed
from truncflow_cli.problem import Problem


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What ``store.open_run`` would give, without a file."""

    path: Path
    attrs: dict[str, Any]
    config: str
    x: np.ndarray
    cluster: np.ndarray
    y: np.ndarray
    y_tilde: np.ndarray
    s: np.ndarray
    loss: np.ndarray
    loss_cluster: np.ndarray
    energy_balance: np.ndarray
    events: np.ndarray
    beta: np.ndarray | None = None
    R: np.ndarray | None = None
    B: np.ndarray | None = None
    W: np.ndarray | None = None
    truncated_fraction: np.ndarray | None = None
    certificates: dict[str, Certificate] = dataclasses.field(default_factory=dict)
    counters: dict[str, int] = dataclasses.field(default_factory=dict)
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def settings(self) -> Mapping[str, Any]:
        return recorded_settings(self.config, f"{self.path}: config")

    @property
    def n_clusters(self) -> int:
        return len(self.y)

    @property
    def n_points(self) -> int:
        return len(self.x)

    @property
    def dim(self) -> int:
        return self.y.shape[1]

    @property
    def n_layers(self) -> int:
        return self.n_clusters if self.beta is None else self.beta.shape[1]


def solve(text: str, name: str = "run") -> Recorded:
    """Solve the problem of a config text and return the run."""
    experiment = config.load_text(text, Path.cwd(), name)
    built = config.build(experiment)
    return record(built.problem, experiment.resolved(), name, notes=built.notes, warnings=built.warnings)


def record(problem: Problem, config_text: str, name: str = "run", **more: Any) -> Recorded:
    """Solve a problem and keep everything it hands out."""
    chunks, status, message = [], "complete", ""
    try:
        for chunk in solver.solve(problem):
            chunks.append(chunk)
    except RunFailed as failure:
        status, message = "failed", str(failure)
    sampled = [chunk.samples for chunk in chunks if chunk.samples]
    samples = {key: np.concatenate([part[key] for part in sampled]) for key in sampled[0]}
    attrs = {
        "format": "truncflow-run",
        "format_version": 1,
        "flow": problem.flow,
        "equations": problem.equations,
        "rotation_frozen": problem.settings.freeze_rotation,
        "status": status,
        "message": message,
        "seed": 0,
        "truncflow_version": "0.1.0",
        "python_version": "3.11.7",
        "numpy_version": np.__version__,
        "scipy_version": "1.17.1",
        "h5py_version": "3.16.0",
        "created": "2026-01-02T03:04:05+00:00",
        "elapsed_seconds": 0.25,
        "command": f"truncflow run {name}.yaml",
    }
    if chunks[-1].switched_at is not None:
        attrs["switched_at"] = chunks[-1].switched_at
    return Recorded(
        path=Path(f"{name}.h5"),
        attrs=attrs,
        config=config_text,
        x=problem.x,
        cluster=problem.cluster,
        y=problem.y,
        y_tilde=problem.y_tilde,
        events=np.concatenate([chunk.events for chunk in chunks]),
        counters=dict(chunks[-1].counters),
        **samples,
        **more,
    )


def damaged(run: Recorded, **changes: Any) -> Recorded:
    """Return the run with some of its arrays replaced."""
    return dataclasses.replace(run, **changes)
