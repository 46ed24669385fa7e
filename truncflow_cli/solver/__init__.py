"""From a Problem to its trajectory: event location, sliding, and the loop over smooth pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Problem
from truncflow_cli.saved_state import Chunk, State

__all__ = ["solve"]


def solve(
    problem: Problem,
    resume: State | None = None,
    due: Callable[[], bool] = lambda: False,
    take_points: bool = False,
) -> Iterator[Chunk]:
    """Integrate ``problem`` to its ``s_end``, handing out samples and events as they are found.

    The first chunk holds the sample and the events at s = 0; the iterator ends when the run is complete. What is
    handed out, all chunks taken together, does not depend on where one ends and the next begins.

    Args:
        problem: what to solve.
        resume: what ``Chunk.state`` of an earlier run of the same problem has returned: the run goes on after that
            chunk, and gives bit for bit what it would have given. A larger ``s_end``, with saved times that begin with
            the earlier ones, extends a run that had ended.
        due: asked after each step whether a chunk is wanted at once, however little there is to hand out.
        take_points: whether the solver may use the array ``problem.x`` for itself, where a copy would be large: what
            is in it then means nothing to anybody else.

    Raises:
        RunFailed: the integration cannot go on; everything up to there has been yielded before.
        UserError: the problem asks for something that its flow does not offer, or ``resume`` does not fit it.
    """
    from truncflow_cli.saved_state import Saved
    from truncflow_cli.solver.assemble import only_finite

    solve_flow = flow_named(problem.flow).solver()
    yield from only_finite(solve_flow(problem, None if resume is None else Saved(resume), due, take_points))
