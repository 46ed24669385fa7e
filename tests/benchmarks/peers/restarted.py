"""DOP853 on the plain field from event to event, in plain numpy: located by hand, and nothing shared with truncflow.

Between events the pattern h is held, so the field is smooth and a tight tolerance means what it says. Every
surface is looked at in every step: slow, short, and therefore the judge of everybody's end state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.integrate import DOP853
from scipy.optimize import brentq

from tests.benchmarks.peers.plain import coordinates, network, pack, unpack, velocity
from tests.benchmarks.peers.solution import Array, Solution
from truncflow_cli.problem import Problem

#: Where in a step the surfaces are looked at, as shares of it.
LOOKS = 0.5 * (1.0 - np.cos(np.pi * np.arange(1, 7) / 6))
#: A surface that has just been crossed is at zero up to this.
NOISE = 1e-13
#: How far ahead the side is looked at to which a surface is left.
AHEAD = 1e-7

#: Layer, point and coordinate.
Surface = tuple[int, int, int]


class PinnedError(Exception):
    """Both sides push onto a surface: the flow slides on it, which this integrator does not know how to do."""


class Restarted:
    """One integration; ``solve`` carries it out.

    Attributes:
        events: crossings so far.
    """

    def __init__(self, problem: Problem, rtol: float, atol: float) -> None:
        self._net = network(problem)
        self._rtol, self._atol = rtol, atol
        self._s, self._s_end = 0.0, problem.settings.s_end
        self._state = pack(problem.beta0, problem.R0)
        self._pattern = (coordinates(self._net, self._state) > 0.0).astype(np.float64)
        self._crossed: Surface | None = None
        self._step = 1e-3 * self._s_end
        self.events = 0
        self._steps = 0
        self._evaluations = 0

    def solve(self) -> Solution:
        """Integrate to the problem's end.

        Raises:
            PinnedError: a point is pinned to a surface on the way.
        """
        while self._s < self._s_end:
            self._advance()
        beta, R = unpack(self._net, self._state)
        return Solution(self._s, beta, R, self._steps, self._evaluations, True)

    def _rate(self, s: float, state: Array) -> Array:
        self._evaluations += 1
        return velocity(self._net, state, self._pattern)

    def _solver(self, s_end: float, first_step: float) -> DOP853:
        return DOP853(
            self._rate, self._s, self._state, s_end, rtol=self._rtol, atol=self._atol, first_step=first_step
        )

    def _advance(self) -> None:
        """Take one step, or as much of it as lies before the first crossing."""
        solver = self._solver(self._s_end, min(self._step, self._s_end - self._s))
        self._take(solver)
        found = self._first_crossing(solver.dense_output(), self._s, solver.t)
        if found is None:
            self._step = 1.5 * (solver.t - self._s)
            self._s, self._state, self._crossed = solver.t, solver.y, None
        else:
            self._integrate_to(found[0])
            self._cross(found[1])

    def _take(self, solver: DOP853) -> None:
        solver.step()
        if solver.status == "failed":
            raise ArithmeticError(f"DOP853 fails at s = {solver.t}")
        self._steps += 1

    def _first_crossing(
        self, dense: Callable[[float], Array], s0: float, s1: float
    ) -> tuple[float, Surface] | None:
        """Return when and where a coordinate first changes its sign in a step."""
        inside = self._pattern > 0.0
        before = s0
        for s in s0 + (s1 - s0) * LOOKS:
            z = coordinates(self._net, dense(s), self._pattern)
            wrong = (z > 0.0) != inside
            if self._crossed is not None and abs(z[self._crossed]) < NOISE:
                wrong[self._crossed] = False
            if wrong.any():
                surfaces: list[Surface] = [(int(k), int(i), int(r)) for k, i, r in np.argwhere(wrong)]
                return min((self._root(dense, before, s, surface), surface) for surface in surfaces)
            before = s
        return None

    def _root(self, dense: Callable[[float], Array], a: float, b: float, surface: Surface) -> float:
        layer, point, row = surface
        only = slice(point, point + 1)
        net = replace(
            self._net, x=self._net.x[only], target=self._net.target[only], weight=self._net.weight[only]
        )
        pattern = self._pattern[:, only]

        def coordinate(s: float) -> float:
            return float(coordinates(net, dense(s), pattern)[layer, 0, row])

        if coordinate(a) * coordinate(b) >= 0.0:
            return a
        return float(brentq(coordinate, a, b, xtol=1e-15, rtol=1e-14))

    def _integrate_to(self, s: float) -> None:
        """Integrate again up to s, which is more accurate than the dense output."""
        if s > self._s:
            solver = self._solver(s, s - self._s)
            while solver.status == "running":
                self._take(solver)
            self._state = solver.y
        self._s = s

    def _cross(self, surface: Surface) -> None:
        """Let a point through its surface."""
        before = coordinates(self._net, self._state, self._pattern)[surface]
        self._pattern[surface] = 1.0 - self._pattern[surface]
        self.events += 1
        self._crossed = surface
        later = self._state + AHEAD * self._rate(self._s, self._state)
        after = coordinates(self._net, later, self._pattern)[surface]
        if (after > before) != (self._pattern[surface] > 0.0):
            raise PinnedError(f"point {surface[1]} is pinned to a surface at s = {self._s:.6g}")
