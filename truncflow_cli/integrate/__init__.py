"""From a Problem to its trajectory: event location, sliding, and the loop over smooth pieces."""

from __future__ import annotations

from collections.abc import Iterator

from truncflow_cli.model.chunk import Chunk
from truncflow_cli.model.problem import Problem

__all__ = ["solve"]


def solve(problem: Problem) -> Iterator[Chunk]:
    """Integrate ``problem`` from s = 0 to its ``s_end``, handing out samples and events as they are found.

    The first chunk holds the sample and the events at s = 0; the iterator ends when the run is complete.

    Raises:
        RunFailed: the integration cannot go on; everything up to there has been yielded before.
        UserError: the problem asks for something that its flow does not offer.
    """
    from truncflow_cli.integrate.dispatch import solve_flow

    yield from solve_flow(problem)
