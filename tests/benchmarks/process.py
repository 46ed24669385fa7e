"""The process itself: how long one waits for the program when there is little to solve, and for its installation."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.benchmarks import processes
from tests.benchmarks.effort import Effort
from tests.benchmarks.processes import MIB, Usage
from tests.benchmarks.tables import Cell, Table
from tests.benchmarks.timing import Spread
from truncflow_cli.kernels import compiling

TITLE = "The process: start-up, a small run, a report, compiling"

#: Two clusters of 40 points; what is not said is the default.
SMALL = {
    "flow": "separated",
    "clusters": [
        {"center": [2.0, 0.0], "shape": "ball", "radius": 0.5, "size": 40},
        {"center": [0.0, 2.0], "shape": "ball", "radius": 0.5, "size": 40},
    ],
    "initial": {"construct": "separated"},
    "integrator": {"s_end": 10.0},
    "output": "small.h5",
}
#: A line of ``python -X importtime``: own microseconds, with everything below it, depth, module.
IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|(\s*)(\S+)")
#: Modules that the profile names.
NAMED = 15


def measure(effort: Effort) -> Iterator[Table]:
    """Yield the tables."""
    config = effort.folder / "small.yaml"
    config.write_text(yaml.safe_dump(SMALL))
    run = ["-m", "truncflow_cli", "run", "small.yaml", "--force", "--quiet"]
    commands: dict[str, list[str | Path]] = {
        "python -c pass": ["-c", "pass"],
        "python -c 'import numpy'": ["-c", "import numpy"],
        "truncflow --version": ["-m", "truncflow_cli", "--version"],
        "truncflow --help": ["-m", "truncflow_cli", "--help"],
        "truncflow run (2 x 40 points)": [*run],
        "truncflow report": ["-m", "truncflow_cli", "report", "small.h5"],
        "truncflow check": ["-m", "truncflow_cli", "check", "small.yaml"],
    }
    for command in commands.values():  # fills the caches; report needs the run file
        processes.python(command, effort.folder)
    usages: dict[str, list[Usage]] = {name: [] for name in commands}
    for _ in range(effort.runs):
        for name, command in commands.items():
            usages[name].append(processes.python(command, effort.folder))
    yield Table("Warm, whole processes", [_row(name, taken) for name, taken in usages.items()])
    yield _compiling()
    yield _imports(run, effort)


def _row(name: str, taken: list[Usage]) -> dict[str, Cell]:
    return {
        "command": name,
        "seconds": Spread(tuple(one.wall for one in taken)),
        "processor seconds": Spread(tuple(one.cpu for one in taken)),
        "peak MiB": max(one.peak for one in taken) / MIB,
    }


def _compiling() -> Table:
    """What compiling the inner loops takes, which is done once, when the program is installed."""
    start = time.perf_counter()
    made = compiling.compile_libraries()
    rows: list[dict[str, Cell]] = [
        {
            "command": "python -m truncflow_cli.kernels.compiling",
            "seconds": time.perf_counter() - start,
            "builds": len(made),
            "MiB": sum(path.stat().st_size for path in made) / MIB,
        }
    ]
    return Table("Compiling, once, when the program is installed; a first run compiles nothing", rows)


def _imports(run: list[str], effort: Effort) -> Table:
    """Where the time of the small run's imports goes: the packages, by their own time."""
    errors = processes.python(["-X", "importtime", *run], effort.folder).errors
    own: dict[str, float] = {}
    count: dict[str, int] = {}
    for line in errors.splitlines():
        if match := IMPORT.match(line):
            package = (
                ".".join(match[4].split(".")[:2]) if match[4].startswith("scipy.") else match[4].split(".")[0]
            )
            own[package] = own.get(package, 0.0) + int(match[1]) / 1000
            count[package] = count.get(package, 0) + 1
    ranked = sorted(own, key=lambda package: -own[package])[:NAMED]
    rows: list[dict[str, Cell]] = [
        {"package": package, "milliseconds": own[package], "modules": count[package]} for package in ranked
    ]
    rows.append({"package": "all", "milliseconds": sum(own.values()), "modules": sum(count.values())})
    return Table("Imports of the small run (python -X importtime, which slows them down)", rows)
