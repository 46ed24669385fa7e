"""An event-driven reference integrator: SciPy's DOP853 at rounding level between located events.

Slow (seconds a problem) and small (tens of points), but each part is plain: the field is the reverse-mode
gradient of the forward pass with the activation pattern held, surfaces are evaluated by the forward pass on
the dense output, and at an event the selection decides which surfaces are crossed, stuck to, or left.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.integrate import DOP853
from scipy.optimize import brentq, minimize_scalar

from reference.network import (
    Network,
    loss_and_gradient,
    pre_activations,
    retract,
    velocity_of_state,
)
from reference.selection import select
from reference.sliding import hull_room, one_layer_each, room, slide
from reference.surfaces import normals, shared_surfaces

RTOL = 3e-14
ATOL = 1e-15
#: |z| below this at a located event counts as on the surface; rounding of located events is well below.
ON_SURFACE = 1e-11
#: A surface that has just been left is watched again once it is this far away.
ARMED = 1e-9
#: How far beyond an instant the motion is looked at where first order does not decide.
PROBE = 1e-6
#: A velocity below this is rest.
AT_REST = 1e-13
#: Chebyshev-Lobatto points of a step, in [0, 1].
NODES = 0.5 * (1.0 - np.cos(np.pi * np.arange(18) / 17))

#: (s, kind, layer, point, coordinate, side), kind in truncate, release, pin, unpin, rest.
Event = tuple[float, str, int, int, int, int]


@dataclass
class Run:
    """What happened: dense pieces (s0, s1, states at s), events, and the end.

    ``patterns`` holds h (L, N, Q) of each piece, with pinned surfaces at 0. ``ambiguous`` holds the instants at
    which other continuations would agree with the equations as well; there are none where all kinks are convex.
    """

    net: Network
    pieces: list = field(default_factory=list)
    patterns: list = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    state: np.ndarray | None = None
    s: float = 0.0
    energy: float = 0.0
    loss_start: float = 0.0
    loss_end: float = 0.0
    steps: int = 0
    ambiguous: list[float] = field(default_factory=list)

    @property
    def energy_balance(self) -> float:
        """D(s) at the end."""
        return self.loss_start - self.loss_end - self.energy

    def at(self, s: float) -> np.ndarray:
        """Return the state (beta, R flat) at time s."""
        return self._piece(s)[:-1]

    def dissipated(self, s: float) -> float:
        return float(self._piece(s)[-1])

    def pattern(self, s: float) -> np.ndarray:
        starts = np.array([piece[0] for piece in self.pieces])
        return self.patterns[max(int(np.searchsorted(starts, s, side="right")) - 1, 0)]

    def loss_at(self, s: float) -> float:
        return loss_and_gradient(self.net, self.at(s), self.pattern(s))[0]

    def _piece(self, s: float) -> np.ndarray:
        starts = np.array([piece[0] for piece in self.pieces])
        _, _, dense = self.pieces[max(int(np.searchsorted(starts, s, side="right")) - 1, 0)]
        return dense(s)


class WrongSideError(Exception):
    """A surface was left with no speed, and the second order takes it to the other side."""


class Flow:
    """One integration: the state, the pattern, which surfaces are pinned and which have just been left."""

    def __init__(self, net: Network, state: np.ndarray) -> None:
        self.net = net
        self.state = state.copy()
        self.energy = 0.0
        self.s = 0.0
        shape = (net.n_layers, len(net.x), net.dim)
        self.h = np.zeros(shape)
        for layer in range(net.n_layers):  # the pattern of a layer decides what the next one sees
            z = pre_activations(net, state[None], self.h)[0]
            self.h[layer] = z[layer] > 0
        z = pre_activations(net, state[None], self.h)[0]
        self.pinned = np.zeros(shape, bool)
        self.unarmed = np.abs(z) <= ON_SURFACE * (1 + np.abs(net.x).max())
        self.h[self.unarmed] = 0.0
        self.run = Run(net)
        self.run.loss_start = loss_and_gradient(net, state, self.h)[0]

    # ---- surfaces ----------------------------------------------------------------------------------------
    def derivative(self, s: float, extended: np.ndarray) -> np.ndarray:
        tangent = slide(self.net, extended[:-1], self.h, self.stuck)
        return np.append(velocity_of_state(self.net, extended[:-1], tangent), tangent @ tangent)

    # ---- events ------------------------------------------------------------------------------------------
    def settle(self, active: np.ndarray, left: bool) -> None:
        """Decide which surfaces in the mask (L, N, Q) are truncated, released or pinned, and log it.

        Where a pinned weight has just reached its bound (``left``) first order says nothing, so the
        selection is made a little further on along the sliding motion.
        """
        old_h, old_pinned = self.h, self.pinned
        state = self.state
        if left:
            tangent = slide(self.net, state, self.h, self.stuck)
            state = state + PROBE * velocity_of_state(self.net, state, tangent)
        chosen = select(self.net, state, self.h, self.pinned, active, start=not self.run.steps)
        self.h, self.pinned = chosen.h, chosen.pinned
        if chosen.choices > 1:
            self.run.ambiguous.append(self.s)
        for layer, i, r in np.argwhere(active):
            key = (int(layer), int(i), int(r))
            was_pinned, is_pinned = old_pinned[key], self.pinned[key]
            was_up, is_up = old_h[key] > 0, self.h[key] > 0
            if was_pinned and not is_pinned:
                self.run.events.append((self.s, "unpin", *key, int(is_up)))
            elif is_pinned and not was_pinned:
                self.run.events.append((self.s, "pin", *key, -1))
            elif was_up != is_up and not is_pinned:
                self.run.events.append((self.s, "release" if is_up else "truncate", *key, -1))
        self.unarmed = active & ~self.pinned
        self.stuck = shared_surfaces(self.net, self.pinned, (self.h > 0) | self.pinned)

    def project(self) -> None:
        """Put R back on O(Q) and the pinned surfaces back to zero (both are off by rounding)."""
        self.state = retract(self.net, self.state)
        for _ in range(2 if self.stuck else 0):
            z = pre_activations(self.net, self.state[None], self.h)[0]
            values = np.array([z[shared.surface] for shared in self.stuck])
            N = normals(self.net, self.state, self.h, self.stuck)
            tangent = -np.linalg.lstsq(N, values, rcond=1e-10)[0]
            self.state = retract(self.net, self.state + velocity_of_state(self.net, self.state, tangent))

    def signed(self, states: np.ndarray) -> np.ndarray:
        """Return z, positive on the side that the pattern says, (M, L, N, Q); inf on pinned surfaces."""
        z = pre_activations(self.net, states[:, : len(self.state)], self.h) * (2 * self.h - 1)
        z[:, self.pinned] = np.inf
        return z

    # ---- the loop ----------------------------------------------------------------------------------------
    def go(self, s_end: float, max_events: int = 5000) -> Run:
        self.stuck = []
        active = self.unarmed.copy()
        if active.any():
            self.settle(active, left=False)
        self.project()
        finished = False
        while not finished:
            if len(self.run.events) > max_events:
                raise RuntimeError(f"more than {max_events} events by s = {self.s}")
            finished = self.advance(s_end)
        self.run.state, self.run.s, self.run.energy = self.state, self.s, self.energy
        self.run.loss_end = loss_and_gradient(self.net, self.state, self.h)[0]
        return self.run

    def advance(self, s_end: float) -> bool:
        """Integrate to the next event or to s_end; return True at s_end or at rest.

        Raises:
            WrongSideError: also a look ahead does not tell to which side a surface is left.
        """
        try:
            return self.integrate(s_end)
        except WrongSideError:
            self.settle(self.pinned | self.unarmed, left=True)
            return self.integrate(s_end)

    def integrate(self, s_end: float) -> bool:
        start = np.append(self.state, self.energy)
        rate = self.derivative(self.s, start)
        if np.sqrt(rate[-1]) <= AT_REST:
            self.run.events.append((self.s, "rest", -1, -1, -1, -1))
            state = start.copy()
            self.keep(self.s, s_end, lambda s: state)
            self.s = s_end
            return True
        if self.s >= s_end:
            if not self.run.pieces:
                self.keep(self.s, s_end, lambda s: start)
            return True
        solver = DOP853(self.derivative, self.s, start, s_end, rtol=RTOL, atol=ATOL)
        while solver.status == "running":
            before_s, before = solver.t, solver.y.copy()
            message = solver.step()
            if solver.status == "failed":
                raise RuntimeError(f"{message} at s = {solver.t}")
            self.run.steps += 1
            dense = solver.dense_output()
            found = self.first_event(before_s, solver.t, dense)
            if found is None:
                self.unarmed &= ~(self.signed(solver.y[None])[0] > ARMED)
            if found is not None:
                self.stop_at(found, before_s, before)
                return self.s >= s_end
            self.keep(before_s, solver.t, dense)
        self.s, self.state, self.energy = solver.t, solver.y[:-1].copy(), float(solver.y[-1])
        self.project()
        return True

    def keep(self, s0: float, s1: float, dense) -> None:
        self.run.pieces.append((s0, s1, dense))
        self.run.patterns.append(self.h.copy())

    def first_event(self, s0: float, s1: float, dense) -> tuple | None:
        """Return (s, surface) of the first event in a step; surface None: a weight reaches its bound."""
        times = s0 + (s1 - s0) * NODES
        f = self.signed(dense(times).T)
        brackets: list[tuple[float, float, tuple]] = []
        low = np.minimum(f[:-2], f[2:])
        suspect = (f < 0).any(axis=0) | ((f[1:-1] < low) & (2 * f[1:-1] < low)).any(axis=0)
        for key in np.argwhere(suspect & ~self.pinned):
            surface = tuple(int(k) for k in key)
            bracket = self.bracket(times, f[(slice(None), *surface)], dense, surface)
            if bracket is not None:
                brackets.append((*bracket, surface))
        roots = []
        for a, b, surface in sorted(brackets, key=lambda bracket: bracket[0]):
            if roots and a > min(roots)[0]:
                break
            value = self.watch(dense, surface)
            roots.append((a if value(a) <= 0 else brentq(value, a, b, xtol=1e-15, rtol=1e-15), surface))
        first_root = min(roots, key=lambda pair: pair[0]) if roots else None
        if self.stuck:
            last = s1 if first_root is None else first_root[0]
            bound = self.bound_reached(s0, last, dense)
            if bound is not None:
                return bound, None
        return first_root

    def bracket(self, times: np.ndarray, g: np.ndarray, dense, surface: tuple) -> tuple[float, float] | None:
        """Return an interval in which the signed z first goes from positive to negative, or None."""
        value = self.watch(dense, surface)
        begin = 0
        if self.unarmed[surface]:
            while (g < -ARMED).any() and not (g[: int(np.argmax(g < -ARMED))] > ARMED).any():
                if times[1] - times[0] < 1e-13:
                    raise WrongSideError(f"{surface} left at s = {self.s} to the wrong side")
                times = (
                    times[0] + (times[1] - times[0]) * NODES
                )  # it may have come back within the first interval
                g = np.array([value(s) for s in times])
            if not (g > ARMED).any():
                return None
            begin = int(np.argmax(g > ARMED))
        first = begin + int(np.argmax(g[begin:] < 0)) if (g[begin:] < 0).any() else len(g)
        for m in range(begin + 1, min(first, len(g) - 1)):  # may dip below zero between two nodes
            if g[m] <= g[m - 1] and g[m] <= g[m + 1] and 2 * g[m] < min(g[m - 1], g[m + 1]):
                dip = minimize_scalar(
                    value, bounds=(times[m - 1], times[m + 1]), method="bounded", options={"xatol": 1e-12}
                )
                if dip.fun < -1e-13:
                    return times[m - 1], float(dip.x)
        return (times[first - 1], times[first]) if begin < first < len(g) else None

    def watch(self, dense, surface: tuple):
        return lambda s: float(self.signed(dense(s)[None])[(0, *surface)])

    def bound_reached(self, s0: float, s1: float, dense) -> float | None:
        def left(s: float) -> float:
            return room(self.net, dense(s)[:-1], self.h, self.stuck)[0]

        times = s0 + (s1 - s0) * NODES[::3]
        times[-1] = s1
        before = s0
        for s in times[1:]:
            if left(s) < 0:
                return s0 if left(before) <= 0 else brentq(left, before, s, xtol=1e-14, rtol=1e-14)
            before = s
        return None

    def stop_at(self, found: tuple, s0: float, y0: np.ndarray) -> None:
        """Integrate again up to the event, which is more accurate than the dense output, and settle it."""
        s_event, surface = found
        for _ in range(2):
            end, pieces = y0, []
            if s_event > s0:
                solver = DOP853(
                    self.derivative, s0, y0, s_event, rtol=RTOL, atol=ATOL, first_step=s_event - s0
                )
                while solver.status == "running":
                    a = solver.t
                    solver.step()
                    pieces.append((a, solver.t, solver.dense_output()))
                end = solver.y
            if surface is None:
                break
            z = float(self.signed(end[None])[(0, *surface)])
            rate = self.derivative(s_event, end)
            h = 1e-6
            slope = float(self.signed((end + h * rate)[None])[(0, *surface)] - z) / h
            if abs(slope) < 1e-6 or abs(z / slope) < 1e-15 or abs(z / slope) > 1e-9:
                break
            s_event = max(s0, s_event - z / slope)
        for piece in pieces:
            self.keep(*piece)
        self.s, self.state, self.energy = s_event, end[:-1].copy(), float(end[-1])
        self.project()
        f = self.signed(self.state[None])[0]
        active = self.pinned | (np.abs(f) <= ON_SURFACE * (1 + np.abs(self.net.x).max()))
        if surface is not None:
            active[surface] = True
        elif not one_layer_each(self.stuck) and hull_room(self.net, self.state, self.h, self.stuck)[0] > 1e-6:
            self.run.ambiguous.append(self.s)  # it might stay as well, with the loss falling more slowly
        self.settle(active, left=surface is None)
