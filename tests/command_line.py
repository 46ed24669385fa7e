"""The command line as a process, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: Two clusters in the plane whose truncations stay cluster separated; solved in a moment.
SMALL_CONFIG = """\
flow: separated
clusters:
  - {center: [2.0, 0.0], shape: ball, radius: 0.5, size: 12}
  - {center: [0.0, 2.0], shape: ball, radius: 0.5, size: 9}
initial: {construct: separated}
integrator: {s_end: 2.0, rtol: 1.0e-8}
save: {count: 21}
"""

#: Runs the command line with a solver that never ends: a sample and an event at each s = 0, 1, 2, ...
_ENDLESS = """\
import sys, time
import truncflow_cli.solver
from run_file_samples import endless_chunks
def solve(problem, *_):
    for chunk in endless_chunks(problem):
        yield chunk
        time.sleep(0.002)
        {then}
truncflow_cli.solver.solve = solve
from truncflow_cli.cli.app import main
main()
"""


def environment() -> dict[str, str]:
    """Return the environment in which the command finds this checkout and the tests' helpers."""
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def command(*arguments: str) -> list[str]:
    """Return the command ``truncflow`` with arguments."""
    return [sys.executable, "-m", "truncflow_cli", *arguments]


def endless_command(*arguments: str, then: str = "pass") -> list[str]:
    """Return the command with a solver that does not end by itself; ``then`` is done after each chunk."""
    return [sys.executable, "-c", _ENDLESS.format(then=then), *arguments]


def truncflow(*arguments: str, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command to its end and return its output."""
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment(), capture_output=True, text=True, timeout=60, **options
    )
