"""The flow of section 8: standard loss, clusters already collapsed to the points −β^(ℓ).

State B = [β^(1) … β^(C)] (Q, C) and W = W_{Q+1} (Q, Q), with Y = [y_1 … y_C] and E = W B + Y:

    C̃ = ½ ‖E‖²,    ∂_s B = −Wᵀ E,    ∂_s W = −E Bᵀ                                       (8.2), (8.6), (8.7)

`collapsed_step` solves it; here its steps become samples and events. Where the problem has points and a layer
for each cluster, hypothesis (8.1) is watched: the instant at which cluster ℓ is no longer wholly mapped to
−β^(ℓ) is an `uncollapse`, its return a `collapse`. The equations go on either way, unless the run is to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from truncflow_cli.chunk import Chunk
from truncflow_cli.errors import RunFailed
from truncflow_cli.events import Kind, event_log
from truncflow_cli.flows.collapse_watch import Row, watch
from truncflow_cli.flows.collapsed_step import Path, State, steps
from truncflow_cli.problem import Array, Problem
from truncflow_cli.saved_state import Saved, counts, number, under
from truncflow_cli.saved_state import State as SavedState

#: Entries of B that one chunk has samples of, which bounds the memory of the step's evaluation too.
CHUNK_ENTRIES = 30_000
#: What is counted.
COUNTERS = ("steps", "sweeps", "events")


@dataclass(frozen=True)
class Piece:
    """A stretch of the run, from where the last one ended.

    Attributes:
        stop: flow time at its end.
        at: the solution at times in it.
        end: the state at its end.
        h: size of the step that comes next; NaN if that is up to the rates.
        rows: its events.
        sweeps: fixed-point sweeps it took.
    """

    stop: float
    at: Callable[[Array], Path]
    end: State
    h: float
    rows: list[Row] = field(default_factory=list)
    sweeps: int = 0


@dataclass(frozen=True)
class Place:
    """How far a run is: at the start of a piece, so many of whose chunks have been handed out.

    Attributes:
        state: the state there.
        h: size of the step to come, as in ``Piece``.
        begun: whether the instant s = 0 has passed.
        stopped: whether the run has ended before ``s_end``.
        saved: saved times that lie before.
        counters: work done and events met before.
        chunks: chunks of the piece that have been handed out.
    """

    state: State
    h: float
    begun: bool
    stopped: bool
    saved: int
    counters: dict[str, int]
    chunks: int = 0

    def saved_state(self) -> SavedState:
        """Return it as what a run goes on from."""
        state = self.state
        return {
            "s": number(state.s),
            "B": state.B,
            "W": state.W,
            "E": state.E,
            "dissipated": number(state.dissipated),
            "h": number(self.h),
            "place": np.array([self.begun, self.stopped, self.saved, self.chunks], dtype=np.int64),
            **under("counters", counts(self.counters)),
        }


def restored(problem: Problem, saved: Saved) -> Place:
    """Return the place that ``saved_state`` has given.

    Raises:
        UserError: it does not fit the problem.
    """
    dim, n_clusters = problem.dim, problem.n_clusters
    B, W, E = (saved.array(name, "f8", (dim, dim if name == "W" else n_clusters)) for name in ("B", "W", "E"))
    begun, stopped, taken, chunks = saved.array("place", "i8", (4,), (0, problem.s_save.size + 2)).tolist()
    counters = {name: saved.part("counters").integer(name) for name in COUNTERS}
    state = State(saved.number("s"), B, W, E, saved.number("dissipated"))
    return Place(state, saved.number("h"), bool(begun), bool(stopped), taken, counters, chunks)


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


def solve_collapsed(
    problem: Problem,
    saved: Saved | None = None,
    due: Callable[[], bool] = lambda: False,
    take_points: bool = False,
) -> Iterator[Chunk]:
    """Solve (8.6), (8.7) from B(0) = ``beta0``ᵀ and W(0) = ``W0``.

    Args:
        problem: y (C, Q), beta0 (C, Q), W0 (Q, Q); x, cluster and R0 to watch (8.1) with, or an x without
            rows. ``on_separation_lost: stop`` ends the run at the first `uncollapse`.
        saved: the state of an earlier chunk, to go on from there.
        due: asked after each step whether a chunk is wanted at once.

    Yields:
        Samples "s", "B" (T, Q, C), "W" (T, Q, Q), "loss", "loss_cluster" (T, C) and "energy_balance", and the
        events `rest`, `uncollapse` and `collapse`.

    Raises:
        RunFailed: the start overflows, there are too many events or no step size works.
    """
    settings, s_save = problem.settings, problem.s_save
    start = initial_state(problem)
    place = Place(start, np.nan, False, False, 0, dict.fromkeys(COUNTERS, 0))
    if saved is not None:
        place = restored(problem, saved)
    for piece in () if place.stopped else pieces(problem, start, place):
        lost = [row[0] for row in piece.rows if row[1] == Kind.UNCOLLAPSE]
        stopped = bool(lost) and settings.on_separation_lost == "stop"
        stop = lost[0] if stopped else piece.stop
        rows = [row for row in piece.rows if row[0] <= stop]
        times = s_save[place.saved : np.searchsorted(s_save, stop, side="right")]
        taken = place.saved + times.size
        if stopped and s_save[taken - 1] < stop:
            times = np.append(times, stop)
        done = (1 if piece.sweeps else 0, piece.sweeps, len(rows))
        counters = {name: place.counters[name] + n for name, n in zip(COUNTERS, done, strict=True)}
        after = Place(piece.end, piece.h, True, stopped, taken, counters)
        if times.size or rows or due():
            yield from chunks(piece, times, stop, rows, start, (place, after))
        if counters["events"] > settings.max_events:
            raise RunFailed(f"more than max_events = {settings.max_events} events by s = {stop:.6g}", stop)
        if stopped:
            return
        place = after


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


def pieces(problem: Problem, start: State, place: Place) -> Iterator[Piece]:
    """Yield the run from ``place`` on: the instant s = 0, then its steps, or one piece if nothing moves."""

    def still(s: Array) -> Path:
        n = s.size
        B, W, E = (np.tile(M, (n, 1, 1)) for M in (start.B, start.W, start.E))
        return Path(B, W, E, np.zeros(n))

    watched = watch(problem.x, problem.cluster, problem.R0, problem.n_clusters)
    moves = any(np.any(slope) for slope in slopes(start.B, start.W, problem.y.T))
    s_end = problem.settings.s_end
    if not place.begun:
        rest: list[Row] = [] if moves else [(0.0, Kind.REST, -1, -1, -1, -1, -1)]
        yield Piece(0.0, still, start, np.nan, rest + watched.initial_events(start.B))
    if not moves:
        if place.state.s < s_end:
            yield Piece(s_end, still, replace(start, s=s_end), np.nan)
        return
    h = None if np.isnan(place.h) else place.h
    loss0 = 0.5 * float(np.sum(start.E**2))
    for step, end, following in steps(place.state, problem.y.T, s_end, problem.settings.rtol, loss0, h):
        yield Piece(step.stop, step.at, end, following, watched.events(step), step.sweeps)


def chunks(
    piece: Piece, times: Array, stop: float, rows: list[Row], start: State, places: tuple[Place, Place]
) -> Iterator[Chunk]:
    """Yield the samples at ``times`` (T,) and the events ``rows``, in bounded chunks that end at ``stop``.

    ``places`` are those before and after the piece; what has been handed out at the first is left out.
    """
    before, after = places
    size = max(1, CHUNK_ENTRIES // start.B.size)
    loss0 = 0.5 * np.sum(start.E**2)
    blocks = range(0, max(times.size, 1), size)
    for number_of, first in enumerate(blocks, start=1):
        block = times[first : first + size]
        last = number_of == len(blocks)
        upto = stop if last else float(block[-1])
        due, rows = [row for row in rows if row[0] <= upto], [row for row in rows if row[0] > upto]
        if number_of <= before.chunks:
            continue
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
        place = after if last else replace(before, chunks=number_of)
        yield Chunk(upto, samples, event_log(due), dict(after.counters), state=place.saved_state)
