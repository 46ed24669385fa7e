"""`general`: three layers that all see three clusters, against the same peers on the whole network's loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tests.benchmarks import ours, problems
from tests.benchmarks.effort import Effort
from tests.benchmarks.ours import Ours
from tests.benchmarks.peers import diffrax_peer, restarted, scipy_peer
from tests.benchmarks.peers.solution import Solution, distance
from tests.benchmarks.tables import Cell, Table
from tests.benchmarks.timing import Spread, Timed, ratio, take_turns
from truncflow_cli.problem import Problem

TITLE = "General flow: ratio to diffrax and SciPy"

DIM, LAYERS = 3, 3
RTOL = 1e-9
PEER_TOLERANCE = 1e-8
JUDGE_RTOL, JUDGE_ATOL = 1e-13, 1e-15
OWN = "truncflow"
#: Start, its seed, the distance of the clusters from 0 and their width, s_end (full, quick).
STARTS = (
    ("clusters apart", 2, 2.0, 0.5, 0.1, 0.02),
    ("everything normal", 1, 0.0, 1.0, 0.1, 0.02),
    ("clusters apart, points slide", 1, 2.0, 0.5, 0.1, 0.05),
)


def measure(effort: Effort) -> Iterator[Table]:
    """Yield a table for each start."""
    size = effort.pick(1000, 100)
    for name, seed, apart, spread, full, quick in STARTS:
        s_end = effort.pick(full, quick)
        problem = problems.general(size, DIM, LAYERS, s_end, seed=seed, apart=apart, spread=spread)
        yield _table(
            f"{name}: N = {DIM} x {size}, Q = {DIM}, L = {LAYERS}, s_end = {s_end:g}", problem, effort
        )


def _table(title: str, problem: Problem, effort: Effort) -> Table:
    limit = effort.peer_seconds
    ours.run(problem, 0.0)
    compiled = diffrax_peer.Compiled(problem, PEER_TOLERANCE, PEER_TOLERANCE)
    contestants: dict[str, Callable[[], Ours | Solution]] = {
        OWN: partial(ours.run, problems.to(problem, rtol=RTOL), limit),
        "diffrax Dopri8, autodiff": partial(compiled.solve, limit),
        "SciPy DOP853, plain field": partial(
            scipy_peer.solve, problem, "DOP853", PEER_TOLERANCE, PEER_TOLERANCE, limit
        ),
        "SciPy LSODA, plain field": partial(
            scipy_peer.solve, problem, "LSODA", PEER_TOLERANCE, PEER_TOLERANCE, limit
        ),
    }
    timed: dict[str, Timed[Ours | Solution]] = take_turns(contestants, effort.runs, limit)
    own = timed[OWN]
    assert isinstance(own.result, Ours)
    judge, judged_by = _judge(problem, own.result)
    rows = [_row(name, one, own.seconds, judge) for name, one in timed.items()]
    work = ", ".join(
        f"{value:.3g} {name}" for name, value in own.result.work().items() if isinstance(value, float)
    )
    milliseconds = 1e3 * own.seconds.median / max(own.result.events, 1)
    return Table(
        title,
        rows,
        [
            f"{own.result.events:,} events, {own.result.pins:,} of them pins; truncflow: {milliseconds:.3g} ms/event, "
            f"{work}.",
            f"truncflow at rtol {RTOL:g}, peers at rtol = atol = {PEER_TOLERANCE:g}, cut off after {limit:g} s each "
            "(the ratio is then a lower bound).",
            f"error: greatest difference of beta and R at the end from {judged_by}.",
            f"Not counted: {compiled.compile_seconds:.1f} s in which JAX compiles.",
        ],
    )


def _judge(problem: Problem, own: Ours) -> tuple[Ours | Solution, str]:
    """Return the end state that all are measured against, and what it is."""
    judge = restarted.Restarted(problem, JUDGE_RTOL, JUDGE_ATOL)
    try:
        return judge.solve(), f"DOP853 restarted at {judge.events:,} located events, rtol {JUDGE_RTOL:g}"
    except restarted.PinnedError as error:
        return own, f"truncflow (the judge cannot slide: {error})"


def _row(name: str, timed: Timed[Ours | Solution], own: Spread, judge: Ours | Solution) -> dict[str, Cell]:
    result = timed.result
    if isinstance(result, Ours):
        steps, evaluations = result.counters["steps"], result.counters["orders"]
    else:
        steps, evaluations = result.steps, result.evaluations
    both = result.finished and judge.finished and result is not judge
    return {
        "solver": name,
        "seconds": timed.seconds,
        "ratio": None if name == OWN else ratio(timed.seconds, own),
        "steps": steps,
        "evaluations": evaluations,
        "reached s": "end" if result.finished else f"{result.s:.3g}",
        "error": distance(result.beta, result.R, judge.beta, judge.R) if both else None,
    }
