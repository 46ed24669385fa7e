"""A sweep of many small runs: what a run costs besides being solved."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import yaml

from tests.benchmarks import processes
from tests.benchmarks.effort import Effort
from tests.benchmarks.process import SMALL
from tests.benchmarks.tables import Cell, Table
from truncflow_cli import api, config, runfile, solver
from truncflow_cli.config.experiment import parsed
from truncflow_cli.diagnostics import certify
from truncflow_cli.sweep.grid import Member
from truncflow_cli.sweep.member import perform
from truncflow_cli.sweep.plan import Source
from truncflow_cli.sweep.values import Value

TITLE = "Sweep: many small runs against the time in which they are solved"

#: Runs of which the parts are timed one by one, and how many of them come too early to count.
SAMPLE, WARMING = 60, 5


def measure(effort: Effort) -> Iterator[Table]:
    """Yield the tables."""
    path = effort.folder / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    seeds = effort.pick(500, 50)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    _sweep(effort, 1)  # fills the caches
    start_up, _ = _sweep(effort, 1)
    wall, taken = _sweep(effort, seeds)
    parts = _parts(path, effort)
    n_runs = 2 * seeds
    solving = parts["solved"] * n_runs / cores
    rows: list[dict[str, Cell]] = [
        {"against": what, "seconds over the cores": total, "ratio": (wall - start_up) / total}
        for what, total in (
            ("elapsed_seconds of the run files: all of each run", taken["elapsed_seconds"] / cores),
            ("solving_seconds of the run files: up to the last sample", taken["solving_seconds"] / cores),
            ("integration alone, warm, one run after another", solving),
        )
    ]
    yield Table(
        f"truncflow sweep, {n_runs:,} runs of two clusters of 40 points, {cores} processes",
        [{"against": "wall time", "seconds over the cores": wall}, *rows],
        [
            f"ratio: wall time, less the {start_up:.2f} s of a sweep of two runs, over these seconds.",
            "Those of the run files are taken inside the members, while the cores are as busy as a sweep makes them; "
            "integration alone is the solver and no more, on a free machine.",
        ],
    )
    total = parts["all of it"]
    yield Table(
        f"One run in a worker, milliseconds: median of {SAMPLE} runs on one core",
        [{"part": name, "ms": 1e3 * took, "share": took / total} for name, took in parts.items()],
        ["The rest: lock, HDF5 file with its 27 certificates, sync, row of the table."],
    )


def _sweep(effort: Effort, seeds: int) -> tuple[float, dict[str, float]]:
    """Sweep over so many seeds and two tolerances; return the wall time, and what the run files' times sum up to."""
    folder = effort.folder / f"sweep-{seeds}-{time.monotonic_ns()}"
    grids = ["--grid", f"seed=1:{seeds}:{seeds}" if seeds > 1 else "seed=1"]
    command: list[str | Path] = ["sweep", "small.yaml", *grids, "--grid", "integrator.rtol=1e-8,1e-9"]
    usage = processes.truncflow([*command, "-o", folder, "--quiet"], effort.folder)
    sums = {"elapsed_seconds": 0.0, "solving_seconds": 0.0}
    for path in folder.glob("*.h5"):
        with h5py.File(path) as file:
            for name in sums:
                sums[name] += float(file.attrs[name])
    return usage.wall, sums


def _parts(path: Path, effort: Effort) -> dict[str, float]:
    """Return the median seconds of the parts of a run, as a worker does it."""
    folder = effort.folder / "parts"
    folder.mkdir()
    source = Source(parsed(path), path.parent, ("name=small",), folder, "")
    taken: dict[str, list[float]] = {"prepared": [], "solved": [], "certified": [], "all of it": []}
    for seed in range(SAMPLE):
        member = Member(seed, (("seed", Value(f"{seed}", seed)),), (seed,))
        taken["prepared"].append(_seconds(_prepare, source, member))
        problem = config.build(source.experiment(member.overrides)).problem
        taken["solved"].append(_seconds(lambda problem: list(solver.solve(problem)), problem))
        taken["all of it"].append(_seconds(perform, source, member))
        with runfile.open_run(folder / member.file_name) as run:
            for name in (
                "x",
                "cluster",
                "s",
                "beta",
                "R",
                "loss",
                "loss_cluster",
                "energy_balance",
                "events",
            ):
                getattr(run, name)
            taken["certified"].append(_seconds(certify, run))
    parts = {name: statistics.median(seconds[WARMING:]) for name, seconds in taken.items()}
    total = parts.pop("all of it")
    return {**parts, "written, and the rest": total - sum(parts.values()), "all of it": total}


def _prepare(source: Source, member: Member) -> None:
    api.prepare(source.experiment(member.overrides), source.folder / member.file_name)


def _seconds(call: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start
