"""Runs of truncflow's own solver in this process."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.peers.solution import Array
from tests.benchmarks.tables import Cell
from truncflow_cli.events import Kind
from truncflow_cli.problem import Problem
from truncflow_cli.solver import solve

#: Events that change the field; the others only watch.
CROSSINGS = (Kind.TRUNCATE, Kind.RELEASE, Kind.PIN, Kind.UNPIN)


@dataclass(frozen=True)
class Ours:
    """A run's end and its work.

    Attributes:
        beta: (L, Q) at the end.
        R: (L, Q, Q) at the end.
        energy_balance: greatest |D(s)| of the saved times.
        kinds: number of events of each kind.
        counters: the solver's work.
        s: flow time reached.
        finished: whether that is the end; if not, beta and R are those of the last saved time.
    """

    beta: Array
    R: Array
    energy_balance: float
    kinds: NDArray[np.int64]
    counters: dict[str, int]
    s: float
    finished: bool

    @property
    def events(self) -> int:
        """Number of events that change the field."""
        return int(sum(self.kinds[kind] for kind in CROSSINGS))

    @property
    def pins(self) -> int:
        """Number of points that were pinned."""
        return int(self.kinds[Kind.PIN])

    def work(self) -> dict[str, Cell]:
        """Return the work of each kind for each event."""
        per = {name: self.counters.get(name, 0) / max(self.events, 1) for name in self.counters}
        return {
            "steps/event": per["steps"],
            "expansions/event": per["orders"],
            "candidates/event": per["candidates"],
            "roots/event": per["roots"],
            "refreshes/event": per["refreshes"],
        }


def run(problem: Problem, seconds: float = math.inf) -> Ours:
    """Solve a problem, for so many seconds at most; nothing is kept but its end."""
    stop = time.perf_counter() + seconds
    balance, kinds = 0.0, np.zeros(len(Kind), np.int64)
    for chunk in solve(problem):
        if chunk.samples:
            samples = chunk.samples
            balance = max(balance, float(np.abs(samples["energy_balance"]).max()))
        kinds += np.bincount(chunk.events["kind"], minlength=len(Kind))
        if time.perf_counter() > stop:
            break
    return Ours(
        beta=samples["beta"][-1].copy(),
        R=samples["R"][-1].copy(),
        energy_balance=balance,
        kinds=kinds,
        counters=dict(chunk.counters),
        s=chunk.s,
        finished=chunk.s >= problem.settings.s_end,
    )
