"""Which solvers a problem needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from truncflow_cli.chunk import Chunk
from truncflow_cli.flows import general, separated
from truncflow_cli.flows.clustered import solve_clustered
from truncflow_cli.flows.collapsed import solve_collapsed
from truncflow_cli.flows.frozen import FrozenLayer
from truncflow_cli.flows.general import GeneralFlow
from truncflow_cli.flows.general_data import general_data
from truncflow_cli.flows.layer_data import layer_data
from truncflow_cli.flows.separated import LayerFlow
from truncflow_cli.flows.separated_batched import BatchedLayerFlow
from truncflow_cli.problem import Problem
from truncflow_cli.saved_state import Saved, State
from truncflow_cli.solver.assemble import never, run_layers
from truncflow_cli.solver.closed_form import ClosedForm
from truncflow_cli.solver.loop import Solver
from truncflow_cli.solver.overflow_guard import series_order, shortest_step
from truncflow_cli.solver.switching import run_switching


def solve_flow(
    problem: Problem,
    resume: State | None = None,
    due: Callable[[], bool] = never,
    take_points: bool = False,
) -> Iterator[Chunk]:
    """See ``solver.solve``."""
    saved = None if resume is None else Saved(resume)
    if problem.flow == "collapsed":
        return solve_collapsed(problem, saved, due)
    if problem.flow == "clustered":
        return solve_clustered(problem, saved)
    if problem.flow == "general":
        return run_layers(problem, [general_solver(problem)], saved, due)
    make = frozen_solver if problem.settings.freeze_rotation else layer_solver
    switching = problem.settings.on_separation_lost == "switch"
    # With several layers, each has an order and a mean of its own.
    in_place = take_points and problem.n_layers == 1 and not switching

    def layers() -> list[Solver | ClosedForm]:
        return [make(problem, layer, in_place=in_place) for layer in range(problem.n_layers)]

    if switching:
        return run_switching(problem, layers, general_solver, saved, due)
    return run_layers(problem, layers(), saved, due)


def frozen_solver(problem: Problem, layer: int, *, in_place: bool = False) -> ClosedForm:
    """Return the closed form of layer ``layer`` of the `separated` flow with R fixed; see ``layer_data``."""
    flow = FrozenLayer(layer_data(problem, layer, in_place=in_place), problem.R0[layer], problem.beta0[layer])
    return ClosedForm(flow, problem.settings.s_end)


def layer_solver(problem: Problem, layer: int, *, in_place: bool = False) -> Solver:
    """Return the solver of layer ``layer`` of the `separated` flow; see ``layer_data``."""
    settings = problem.settings
    most = separated.MAX_ORDER
    own = problem.x if problem.n_clusters == 1 else problem.x[problem.cluster == layer]
    order = series_order(own, problem.beta0[layer], problem.y_tilde[layer], most)
    del own  # of very many points there should not be another copy
    make = BatchedLayerFlow if problem.batched and order == most else partial(LayerFlow, order=order)
    flow = make(
        layer_data(problem, layer, in_place=in_place),
        problem.R0[layer],
        problem.beta0[layer],
        rtol=settings.rtol,
        atol=settings.atol,
        printed=problem.equations == "printed",
    )
    return Solver(flow, settings.s_end, shortest=shortest_step(settings.s_end, order, most))


def general_solver(problem: Problem) -> Solver:
    """Return the solver of the `general` flow, all layers at once."""
    settings = problem.settings
    order = series_order(problem.x, problem.beta0, problem.y_tilde, general.MAX_ORDER)
    flow = GeneralFlow(
        general_data(problem),
        problem.R0,
        problem.beta0,
        rtol=settings.rtol,
        atol=settings.atol,
        order=order,
    )
    return Solver(flow, settings.s_end, shortest=shortest_step(settings.s_end, order, general.MAX_ORDER))
