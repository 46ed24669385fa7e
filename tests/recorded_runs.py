"""Runs in memory, for tests of what reads a run: solved from a config, whole or damaged on purpose."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from truncflow_cli import config, solver
from truncflow_cli.errors import RunFailed
from truncflow_cli.problem import Problem
from truncflow_cli.run_data import Run, Source

#: What ``runfile.open_run`` would give, without a file.
Recorded = Run


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
    events = np.concatenate([chunk.events for chunk in chunks])
    lengths = {"N": len(problem.x), "C": problem.n_clusters, "L": problem.n_layers, "Q": problem.dim}
    lengths |= {"T": len(samples["s"]), "E": len(events)}
    arrays = {f"data/{key}": getattr(problem, key) for key in ("x", "cluster", "y", "y_tilde")}
    arrays |= {f"initial/{key}": getattr(problem, f"{key}0") for key in ("R", "beta", "W")}
    arrays |= {f"trajectory/{key}": values for key, values in samples.items()}
    arrays |= {f"events/{key}": events[key] for key in events.dtype.names}
    counters = dict(chunks[-1].counters)
    return Run(Path(f"{name}.h5"), attrs, config_text, lengths, Source(arrays.get), counters=counters, **more)


def damaged(run: Recorded, **changes: Any) -> Recorded:
    """Return the run with some of what it has replaced, by the names of ``Run``."""
    other = copy.copy(run)
    other.__dict__.pop("settings", None)  # read from the config
    for name, value in changes.items():
        setattr(other, name, value)
    other.n_points, other.n_saved, other.n_events = len(other.x), len(other.s), len(other.events)
    other.n_clusters, other.dim = other.y.shape
    if other.beta is not None:
        other.n_layers = other.beta.shape[1]
    return other
