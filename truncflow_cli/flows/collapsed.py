"""The flow of section 8: standard loss, clusters already collapsed to the points −β^(ℓ).

State B = [β^(1) … β^(C)] (Q, C) and W = W_{Q+1} (Q, Q), with Y = [y_1 … y_C] and E = W B + Y:

    C̃ = ½ ‖E‖²,    ∂_s B = −Wᵀ E,    ∂_s W = −E Bᵀ                                       (8.2), (8.6), (8.7)

`collapsed_step` takes the steps. Where the problem has points and a layer for each cluster, hypothesis (8.1) is
watched: the instant at which cluster ℓ is no longer wholly mapped to −β^(ℓ) is an `uncollapse`, its return a
`collapse`. The equations go on either way, unless the run is to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np

from truncflow_cli.errors import RunFailed
from truncflow_cli.events import Kind, event_log
from truncflow_cli.flows.collapse_watch import Row, watch
from truncflow_cli.flows.collapsed_step import (
    MAX_REACH,
    TINY,
    State,
    Step,
    next_step,
    restored_state,
    restored_step,
)
from truncflow_cli.problem import Array, Problem
from truncflow_cli.saved_state import Chunk, Saved, counts, number, restore_counts, under
from truncflow_cli.saved_state import State as Arrays
from truncflow_cli.solver.assemble import Assembler, never
from truncflow_cli.solver.piece import NO_TIMES, Piece

#: Entries of B that one chunk has samples of, which bounds the memory of the step's evaluation too.
CHUNK_ENTRIES = 30_000
#: Numbers for each entry of B that a step has: its 16 nodes seen from one another, three times.
_STEP_ENTRY = 3 * 16 * 16
#: Bytes of memory for each byte of the trajectory, when it is certified, as measured.
_CERTIFYING = 4


def solve_collapsed(
    problem: Problem,
    saved: Saved | None = None,
    due: Callable[[], bool] = never,
    take_points: bool = False,
) -> Iterator[Chunk]:
    """Solve (8.6), (8.7) from B(0) = ``beta0``ᵀ (C, Q) and W(0) = ``W0`` (Q, Q); see ``solver.solve``.

    x, cluster and R0 are there to watch (8.1) with, or x is without rows. ``on_separation_lost: stop`` ends the run at
    the first `uncollapse`.
    """
    most = max(1, CHUNK_ENTRIES // problem.beta0.size)
    solvers = [CollapsedSolver(problem)]
    return Assembler(problem, solvers, saved, lost=Kind.UNCOLLAPSE, most_samples=most).run(due)


def memory(problem: Problem, trajectory: int) -> int:
    """Return about how many bytes a run takes besides the program, with so many of trajectory; see ``resources``."""
    step = problem.dim * max(problem.dim, problem.n_clusters) * _STEP_ENTRY * 8
    return 2 * (problem.x.nbytes + problem.cluster.nbytes) + step + _CERTIFYING * trajectory


def initial_state(problem: Problem) -> State:
    """Return the state at s = 0; RunFailed says that the loss or the flow's rates overflow there."""
    B, W = problem.beta0.T.copy(), problem.W0.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        E = W @ B + problem.y.T
        scale = np.sum(E**2) + np.sum(W**2) ** 2 + np.sum(B**2) ** 2
    if not np.isfinite(scale):
        raise RunFailed("B, W or the labels are so large that the loss overflows at s = 0", 0.0)
    return State(0.0, B, W, E, 0.0)


def slopes(B: Array, W: Array, Y: Array) -> tuple[Array, Array]:
    """Return ∂_s B (Q, C) and ∂_s W (Q, Q) of (8.6), (8.7) for B (Q, C), W (Q, Q) and labels Y (Q, C)."""
    E = W @ B + Y
    return -W.T @ E, -E @ B.T


@dataclass
class Counters:
    """Work done: steps, and fixed-point sweeps that they took."""

    steps: int = 0
    sweeps: int = 0


class CollapsedSolver:
    """Advances B and W step by step; see ``solver.piece.Solver``."""

    def __init__(self, problem: Problem) -> None:
        self.s = 0.0
        self.finished = problem.settings.s_end <= 0.0
        self.counters = Counters()
        self._settings = problem.settings
        self._Y = problem.y.T
        self._state = initial_state(problem)
        self._loss0 = 0.5 * float(np.sum(self._state.E**2))
        self._moves = any(np.any(slope) for slope in slopes(self._state.B, self._state.W, self._Y))
        self._watch = watch(problem.x, problem.cluster, problem.R0, problem.n_clusters)
        self._h = np.nan

    def start(self) -> Piece:
        """Return the piece [0, 0] with the events at s = 0."""
        rest: list[Row] = [] if self._moves else [(0.0, Kind.REST, -1, -1, -1, -1, -1)]
        return Piece(0.0, 0.0, self._state, event_log(rest + self._watch.initial_events(self._state.B)))

    def advance(self, until: float = -np.inf, saved: Array = NO_TIMES) -> Piece:
        """Return the next step; one piece up to the end if nothing moves."""
        before, s_end = self._state, self._settings.s_end
        output: State | Step = before
        events: list[Row] = []
        if self._moves:
            rtol = self._settings.rtol
            output, self._h = next_step(before, self._Y, s_end, rtol, self._loss0, self._h)
            self._state = output.end
            self._h = min(self._h, MAX_REACH / max(float(np.linalg.norm(self._state.E, 2)), TINY))
            self.counters.steps += 1
            self.counters.sweeps += output.sweeps
            events = self._watch.events(output)
        else:
            self._state = replace(before, s=s_end)
        self.s = self._state.s
        self.finished = self.s >= s_end
        return Piece(before.s, self.s, output, event_log(events))

    def state(self) -> Arrays:
        """See ``solver.piece.Solver``."""
        done = under("counters", counts(asdict(self.counters)))
        return {**self._state.state(), "h": number(self._h), **done}

    def restore(self, saved: Saved) -> None:
        """See ``solver.piece.Solver``."""
        self._state = restored_state(saved, *self._Y.shape)
        self._h = saved.number("h")
        self.s = self._state.s
        self.finished = self.s >= self._settings.s_end
        restore_counts(self.counters, saved.part("counters"))

    def constant_output(self) -> State:
        """See ``solver.piece.Solver``."""
        return self._state

    def restored_output(self, saved: Saved) -> State | Step:
        """See ``solver.piece.Solver``."""
        return restored_step(saved, self._Y) if "stop" in saved else restored_state(saved, *self._Y.shape)
