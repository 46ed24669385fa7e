"""A peer as a whole command: ``python -m tests.benchmarks.peers.commands PEER PROBLEM.npz TOLERANCE SECONDS``.

PEER is ``diffrax``, ``DOP853`` or ``LSODA``. Prints "end", or the flow time reached after so many seconds.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import numpy as np

from tests.benchmarks.peers.solution import Solution
from truncflow_cli.config.schema import Integrator as Settings
from truncflow_cli.problem import Problem

#: What is not an array of a problem.
OTHERS = ("flow", "equations", "settings", "point_weights")
ARRAYS = [field.name for field in fields(Problem) if field.name not in OTHERS]


def write_problem(problem: Problem, path: Path) -> Path:
    """Write what a peer needs of a problem, and return the path."""
    arrays = {name: getattr(problem, name) for name in ARRAYS}
    np.savez(path, flow=problem.flow, s_end=problem.settings.s_end, **arrays)
    return path


def read_problem(path: Path) -> Problem:
    """Return a problem that ``write_problem`` has written."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in ARRAYS}
        settings = Settings(s_end=float(stored["s_end"]))
        return Problem(flow=str(stored["flow"]), equations="exact", settings=settings, **arrays)


def solve(peer: str, problem: Problem, tolerance: float, seconds: float) -> Solution:
    """Let a peer solve a problem."""
    if peer == "diffrax":
        from tests.benchmarks.peers import diffrax_peer

        return diffrax_peer.Compiled(problem, tolerance, tolerance).solve(seconds)
    from tests.benchmarks.peers import scipy_peer

    return scipy_peer.solve(problem, peer, tolerance, tolerance, seconds)


def main(peer: str, path: str, tolerance: str, seconds: str) -> None:
    solution = solve(peer, read_problem(Path(path)), float(tolerance), float(seconds))
    sys.stdout.write("end\n" if solution.finished else f"{solution.s:.3g}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
