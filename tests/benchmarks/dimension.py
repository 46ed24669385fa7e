"""Cost of an event and of a step against the dimension."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tests.benchmarks import ours, problems
from tests.benchmarks.effort import Effort
from tests.benchmarks.ours import Ours
from tests.benchmarks.peers import scipy_peer
from tests.benchmarks.peers.solution import Solution, distance
from tests.benchmarks.tables import Cell, Table
from tests.benchmarks.timing import Timed, ratio, take_turns

TITLE = "Dimension: cost of an event and of a step"

SIZE = 1000
RTOL = 1e-9
PEER_TOLERANCE = 1e-8
#: Q and s_end, chosen for some thousand events at most.
FULL = ((2, 3.0), (10, 1.0), (30, 0.1), (100, 0.002))
QUICK = ((2, 1.0), (10, 0.1), (30, 0.01), (100, 0.0005))


def measure(effort: Effort) -> Iterator[Table]:
    """Yield the table."""
    rows = [_row(dim, s_end, effort) for dim, s_end in effort.pick(FULL, QUICK)]
    yield Table(
        f"N = {SIZE}, one cluster, rtol {RTOL:g}",
        rows,
        [
            f"DOP853: SciPy on the plain field at rtol = atol = {PEER_TOLERANCE:g}, cut off after "
            f"{effort.peer_seconds / len(FULL):.3g} s: the ratio is then at least what it had cost by then.",
            "error: its greatest difference of beta and R at the end from truncflow.",
        ],
    )


def _row(dim: int, s_end: float, effort: Effort) -> dict[str, Cell]:
    problem = problems.separated(SIZE, dim, s_end, rtol=RTOL)
    ours.run(problems.to(problem, s_end=1e-3 * s_end))
    limit = effort.peer_seconds / len(FULL)
    contestants: dict[str, Callable[[], Ours | Solution]] = {
        "ours": partial(ours.run, problem),
        "peer": partial(scipy_peer.solve, problem, "DOP853", PEER_TOLERANCE, PEER_TOLERANCE, limit),
    }
    timed: dict[str, Timed[Ours | Solution]] = take_turns(contestants, effort.runs, limit)
    own, peer = timed["ours"].result, timed["peer"].result
    assert isinstance(own, Ours)
    assert isinstance(peer, Solution)
    seconds = timed["ours"].seconds
    return {
        "Q": str(dim),
        "s_end": s_end,
        "events": own.events,
        "seconds": seconds,
        "microseconds/event": seconds.times(1e6 / max(own.events, 1)),
        "microseconds/step": seconds.times(1e6 / own.counters["steps"]),
        "expansions/event": own.work()["expansions/event"],
        "candidates/event": own.work()["candidates/event"],
        "DOP853, seconds": timed["peer"].seconds,
        "ratio": ratio(timed["peer"].seconds, seconds) if peer.finished else None,
        "at least": None if peer.finished else timed["peer"].seconds.median / seconds.median,
        "reached s": "end" if peer.finished else f"{peer.s:.3g}",
        "error": distance(peer.beta, peer.R, own.beta, own.R) if peer.finished else None,
    }
