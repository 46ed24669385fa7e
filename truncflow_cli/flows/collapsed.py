"""The flow of section 8: standard loss, clusters already collapsed to the points −β^(ℓ).

State B = [β^(1) … β^(C)] (Q, C) and W = W_{Q+1} (Q, Q), with Y = [y_1 … y_C] and E = W B + Y:

    C̃ = ½ ‖E‖²,    ∂_s B = −Wᵀ E,    ∂_s W = −E Bᵀ                                       (8.2), (8.6), (8.7)

`collapsed_step` solves it; here its steps become samples and events. Where the problem has points and a layer
for each cluster, hypothesis (8.1) is watched: the instant at which cluster ℓ is no longer wholly mapped to
−β^(ℓ) is an `uncollapse`, its return a `collapse`. The equations go on either way, unless the run is to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from truncflow_cli.errors import RunFailed
from truncflow_cli.flows.collapse_watch import Row, watch
from truncflow_cli.flows.collapsed_step import Path, State, steps
from truncflow_cli.model.chunk import Chunk
from truncflow_cli.model.events import Kind, event_log
from truncflow_cli.model.problem import Array, Problem

#: Entries of B that one chunk has samples of, which bounds the memory of the step's evaluation too.
CHUNK_ENTRIES = 30_000


@dataclass(frozen=True)
class Piece:
    """A stretch of the run, from where the last one ended.

    Attributes:
        stop: flow time at its end.
        at: the solution at times in it.
        rows: its events.
        sweeps: fixed-point sweeps it took.
    """

    stop: float
    at: Callable[[Array], Path]
    rows: list[Row] = field(default_factory=list)
    sweeps: int = 0


def slopes(B: Array, W: Array, Y: Array) -> tuple[Array, Array]:
    """Return ∂_s B (Q, C) and ∂_s W (Q, Q) of (8.6), (8.7) for B (Q, C), W (Q, Q) and labels Y (Q, C)."""
    E = W @ B + Y
    return -W.T @ E, -E @ B.T


def loss(B: Array, W: Array, Y: Array) -> float:
    """Return C̃ = ½ ‖W B + Y‖² of (8.2) for B (Q, C), W (Q, Q) and labels Y (Q, C)."""
    return 0.5 * float(np.sum((W @ B + Y) ** 2))


def invariant(B: Array, W: Array) -> Array:
    """Return the conserved I = B Bᵀ − WᵀW (..., Q, Q) of (8.21) for B (..., Q, C) and W (..., Q, Q)."""
    result: Array = B @ np.swapaxes(B, -1, -2) - np.swapaxes(W, -1, -2) @ W
    return result


def solve_collapsed(problem: Problem) -> Iterator[Chunk]:
    """Solve (8.6), (8.7) from B(0) = ``beta0``ᵀ and W(0) = ``W0``.

    Args:
        problem: y (C, Q), beta0 (C, Q), W0 (Q, Q); x, cluster and R0 to watch (8.1) with, or an x without
            rows. ``on_separation_lost: stop`` ends the run at the first `uncollapse`.

    Yields:
        Samples "s", "B" (T, Q, C), "W" (T, Q, Q), "loss", "loss_cluster" (T, C) and "energy_balance", and the
        events `rest`, `uncollapse` and `collapse`.

    Raises:
        RunFailed: the start overflows, there are too many events or no step size works.
    """
    settings, s_save, saved = problem.settings, problem.s_save, 0
    start = initial_state(problem)
    counters = {"steps": 0, "sweeps": 0, "events": 0}
    for piece in pieces(problem, start):
        lost = [row[0] for row in piece.rows if row[1] == Kind.UNCOLLAPSE]
        stopped = bool(lost) and settings.on_separation_lost == "stop"
        stop = lost[0] if stopped else piece.stop
        rows = [row for row in piece.rows if row[0] <= stop]
        times = s_save[saved : np.searchsorted(s_save, stop, side="right")]
        saved += times.size
        if stopped and s_save[saved - 1] < stop:
            times = np.append(times, stop)
        counters["steps"] += 1 if piece.sweeps else 0
        counters["sweeps"] += piece.sweeps
        counters["events"] += len(rows)
        if times.size or rows:
            yield from chunks(piece, times, stop, rows, start, counters)
        if counters["events"] > settings.max_events:
            raise RunFailed(f"more than max_events = {settings.max_events} events by s = {stop:.6g}", stop)
        if stopped:
            return


def initial_state(problem: Problem) -> State:
    """Return the state at s = 0; B (Q, C) has the biases as columns.

    Raises:
        RunFailed: the loss or the flow's rates overflow there.
    """
    B, W = problem.beta0.T.copy(), problem.W0.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        E = W @ B + problem.y.T
        scale = np.sum(E**2) + np.sum(W**2) ** 2 + np.sum(B**2) ** 2
    if not np.isfinite(scale):
        raise RunFailed("B, W or the labels are so large that the loss overflows at s = 0", 0.0)
    return State(0.0, B, W, E, 0.0)


def pieces(problem: Problem, start: State) -> Iterator[Piece]:
    """Yield the whole run: the instant s = 0, then its steps, or one piece if nothing moves."""

    def still(s: Array) -> Path:
        n = s.size
        B, W, E = (np.tile(M, (n, 1, 1)) for M in (start.B, start.W, start.E))
        return Path(B, W, E, np.zeros(n))

    watched = watch(problem.x, problem.cluster, problem.R0, problem.n_clusters)
    moves = any(np.any(slope) for slope in slopes(start.B, start.W, problem.y.T))
    rest: list[Row] = [] if moves else [(0.0, Kind.REST, -1, -1, -1, -1, -1)]
    s_end = problem.settings.s_end
    yield Piece(0.0, still, rest + watched.initial_events(start.B))
    if not moves:
        yield Piece(s_end, still)
        return
    for step in steps(start, problem.y.T, s_end, problem.settings.rtol):
        yield Piece(step.stop, step.at, watched.events(step), step.sweeps)


def chunks(
    piece: Piece, times: Array, stop: float, rows: list[Row], start: State, counters: dict[str, int]
) -> Iterator[Chunk]:
    """Yield the samples at ``times`` (T,) and the events ``rows``, in bounded chunks that end at ``stop``."""
    size = max(1, CHUNK_ENTRIES // start.B.size)
    loss0 = 0.5 * np.sum(start.E**2)
    for first in range(0, max(times.size, 1), size):
        block = times[first : first + size]
        upto = stop if first + size >= times.size else float(block[-1])
        path = piece.at(block)
        loss_cluster = 0.5 * np.sum(path.E**2, axis=1)
        total = loss_cluster.sum(axis=1)
        samples = {
            "s": block,
            "B": path.B,
            "W": path.W,
            "loss": total,
            "loss_cluster": loss_cluster,
            "energy_balance": loss0 - total - path.dissipated,
        }
        due, rows = [row for row in rows if row[0] <= upto], [row for row in rows if row[0] > upto]
        yield Chunk(upto, samples, event_log(due), dict(counters))
