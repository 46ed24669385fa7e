"""Runs that are stopped, and go on from a saved state."""

from __future__ import annotations

import numpy as np

from truncflow_cli import solver
from truncflow_cli.errors import RunFailed
from truncflow_cli.problem import Problem
from truncflow_cli.runfile.checkpoint import packed, unpacked
from truncflow_cli.saved_state import Chunk, State


def outcome(chunks: list[Chunk], failure: RunFailed | None) -> dict[str, object]:
    sampled = [chunk.samples for chunk in chunks if chunk.samples]
    samples = {name: np.concatenate([part[name] for part in sampled]).tobytes() for name in sampled[0]}
    return {
        **samples,
        "events": np.concatenate([chunk.events for chunk in chunks]).tobytes(),
        "counters": chunks[-1].counters,
        "switched_at": chunks[-1].switched_at,
        "failure": None if failure is None else (str(failure), failure.s),
    }


def undisturbed(problem: Problem) -> dict[str, object]:
    chunks: list[Chunk] = []
    try:
        for chunk in solver.solve(problem):
            chunks.append(chunk)
    except RunFailed as failure:
        return outcome(chunks, failure)
    return outcome(chunks, None)


def stopped_again_and_again(
    problem: Problem, chance: np.random.Generator, odds: float
) -> tuple[dict[str, object], int]:
    """Run with a chunk at each step, and go on in a new solver from what one has saved, as often as chance will."""
    chunks: list[Chunk] = []
    state: State | None = None
    stops = 0
    while True:
        try:
            for chunk in solver.solve(problem, state, lambda: True):
                chunks.append(chunk)
                if chunk.state is not None and chance.random() < odds:
                    state = unpacked(packed(chunk.state()))
                    stops += 1
                    break
            else:
                return outcome(chunks, None), stops
        except RunFailed as failure:
            return outcome(chunks, failure), stops
