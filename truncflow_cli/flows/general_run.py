"""How a run of the `general` flow is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from truncflow_cli.flows.general import MAX_ORDER, GeneralFlow
from truncflow_cli.flows.points import network_points
from truncflow_cli.kernels import chosen
from truncflow_cli.problem import Problem
from truncflow_cli.saved_state import Chunk, Saved
from truncflow_cli.solver.assemble import Assembler, never
from truncflow_cli.solver.loop import EventLoop
from truncflow_cli.solver.step_control import series_order, shortest_step

#: Bytes for each coordinate of a point and layer, which keeps its series, as measured.
_COORDINATE = 380
#: Bytes of memory for each byte of the trajectory, when it is certified, as measured.
_CERTIFYING = 9


def memory(problem: Problem, trajectory: int) -> int:
    """Return about how many bytes a run takes besides the program, with so many of trajectory; see ``resources``."""
    points = problem.x.nbytes + problem.cluster.nbytes
    return 2 * points + problem.x.size * problem.n_layers * _COORDINATE + _CERTIFYING * trajectory


def solve_general(
    problem: Problem,
    saved: Saved | None = None,
    due: Callable[[], bool] = never,
    take_points: bool = False,
) -> Iterator[Chunk]:
    """See ``solver.solve``."""
    return Assembler(problem, [general_solver(problem)], saved).run(due)


def general_solver(problem: Problem) -> EventLoop:
    """Return the solver of the `general` flow, all layers at once."""
    settings = problem.settings
    order = series_order(problem.x, problem.beta0, problem.y_tilde, MAX_ORDER)
    flow = GeneralFlow(
        network_points(problem),
        problem.R0,
        problem.beta0,
        rtol=settings.rtol,
        atol=settings.atol,
        order=order,
        backend=chosen(settings.backend),
    )
    return EventLoop(flow, settings.s_end, shortest=shortest_step(settings.s_end, order, MAX_ORDER))
