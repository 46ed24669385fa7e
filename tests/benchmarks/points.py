"""Cost of an event against the number of points: moments make it nearly flat."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.benchmarks import ours, problems
from tests.benchmarks.effort import Effort
from tests.benchmarks.ours import Ours
from tests.benchmarks.tables import Cell, Table
from tests.benchmarks.timing import Spread, Timed, take_turns

TITLE = "Flat in N: cost of an event"

DIM = 10
RTOL = 1e-9
#: What the others are compared with.
BASE = 1000


def measure(effort: Effort) -> Iterator[Table]:
    """Yield the tables."""
    long = effort.pick((100, 1000, 10_000), (100, 1000))
    yield _table(long, effort.pick(3.0, 1.0), effort.runs)
    short = effort.pick((1000, 10_000, 100_000), (1000, 10_000))
    yield _table(short, 0.1, effort.runs)


def _table(sizes: tuple[int, ...], s_end: float, runs: int) -> Table:
    ours.run(problems.separated(BASE, DIM, 0.01))
    solvers = {
        str(size): partial(ours.run, problems.separated(size, DIM, s_end, rtol=RTOL)) for size in sizes
    }
    timed = take_turns(solvers, runs)
    base = _cost(timed[str(BASE)])
    rows = [_row(size, timed[str(size)], base) for size in sizes]
    return Table(f"Q = {DIM}, s_end = {s_end:g}, rtol {RTOL:g}, one cluster", rows)


def _cost(one: Timed[Ours]) -> Spread:
    return one.seconds.times(1e6 / max(one.result.events, 1))


def _row(size: int, one: Timed[Ours], base: Spread) -> dict[str, Cell]:
    return {
        "N": f"{size:,}",
        "events": one.result.events,
        "seconds": one.seconds,
        "microseconds/event": _cost(one),
        f"ratio to N = {BASE}": _cost(one).over(base) if size != BASE else None,
        **one.result.work(),
    }
