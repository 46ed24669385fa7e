"""SciPy's solvers on the plain field, which knows nothing of events: the quickest thing to write."""

from __future__ import annotations

import time

from scipy.integrate import DOP853, LSODA

from tests.benchmarks.peers.plain import network, pack, unpack, velocity
from tests.benchmarks.peers.solution import Solution
from truncflow_cli.problem import Problem

METHODS = {"DOP853": DOP853, "LSODA": LSODA}


def solve(problem: Problem, method: str, rtol: float, atol: float, seconds: float) -> Solution:
    """Integrate to the problem's end, or for so many seconds."""
    net = network(problem)
    solver = METHODS[method](
        lambda s, state: velocity(net, state),
        0.0,
        pack(problem.beta0, problem.R0),
        problem.settings.s_end,
        rtol=rtol,
        atol=atol,
    )
    stop = time.perf_counter() + seconds
    steps = 0
    while solver.status == "running" and time.perf_counter() < stop:
        solver.step()
        steps += 1
    beta, R = unpack(net, solver.y)
    return Solution(float(solver.t), beta, R, steps, int(solver.nfev), solver.status == "finished")
