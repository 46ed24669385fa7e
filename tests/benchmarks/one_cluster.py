"""One cluster against what one would write otherwise: autodiff or the plain field, and a general ODE solver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks import ours, problems, processes
from tests.benchmarks.effort import Effort
from tests.benchmarks.ours import Ours
from tests.benchmarks.peers import diffrax_peer, restarted, scipy_peer
from tests.benchmarks.peers.commands import write_problem
from tests.benchmarks.peers.solution import Solution, distance
from tests.benchmarks.tables import Cell, Table
from tests.benchmarks.timing import Spread, Timed, ratio, take_turns
from truncflow_cli.problem import Problem

TITLE = "One cluster: ratio to diffrax and SciPy"
NEEDS = ("jax", "diffrax")

SIZE, DIM = 1000, 10
RTOL = 1e-9
#: Of the peers, absolute and relative; the loosest with which their error is what anyone would still accept.
PEER_TOLERANCE = 1e-8
#: Of the peers where they are to be as accurate as truncflow.
TIGHT_TOLERANCE = 1e-10
#: Of the runs that the others are measured against.
JUDGE_RTOL, JUDGE_ATOL = 1e-13, 1e-15


def measure(effort: Effort) -> Iterator[Table]:
    """Yield the tables."""
    problem = problems.separated(SIZE, DIM, effort.pick(3.0, 0.1), rtol=RTOL)
    tight = ours.run(problems.to(problem, rtol=JUDGE_RTOL, atol=JUDGE_ATOL))
    judge = restarted.Restarted(problem, JUDGE_RTOL, JUDGE_ATOL)
    judged = take_turns({"judge": judge.solve}, 1)["judge"]
    exact = judged.result

    compiled = diffrax_peer.Compiled(problem, PEER_TOLERANCE, PEER_TOLERANCE)
    limit = effort.peer_seconds
    contestants: dict[str, Callable[[], Ours | Solution]] = {
        f"truncflow, rtol {RTOL:g}": partial(ours.run, problem),
        "diffrax Dopri8, autodiff": partial(compiled.solve, limit),
        "SciPy DOP853, plain field": partial(
            scipy_peer.solve, problem, "DOP853", PEER_TOLERANCE, PEER_TOLERANCE, limit
        ),
        "SciPy LSODA, plain field": partial(
            scipy_peer.solve, problem, "LSODA", PEER_TOLERANCE, PEER_TOLERANCE, limit
        ),
    }
    timed: dict[str, Timed[Ours | Solution]] = take_turns(contestants, effort.runs, limit)
    accurate = diffrax_peer.Compiled(problem, TIGHT_TOLERANCE, TIGHT_TOLERANCE)
    timed |= take_turns({"diffrax Dopri8, as accurate": partial(accurate.solve, limit)}, 1)
    timed["DOP853 restarted at events"] = Timed(judged.seconds, exact)

    own = next(iter(timed.values()))
    rows = [_row(name, one, own.seconds, exact, tight) for name, one in timed.items()]
    events = own.result.events if isinstance(own.result, Ours) else 0
    yield Table(
        f"Solver alone, warm: N = {SIZE}, Q = {DIM}, s_end = {problem.settings.s_end:g}, {events:,} events",
        rows,
        [
            f"ratio: seconds over truncflow's, turn by turn. Peers at rtol = atol = {PEER_TOLERANCE:g}; as accurate: "
            f"{TIGHT_TOLERANCE:g}; cut off after {limit:g} s.",
            f"error: greatest difference of beta and R at the end from DOP853 restarted at located events at rtol "
            f"{JUDGE_RTOL:g},",
            f"  and from truncflow at rtol {JUDGE_RTOL:g} ({judge.events:,} and {tight.events:,} events; these two "
            f"differ by {distance(exact.beta, exact.R, tight.beta, tight.R):.1e}).",
            f"Not counted: {compiled.compile_seconds:.1f} s in which JAX compiles the gradient and the solver.",
        ],
    )
    yield Table("Work of truncflow", [_work(own)])
    yield _commands(problem, effort)


def _row(
    name: str, timed: Timed[Ours | Solution], own: Spread, exact: Solution, tight: Ours
) -> dict[str, Cell]:
    result = timed.result
    row: dict[str, Cell] = {"solver": name, "seconds": timed.seconds}
    if isinstance(result, Ours):
        counters = result.counters
        row |= {
            "ratio": None,
            "steps": counters["steps"],
            "evaluations": counters["orders"],
            "reached s": "end",
        }
    else:
        row |= {
            "ratio": ratio(timed.seconds, own),
            "steps": result.steps,
            "evaluations": result.evaluations,
            "reached s": "end" if result.finished else f"{result.s:.3g}",
        }
        if not result.finished:
            return row
    row["error"] = distance(result.beta, result.R, exact.beta, exact.R) if result is not exact else None
    row["from tight run"] = distance(result.beta, result.R, tight.beta, tight.R)
    return row


def _work(own: Timed[Ours | Solution]) -> dict[str, Cell]:
    assert isinstance(own.result, Ours)
    events = own.result.events
    return {
        "events": events,
        "microseconds/event": own.seconds.times(1e6 / max(events, 1)),
        **own.result.work(),
        "|D(s)|": own.result.energy_balance,
    }


def _commands(problem: Problem, effort: Effort) -> Table:
    """The same as whole commands: start of the process, imports, compiling (JAX), solving, writing."""
    config = problems.write_config(problem, effort.folder, "one-cluster")
    stored = write_problem(problem, effort.folder / "one-cluster.npz")
    peer = ["-m", "tests.benchmarks.peers.commands"]
    options: list[str | Path] = [stored, str(PEER_TOLERANCE), str(effort.peer_seconds)]

    def truncflow() -> processes.Usage:
        return processes.truncflow(["run", config, "--force", "--quiet"], effort.folder)

    def diffrax() -> processes.Usage:
        return processes.python([*peer, "diffrax", *options], effort.folder)

    def scipy() -> processes.Usage:
        return processes.python([*peer, "DOP853", *options], effort.folder)

    truncflow()
    turns = take_turns(
        {"truncflow run": truncflow, "diffrax": diffrax, "SciPy DOP853": scipy},
        effort.runs,
        effort.peer_seconds / 2,
    )
    own = turns["truncflow run"]
    rows: list[dict[str, Cell]] = [
        {
            "command": name,
            "seconds": one.seconds,
            "ratio": None if one is own else ratio(one.seconds, own.seconds),
            "peak MiB": one.result.peak / processes.MIB,
            "reached s": "end" if one is own else one.result.output.strip(),
        }
        for name, one in turns.items()
    ]
    return Table("Whole commands, caches warm", rows)
