"""How a run of the `separated` flow is put together: a solver for each layer, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from truncflow_cli.flows.frozen import FrozenLayer
from truncflow_cli.flows.points import layer_points
from truncflow_cli.flows.separated import MAX_ORDER, LayerFlow
from truncflow_cli.flows.separated_batched import BatchedLayerFlow
from truncflow_cli.flows.switching import run_switching
from truncflow_cli.kernels import chosen
from truncflow_cli.problem import Problem
from truncflow_cli.saved_state import Chunk, Saved
from truncflow_cli.solver.assemble import Assembler, never
from truncflow_cli.solver.loop import EventLoop
from truncflow_cli.solver.piece import ClosedForm, Solver
from truncflow_cli.solver.step_control import series_order, shortest_step

#: From this many surfaces on, ``events: auto`` steps over many crossings at once.
VERY_MANY = 2_000_000
#: Bytes for each point that a layer sees, and for each coordinate of it besides its position, as measured: indices,
#: patterns, near lists; for a coordinate in closed form.
_POINT, _COORDINATE, _FROZEN_COORDINATE = 70, 10, 54
#: Bytes of memory for each byte of the trajectory, when it is certified, as measured.
_CERTIFYING = 9


def events_mode(problem: Problem) -> str:
    """Return whether crossings are stepped over and located afterwards ("batched"), or each ends a step ("exact")."""
    settings = problem.settings
    wanted = settings.events == "batched" or (settings.events == "auto" and problem.x.size >= VERY_MANY)
    compiled = chosen(settings.backend) == "compiled"
    return "batched" if wanted and compiled and not settings.freeze_rotation else "exact"


def memory(problem: Problem, trajectory: int) -> int:
    """Return about how many bytes a run takes besides the program, with so many of trajectory; see ``resources``."""
    layers, points = problem.n_layers, problem.x.nbytes + problem.cluster.nbytes
    coordinate = _FROZEN_COORDINATE if problem.settings.freeze_rotation else _COORDINATE
    solver = len(problem.x) * layers * (_POINT + problem.dim * coordinate)
    held = points if layers == 1 else (1 + layers) * points  # a single layer has the points themselves
    return held + solver + _CERTIFYING * trajectory


def solve_separated(
    problem: Problem,
    saved: Saved | None = None,
    due: Callable[[], bool] = never,
    take_points: bool = False,
) -> Iterator[Chunk]:
    """See ``solver.solve``."""
    make = frozen_solver if problem.settings.freeze_rotation else layer_solver
    switching = problem.settings.on_separation_lost == "switch"
    # With several layers, each has an order and a mean of its own.
    in_place = take_points and problem.n_layers == 1 and not switching

    def layers() -> list[Solver]:
        return [make(problem, layer, in_place=in_place) for layer in range(problem.n_layers)]

    if switching:
        return run_switching(problem, layers, saved, due)
    return Assembler(problem, layers(), saved).run(due)


def frozen_solver(problem: Problem, layer: int, *, in_place: bool = False) -> ClosedForm:
    """Return the closed form of layer ``layer`` of the `separated` flow with R fixed; see ``layer_points``."""
    points, s_end = layer_points(problem, layer, in_place=in_place), problem.settings.s_end
    flow = FrozenLayer(points, problem.R0[layer], problem.beta0[layer])
    return ClosedForm(flow, flow.counters, flow.events(s_end), s_end)


def layer_solver(problem: Problem, layer: int, *, in_place: bool = False) -> EventLoop:
    """Return the solver of layer ``layer`` of the `separated` flow; see ``layer_points``."""
    settings = problem.settings
    own = problem.x if problem.n_clusters == 1 else problem.x[problem.cluster == layer]
    order = series_order(own, problem.beta0[layer], problem.y_tilde[layer], MAX_ORDER)
    del own  # of very many points there should not be another copy
    batched = events_mode(problem) == "batched" and order == MAX_ORDER
    make = BatchedLayerFlow if batched else partial(LayerFlow, order=order, backend=chosen(settings.backend))
    flow = make(
        layer_points(problem, layer, in_place=in_place),
        problem.R0[layer],
        problem.beta0[layer],
        rtol=settings.rtol,
        atol=settings.atol,
        printed=problem.equations == "printed",
    )
    return EventLoop(flow, settings.s_end, shortest=shortest_step(settings.s_end, order, MAX_ORDER))
