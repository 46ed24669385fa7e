"""Peak memory of a run against its points and its events."""

from __future__ import annotations

from collections.abc import Iterator

import h5py

from tests.benchmarks import problems, processes
from tests.benchmarks.effort import Effort
from tests.benchmarks.processes import MIB
from tests.benchmarks.tables import Cell, Table

TITLE = "Memory: peak against points and events"

DIM = 10
#: N and s_end.
FULL = ((10_000, 0.3), (10_000, 3.0), (100_000, 0.02), (100_000, 0.1), (100_000, 3.0), (1_000_000, 0.001))
QUICK = ((10_000, 0.1), (100_000, 0.01))
#: What is wanted: 1.5 times the data and this much.
ALLOWANCE = 200


def measure(effort: Effort) -> Iterator[Table]:
    """Yield the table."""
    nothing = problems.write_config(problems.separated(40, 2, 0.1), effort.folder, "nothing")
    base = processes.truncflow(["run", nothing, "--force", "--quiet"], effort.folder).peak
    rows = [_row(size, s_end, effort) for size, s_end in effort.pick(FULL, QUICK)]
    yield Table(
        f"truncflow run, one cluster, Q = {DIM}",
        rows,
        [
            "data: the points, data/x of the run file (8 Q N bytes).",
            f"allowed: 1.5 times the data and {ALLOWANCE} MiB. A run of 40 points takes {base / MIB:.0f} MiB.",
        ],
    )


def _row(size: int, s_end: float, effort: Effort) -> dict[str, Cell]:
    problem = problems.separated(size, DIM, s_end, rtol=1e-9, events="exact")
    config = problems.write_config(problem, effort.folder, "memory")
    usage = processes.truncflow(["run", config, "--force", "--quiet"], effort.folder)
    path = effort.folder / "memory.h5"
    with h5py.File(path) as file:
        events = int(file["events/s"].size)
    data = problem.x.nbytes / MIB
    peak, allowed = usage.peak / MIB, 1.5 * data + ALLOWANCE
    row: dict[str, Cell] = {
        "N": f"{size:,}",
        "s_end": s_end,
        "events": events,
        "data MiB": data,
        "peak MiB": peak,
        "allowed MiB": allowed,
        "within": peak <= allowed,
        "run file MiB": path.stat().st_size / MIB,
        "seconds": usage.wall,
    }
    path.unlink()
    return row
