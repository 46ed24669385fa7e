"""diffrax's Dopri8 on the gradient of the plain loss: what a specialist would write, compiled and in double precision.

The gradient is left to autodiff. On O(Q) the flow is ∂_s R = ΩR, Ω = −½ (A − Aᵀ) with A = (∂_R C) Rᵀ.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from tests.benchmarks.peers.plain import Network, network
from tests.benchmarks.peers.solution import Solution
from truncflow_cli.problem import Problem

jax.config.update("jax_enable_x64", True)

#: Steps between two looks at the clock.
STEPS_A_CALL = 2_000


def point_loss(beta: jax.Array, R: jax.Array, x: jax.Array, target: jax.Array) -> jax.Array:
    """½ |τ^(L)∘…∘τ^(1)(x) − ỹ|² of one point."""
    t = x
    for bias, rotation in zip(beta, R, strict=True):
        t = rotation.T @ jax.nn.relu(rotation @ (t + bias)) - bias
    return 0.5 * jnp.sum((t - target) ** 2)


def loss(state: tuple[jax.Array, jax.Array], net: Network) -> jax.Array:
    """The loss of (2.26)."""
    losses = jax.vmap(point_loss, (None, None, 0, 0))(*state, jnp.asarray(net.x), jnp.asarray(net.target))
    return jnp.sum(jnp.asarray(net.weight[:, 0]) * losses)


def velocity(
    net: Network, s: Any, state: tuple[jax.Array, jax.Array], args: Any
) -> tuple[jax.Array, jax.Array]:
    """Return (∂_s beta, ∂_s R)."""
    beta_gradient, R_gradient = jax.grad(loss)(state, net)
    A = R_gradient @ jnp.swapaxes(state[1], -1, -2)
    return -beta_gradient, -0.5 * (A - jnp.swapaxes(A, -1, -2)) @ state[1]


class Compiled:
    """The solver for one problem, compiled.

    Attributes:
        compile_seconds: what compiling took.
    """

    def __init__(self, problem: Problem, rtol: float, atol: float) -> None:
        self._problem = problem
        self._solver = diffrax.Dopri8()
        start = time.perf_counter()
        self._advance = self._compile(network(problem), rtol, atol)
        self.compile_seconds = time.perf_counter() - start

    def _compile(self, net: Network, rtol: float, atol: float) -> Callable[..., diffrax.Solution]:
        def advance(s: jax.Array, s_end: jax.Array, state: tuple[jax.Array, jax.Array]) -> diffrax.Solution:
            return diffrax.diffeqsolve(
                diffrax.ODETerm(partial(velocity, net)),
                self._solver,
                s,
                s_end,
                None,
                state,
                stepsize_controller=diffrax.PIDController(rtol, atol),
                max_steps=STEPS_A_CALL,
                throw=False,
            )

        s, s_end, state = self._start()
        return jax.jit(advance).lower(s, s_end, state).compile()

    def _start(self) -> tuple[jax.Array, jax.Array, tuple[jax.Array, jax.Array]]:
        problem = self._problem
        state = (jnp.asarray(problem.beta0), jnp.asarray(problem.R0))
        return jnp.asarray(0.0), jnp.asarray(float(problem.settings.s_end)), state

    def solve(self, seconds: float) -> Solution:
        """Integrate to the problem's end, or for about so many seconds."""
        s, s_end, state = self._start()
        stop = time.perf_counter() + seconds
        steps, finished = 0, False
        while not finished and time.perf_counter() < stop:
            solution = self._advance(s, s_end, state)
            s, state = solution.ts[-1], (solution.ys[0][-1], solution.ys[1][-1])
            steps += int(solution.stats["num_steps"])
            finished = bool(solution.result == diffrax.RESULTS.successful)
        tableau = self._solver.tableau
        evaluations = steps * (tableau.num_stages - int(tableau.fsal))
        return Solution(float(s), np.asarray(state[0]), np.asarray(state[1]), steps, evaluations, finished)
