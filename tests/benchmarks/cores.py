"""Clusters of `separated` are independent: what a second core brings, and that it changes no byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py

from tests.benchmarks import problems, processes
from tests.benchmarks.effort import Effort
from tests.benchmarks.tables import Cell, Table
from tests.benchmarks.timing import take_turns

TITLE = "Cores: two clusters on one core and on two"

DIM = 10


def measure(effort: Effort) -> Iterator[Table]:
    """Yield the table."""
    if not hasattr(os, "sched_getaffinity"):
        yield Table("This system does not tie a process to cores", [])
        return
    cores = sorted(os.sched_getaffinity(0))
    sizes = [count for count in (1, 2) if count <= len(cores)]
    problem = problems.separated(
        effort.pick(10_000, 2_000), DIM, effort.pick(1.0, 0.3), n_clusters=2, rtol=1e-9
    )
    config = problems.write_config(problem, effort.folder, "cores")

    def run(count: int) -> processes.Usage:
        target = effort.folder / f"cores-{count}.h5"
        command: list[str | Path] = ["run", config, "-o", target, "--force", "--quiet"]
        return processes.truncflow(command, effort.folder, cores[:count])

    run(1)
    turns = take_turns({str(count): partial(run, count) for count in sizes}, effort.runs)
    one = turns["1"].seconds
    rows: list[dict[str, Cell]] = [
        {
            "cores": name,
            "seconds": turn.seconds,
            "ratio": one.over(turn.seconds) if name != "1" else None,
            "solving, seconds": _solving(effort.folder / f"cores-{name}.h5"),
            "processor seconds": turn.result.cpu,
            "differing datasets": _differing(
                effort.folder / "cores-1.h5", effort.folder / f"cores-{name}.h5"
            ),
        }
        for name, turn in turns.items()
    ]
    sizes_text = f"2 x {problem.x.shape[0] // 2:,} points, Q = {DIM}, s_end = {problem.settings.s_end:g}"
    yield Table(f"truncflow run, {sizes_text}", rows, ["ratio: seconds on one core over seconds on two."])


def _solving(path: Path) -> float:
    """Return what the run file says of the time in which the last run was solved."""
    with h5py.File(path) as file:
        return float(file.attrs["solving_seconds"])


def _differing(path: Path, other: Path) -> str:
    """Name the datasets whose bytes are not the same in both files; the config names the output and is left out."""
    with h5py.File(path) as a, h5py.File(other) as b:
        names: list[str] = []
        a.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        there: list[str] = []
        b.visititems(lambda name, item: there.append(name) if isinstance(item, h5py.Dataset) else None)
        missing = sorted(set(names) ^ set(there))
        same = set(names) & set(there) - {"config"}
        changed = sorted(name for name in same if _bytes(a[name]) != _bytes(b[name]))
    return ", ".join(missing + changed) or "none"


def _bytes(dataset: h5py.Dataset) -> bytes:
    return bytes(memoryview(dataset[()]).cast("B")) if dataset.shape else bytes(str(dataset[()]), "utf-8")
