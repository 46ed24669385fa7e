"""A run of many points holds them once: its memory is that of a small run, and little more than the points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from peak_memory import peak_of
from run_file_equality import differences

from truncflow_cli import api

DIM = 10

CONFIG = """\
flow: separated
clusters: [{file: x.npy}]
labels: [[2.0, -1.0, 0.5, 1.0, -2.0, 1.5, 0.0, 1.0, -1.0, 0.5]]
initial: {rotation: random, bias: [[0.3, -0.2, 0.1, 0.4, -0.5, 0.2, 0.6, -0.1, 0.2, 0.3]]}
integrator: {s_end: 1.0e-4, events: exact}
save: {count: 3}
"""


def write(folder: Path, size: int) -> int:
    """Write the config of a run of so many points, some of them twice; return the bytes of the points."""
    x = np.random.default_rng(0).normal(size=(size, DIM))
    x[: size // 100] = x[-(size // 100) :]
    np.save(folder / "x.npy", x)
    (folder / "run.yaml").write_text(CONFIG)
    return x.nbytes


def test_peak_of_many_points(tmp_path: Path) -> None:
    """Twice the points in all: the points, 6 bytes for each coordinate (sides, near lists), 28 for each point.

    A single further copy of them, of whatever makes it, does not go unnoticed.
    """
    peaks, data = [], []
    for size in (200, 200_000):
        data.append(write(tmp_path, size))
        peaks.append(peak_of(tmp_path, "run", "run.yaml", "--quiet", "--force"))
    assert peaks[1] - peaks[0] < 2.5 * data[1] + (4 << 20)


def test_lent_points_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a solver works in the problem's own array or in a copy changes no byte of the run file."""
    write(tmp_path, 2_000)
    experiment = api.load(tmp_path / "run.yaml", ["integrator.s_end=0.05"])
    for name, lent in (("copy", 1 << 60), ("lent", 0)):
        monkeypatch.setattr(api, "LENT", lent)
        plan = api.prepare(experiment, tmp_path / f"{name}.h5")
        before = plan.built.problem.x.copy()
        api.execute(plan)
        assert plan.built.problem.x.tobytes() == before.tobytes()
    assert differences(tmp_path / "copy.h5", tmp_path / "lent.h5") == []


def test_lent_points_come_back_from_a_run_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 2_000)
    monkeypatch.setattr(api, "LENT", 0)
    experiment = api.load(tmp_path / "run.yaml", ["integrator.s_end=3", "integrator.max_events=20"])
    plan = api.prepare(experiment, tmp_path / "failed.h5")
    before = plan.built.problem.x.copy()
    outcome = api.execute(plan)
    assert outcome.record is not None and outcome.record.status == "failed"
    assert outcome.record.x.tobytes() == before.tobytes()
    assert outcome.record.certificates["stored_loss"].verdict == "holds"
