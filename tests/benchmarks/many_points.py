"""A million points: the whole command, its memory, and its error against a tighter run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import h5py

from tests.benchmarks import problems, processes
from tests.benchmarks.effort import Effort
from tests.benchmarks.peers.solution import Array, distance
from tests.benchmarks.processes import MIB, Usage
from tests.benchmarks.tables import Cell, Table
from truncflow_cli.problem import Problem

TITLE = "Very many points: the whole command, its memory and its error"

DIM = 10
RTOL, TIGHT_RTOL = 1e-9, 1e-11


@dataclass(frozen=True)
class Finished:
    """A run of the command, and what its file holds at the end."""

    usage: Usage
    solving: float
    mode: str
    events: int
    beta: Array
    R: Array
    energy_balance: float


def measure(effort: Effort) -> Iterator[Table]:
    """Yield the tables."""
    size = effort.pick(1_000_000, 300_000)
    whole = problems.separated(size, DIM, effort.pick(3.0, 0.03), rtol=RTOL, events="auto")
    yield _table(
        "events: auto", whole, problems.to(whole, rtol=TIGHT_RTOL), f"at rtol {TIGHT_RTOL:g}", effort
    )
    if not effort.quick:
        short = problems.to(whole, s_end=0.02)
        yield _table("events: auto", short, problems.to(short, events="exact"), "events: exact", effort)


def _table(name: str, problem: Problem, other: Problem, other_name: str, effort: Effort) -> Table:
    """Solve two problems that should end in the same state; the second one is the yardstick."""
    first, second = _run(problem, effort), _run(other, effort)
    apart = distance(first.beta, first.R, second.beta, second.R)
    rows = [_row(name, first), _row(other_name, second)]
    rows[0]["distance of the ends"] = apart
    size = len(problem.x)
    return Table(
        f"truncflow run: N = {size:,}, Q = {DIM}, s_end = {problem.settings.s_end:g}, rtol {problem.settings.rtol:g}",
        rows,
        ["mode: what the run file says in its attribute events_mode."],
    )


def _run(problem: Problem, effort: Effort) -> Finished:
    config = problems.write_config(problem, effort.folder, "many")
    usage = processes.truncflow(["run", config, "--force", "--quiet"], effort.folder)
    with h5py.File(effort.folder / "many.h5") as file:
        return Finished(
            usage=usage,
            solving=float(file.attrs["solving_seconds"]),
            mode=str(file.attrs["events_mode"]),
            events=int(file["events/s"].size),
            beta=file["trajectory/beta"][-1],
            R=file["trajectory/R"][-1],
            energy_balance=float(abs(file["trajectory/energy_balance"][()]).max()),
        )


def _row(name: str, run: Finished) -> dict[str, Cell]:
    return {
        "run": name,
        "mode": run.mode,
        "seconds": run.usage.wall,
        "solving and writing": run.solving,
        "processor seconds": run.usage.cpu,
        "peak MiB": run.usage.peak / MIB,
        "events": run.events,
        "microseconds/event": 1e6 * run.usage.wall / max(run.events, 1),
        "|D(s)|": run.energy_balance,
    }
