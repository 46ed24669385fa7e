"""What `separated` and `general` share: Taylor series about the state, cut where the first surface is met.

The flow of one layer is that of a network of one layer, to which only its own cluster's points belong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from truncflow_cli.flows.event_rows import EventRows
from truncflow_cli.flows.interface import (
    NO_SURFACES,
    Change,
    Counters,
    EventRow,
    ManySteps,
    Surfaces,
)
from truncflow_cli.flows.points import Points
from truncflow_cli.flows.surfaces import FieldOnSurfaces, common_side, grouped, members, several_layers
from truncflow_cli.kernels.interface import Coefficients, Group, Kernel, Key, StepsTaken
from truncflow_cli.network_field import Pass, forward_pass, split_tangent, tangent, velocity
from truncflow_cli.problem import PINNED, TRUNCATED, UNTRUNCATED, Array, IntArray, Pattern
from truncflow_cli.saved_state import Saved, State, number
from truncflow_cli.solver.descent import APART, NEAR, Descent, plain_descent, size_of
from truncflow_cli.solver.step_control import StepControl

#: Rounding error of a pinned weight λ.
LAMBDA_NOISE = 1e-12
#: Damping of the way back onto the pinned surfaces.
DAMPING = 1e-2
#: A field above this, relative to the state, is not at rest, however it has been summed.
MOVES = 1e-11
#: Coordinates that are packed together, eight in a byte, when the pattern is saved.
PACKED = 1 << 16

AnyKernel = TypeVar("AnyKernel", bound=Kernel)
AnyPoints = TypeVar("AnyPoints", bound=Points)


@dataclass(frozen=True)
class TaylorOutput:
    """Dense output of one smooth piece.

    Attributes:
        kernel: what evaluates it.
        center: (Q,) where the coordinates are centred: b_ℓ = R_ℓ(β^(ℓ) + center).
        path: R, b and the dissipated energy as polynomials in the offset t.
        truncated_fraction: (L, Q) share of the points truncated in each coordinate, constant along the piece.
    """

    kernel: Kernel
    center: Array
    path: Coefficients
    truncated_fraction: Array

    def state(self) -> State:
        """See ``flows.interface.DenseOutput.state``."""
        return {**vars(self.path), "truncated_fraction": self.truncated_fraction}

    def sample(self, t: Array) -> dict[str, Array]:
        """See ``flows.interface.DenseOutput.sample``."""
        at = self.kernel.evaluate(self.path, t)
        return {
            "beta": at.beta - self.center,
            "R": at.R,
            "loss_cluster": self.kernel.losses(at.R, at.b),
            "energy": at.energy,
            "truncated_fraction": np.repeat(self.truncated_fraction[None], t.size, axis=0),
        }


class TaylorFlow(Generic[AnyKernel, AnyPoints]):
    """A flow whose kernel expands, searches and moves; a subclass says what surfaces act on.

    Attributes:
        kernel: the state and the work on it.
        data: the points.
        R, b, pattern: the kernel's own arrays, as (L, Q, Q), (L, Q), (M, L, Q).
        pins: the pinned surfaces.
        pin_weight: (k,) their λ.
        log: what a change of pattern means; the subclass makes it.
    """

    log: EventRows

    def __init__(self, kernel: AnyKernel, data: AnyPoints, beta: Array) -> None:
        """Begin at the kernel's R and β (L, Q), with no pins; the pattern and what follows from it come then."""
        self.kernel, self.data = kernel, data
        dim = data.dim
        self.R, self.b = kernel.R.reshape(-1, dim, dim), kernel.b.reshape(-1, dim)
        self.pattern: Pattern = kernel.pattern.reshape(-1, *self.b.shape)
        self.counters = Counters()
        self.pins: list[Group] = []
        self.pin_weight: Array = np.empty(0)
        self._chosen: list[Group] = []
        self._velocity: Callable[..., tuple[Array, Array, Array]] = velocity
        self._field: tuple[Array, Array] | None = None
        kernel.orthonormalise()
        self.b[:] = np.einsum("lab,lb->la", self.R, beta + data.center)

    # -- what the flows differ in ------------------------------------------------------------------------------

    def _noise(self, rows: slice) -> Array:
        """Return the rounding errors (m,) of the coordinates of these rows of the points."""
        raise NotImplementedError

    def _sum_field(self) -> tuple[Array, Array]:
        """Return c (L, Q) and Ω (L, Q, Q) of all acting points, with pinned coordinates as truncated."""
        raise NotImplementedError

    def _sliding_inverse(self) -> Array:
        """Return the pseudo-inverse of ∂ż/∂λ (k, k) of the pinned surfaces."""
        raise NotImplementedError

    def _at_zero(self, *, at_start: bool) -> tuple[IntArray, IntArray, IntArray]:
        """Return the points, layers and coordinates of all acting surfaces on which the state lies, to rounding."""
        raise NotImplementedError

    def _count(self, surfaces: IntArray, before: IntArray, after: IntArray) -> None:
        """Let the kernel know that these surfaces (m, 3) have gone from one pattern (m,) to another, or are held."""
        raise NotImplementedError

    def _field_at_rest(self) -> tuple[Array, Array]:
        """Return c and Ω as exactly as they can be had; they are close to zero."""
        return split_tangent(self._moving(), *self.b.shape)

    # -- the field ---------------------------------------------------------------------------------------------

    def _field_on(self, groups: list[Group]) -> FieldOnSurfaces:
        """Return the field at the present state, for any weights of these surfaces; the pins are among them."""
        return FieldOnSurfaces(self.data, self.R, self.b, self.pattern, groups, self._whole(), self._velocity)

    def _whole(self) -> tuple[Array, Array]:
        if self._field is None:
            self._field = self._sum_field()
        return self._field

    def _moving(self) -> Array:
        """Return the field (d,), from the kernel's sums."""
        if not self.pins:
            return tangent(*self._whole())
        local = self._field_on(self.pins).about(self.pin_weight)
        return np.asarray(local.velocity + self.pin_weight @ local.directions)

    @property
    def _size(self) -> float:
        """How large data and state are (a length)."""
        return float(np.abs(self.b).max() + np.abs(self.data.y_tilde).max() + self.data.spread)

    # -- the series --------------------------------------------------------------------------------------------

    def expand(self, reach: float) -> float:
        """See ``PiecewiseFlow.expand``."""
        inverse: Array = np.empty((0, 0))
        if self.pins:
            self._stay_on_surfaces()
            inverse = self._sliding_inverse()
        h = self.kernel.expand(reach, self.pin_weight, inverse)
        self._field = None
        self.counters.slides += self.pin_weight.size > 0
        self.counters.steps += 1
        self.counters.orders += self.kernel.order
        return h

    def _off(self, groups: list[Group], weight: Array) -> tuple[Array, Array]:
        """Return how far the state is from each surface (m,), and the surfaces' ∇z (m, d)."""
        return self._field_on(groups).off(weight)

    def _stay_on_surfaces(self) -> None:
        """Move the state back onto the pinned surfaces (rounding and the last bits of the series drift off them)."""
        off, normals = self._off(self.pins, self.pin_weight)
        if np.abs(off).max() <= 1e-15 * (self.data.length.max() + np.abs(self.b).max()):
            return
        # Damped: surfaces at a small angle would have it move along them by more than it is off.
        damping = DAMPING * np.linalg.norm(normals, axis=1).max() ** 2
        self._move(-normals.T @ np.linalg.solve(normals @ normals.T + damping * np.eye(off.size), off))

    def _move(self, way: Array) -> None:
        """Move the state by a tangent vector (d,)."""
        c, Om = split_tangent(way, *self.b.shape)
        self.b += c + np.einsum("lij,lj->li", Om, self.b)
        self.R += np.einsum("lij,lja->lia", Om, self.R)
        self.kernel.orthonormalise()
        self._field = None

    def advance(self, t: float) -> None:
        """See ``PiecewiseFlow.advance``."""
        self.kernel.advance(t)
        self._field = None
        for pin, c in enumerate(self.kernel.weights().T):
            self.pin_weight[pin] = np.polynomial.polynomial.polyval(t, c)

    def next_change(self, h: float) -> Change | None:
        """See ``PiecewiseFlow.next_change``; ``what`` is ("surface", (i, ℓ, r)) or ("weight", k)."""
        t, surface, candidates, roots = self.kernel.first_crossing(h)
        self.counters.candidates += candidates
        self.counters.roots += roots
        self.counters.refreshes = self.kernel.refreshes
        what: tuple[str, Any] | None = None if surface is None else ("surface", surface)
        for pin, c in enumerate(self.kernel.weights().T):
            upper = -c
            upper[0] += 1.0
            for bound in (c, upper):
                exit_ = self.kernel.first_exit(bound, t, LAMBDA_NOISE)
                if exit_ >= 0.0 and (exit_ < t or what is None):
                    t, what = exit_, ("weight", pin)
        return None if what is None else Change(t, what)

    def dense_output(self) -> TaylorOutput:
        """See ``PiecewiseFlow.dense_output``."""
        kernel = self.kernel
        return TaylorOutput(kernel, self.data.center, kernel.coefficients(), kernel.truncated_fraction)

    def constant_output(self) -> TaylorOutput:
        """See ``PiecewiseFlow.constant_output``."""
        kernel = self.kernel
        path = Coefficients(self.R[None].copy(), self.b[None].copy(), np.array([kernel.energy]))
        return TaylorOutput(kernel, self.data.center, path, kernel.truncated_fraction)

    def restored_output(self, saved: Saved) -> TaylorOutput:
        """See ``PiecewiseFlow.restored_output``."""
        layers, dim = self.b.shape
        energy = saved.array("energy", "f8", (None,))
        n = energy.size
        path = Coefficients(
            saved.array("R", "f8", (n, layers, dim, dim)), saved.array("b", "f8", (n, layers, dim)), energy
        )
        return TaylorOutput(
            self.kernel, self.data.center, path, saved.array("truncated_fraction", "f8", (layers, dim))
        )

    def _step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> StepsTaken | None:
        """Let the kernel take usual steps; pins are not usual."""
        return None if self.pins else self.kernel.step_many(control, s_end, until, saved)

    def _passed(self, many: StepsTaken, *, may_rest: bool) -> ManySteps:
        """Return what many steps have passed, as the solver wants it."""
        self._field = None
        self.counters.add(*many.work)
        self.counters.refreshes = self.kernel.refreshes
        center, start, series = self.data.center, many.control.s, self.constant_output()
        if many.start is not None:
            start = many.start
            series = TaylorOutput(self.kernel, center, self.kernel.coefficients(), many.truncated_fraction)
        samples = many.samples and {**many.samples, "beta": many.samples["beta"] - center}
        return ManySteps(many.control, start, series, self.log.passed(many.crossings), samples, may_rest)

    # -- going on later ----------------------------------------------------------------------------------------

    def state(self) -> State:
        """See ``PiecewiseFlow.state``; pinned coordinates are known otherwise."""
        flat = self.pattern.reshape(-1)
        packed = [
            np.packbits(flat[k : k + PACKED] == UNTRUNCATED) for k in range(0, max(flat.size, 1), PACKED)
        ]
        return {
            "R": self.kernel.R,
            "b": self.kernel.b,
            "energy": number(self.kernel.energy),
            "untruncated": np.concatenate(packed),
        }

    def caches(self) -> State:
        """See ``PiecewiseFlow.caches``."""
        return self.kernel.caches()

    def restore(self, saved: Saved, caches: Saved | None) -> None:
        """See ``PiecewiseFlow.restore``; the subclass goes on with the log, pins and sums."""
        kernel = self.kernel
        kernel.R[:] = saved.array("R", "f8", kernel.R.shape)
        kernel.b[:] = saved.array("b", "f8", kernel.b.shape)
        kernel.energy = saved.number("energy")
        packed = saved.array("untruncated", "u1", (-(-self.pattern.size // 8),))
        bits = np.unpackbits(packed, count=self.pattern.size).reshape(self.pattern.shape)
        self.pattern[:] = np.where(bits == 1, UNTRUNCATED, TRUNCATED)
        self._field = None

    def _hold(self, pins: list[Group], weight: Array) -> None:
        """Pin these surfaces, and no others, with these weights (k,)."""
        self.pins, self.pin_weight = pins, weight
        self.kernel.hold(pins)

    # -- events ------------------------------------------------------------------------------------------------

    def conditions_at_start(self) -> list[EventRow]:
        """See ``PiecewiseFlow.conditions_at_start``."""
        return self.log.at_start()

    def observe(self, t: float) -> list[tuple[float, EventRow]]:
        """See ``PiecewiseFlow.observe``: every surface acts on the field."""
        return []

    def surfaces(self, change: Change | None) -> Surfaces:
        """See ``PiecewiseFlow.surfaces``: the pinned ones, the one that left, and all others at zero to rounding."""
        leaving: set[Key] = set()
        if change is not None:
            kind, which = change.what
            if kind != "parting":
                leaving.update([which] if kind == "surface" else self.pins[which])
        near = zip(*(index.tolist() for index in self._at_zero(at_start=change is None)), strict=True)
        pinned = self._pinned()
        chosen = grouped({*near, *pinned, *leaving}, self.pattern)
        return self._describe(chosen, pinned, self.pattern, leaving)

    def _pinned(self) -> dict[Key, float]:
        """Return the weight of each pinned surface."""
        pairs = zip(self.pins, self.pin_weight.tolist(), strict=True)
        return {key: weight for group, weight in pairs for key in group}

    def _describe(
        self, chosen: list[Group], pinned: dict[Key, float], pattern: Pattern, leaving: set[Key]
    ) -> Surfaces:
        self._chosen = chosen
        if not chosen:
            return NO_SURFACES
        weight = np.array(
            [
                np.mean([pinned.get(key, float(pattern[key] == UNTRUNCATED)) for key in group])
                for group in chosen
            ]
        )
        on, several = self._field_on(chosen), several_layers(chosen)
        local = on.about(weight)
        return Surfaces(
            side=np.array([common_side(group, pattern) for group in chosen], dtype=np.int64),
            weight=weight,
            leaving=np.array([not leaving.isdisjoint(group) for group in chosen], dtype=np.int64),
            field=on.about if several else lambda _: local,
            descend=(lambda: self._plain_descent(chosen).sides) if several else None,
        )

    def _plain_descent(self, chosen: list[Group]) -> Descent:
        """Go on from here by plain descent, with the acting points' chosen surfaces on the side where z is."""
        data, own = self.data, slice(0, self.data.n_own)
        untruncated = self.pattern[own] == UNTRUNCATED
        on = np.zeros_like(untruncated)
        on[tuple(members(chosen).T)] = True
        target, weight = data.target_of(own), data.weight_of(own)

        def moving(state: Pass, h: Array, R: Array, b: Array) -> tuple[Array, Array]:
            return self._velocity(state, h, R, b, target, weight)[1:]

        size = size_of(self.b, data.spread, data.y_tilde)
        surfaces = [group[0] for group in chosen]
        return plain_descent(
            data.x[own], size, moving, self.R, self.b, untruncated, on, surfaces, self._noise(own)
        )

    def descent_fallback(self) -> tuple[float, list[EventRow], Surfaces]:
        """See ``flows.interface.DescentFallback``."""
        own = slice(0, self.data.n_own)
        plain = self.pattern[own] == UNTRUNCATED
        z = forward_pass(self.data.x[own], self.R, self.b, lambda layer, _: plain[:, layer]).z
        near = np.nonzero(np.abs(z) <= NEAR * self._size * (1.0 + np.abs(z).max()))
        keys = zip(*(index.tolist() for index in near), strict=True)
        chosen = grouped({*keys, *self._pinned()}, self.pattern)
        end = self._plain_descent(chosen)
        self.R[:], self.b[:] = end.R, end.b
        self._field = None
        # What has come clear of its surface goes to that side; what is still close to it is settled anew, on it.
        self._chosen = chosen
        close = end.sides == PINNED
        rows = self.apply(np.where(close, (end.z > 0.0).astype(np.int64), end.sides), np.zeros(len(chosen)))
        still = [key for group, is_close in zip(chosen, close, strict=True) if is_close for key in group]
        groups = grouped(still, self.pattern)
        onto = np.zeros(end.path.size)
        if still:
            weight = np.array([common_side(group, self.pattern) for group in groups], dtype=np.float64)
            off, normals = self._off(groups, weight)
            onto[:] = -np.linalg.lstsq(normals, off, rcond=APART)[0]
            self._move(onto)
        self.kernel.energy += end.energy(onto)
        self.kernel.orthonormalise()
        self.kernel.moved()
        self._field = None
        return end.elapsed, rows, self._describe(groups, {}, self.pattern, set())

    def regroup(self, side: IntArray, weight: Array) -> Surfaces | None:
        """See ``PiecewiseFlow.regroup``: points come to coincide, or part, as an earlier layer's surface is settled."""
        if len(self.b) == 1:
            return None
        keys, sides, weights = self._spread(side, weight)
        pattern = self.pattern.copy()
        pattern[tuple(keys.T)] = sides
        chosen = grouped(_tuples(keys), pattern)
        if chosen == self._chosen:
            return None
        return self._describe(chosen, _held(keys, sides, weights), pattern, set())

    def _spread(self, side: IntArray, weight: Array) -> tuple[IntArray, IntArray, Array]:
        """Return the surfaces of all points of the chosen groups (k, 3), and the side and weight of each."""
        sizes = [len(group) for group in self._chosen]
        return members(self._chosen), np.repeat(side, sizes), np.repeat(weight, sizes)

    def apply(self, side: IntArray, weight: Array) -> list[EventRow]:
        """See ``PiecewiseFlow.apply``."""
        keys, sides, weights = self._spread(side, weight)
        before = self.pattern[tuple(keys.T)]
        self.pattern[tuple(keys.T)] = sides
        events: list[EventRow] = []
        for key, old, new in zip(_tuples(keys), before.tolist(), sides.tolist(), strict=True):
            events += self.log.passage(key, old, new)
        events += self.log.collapses()
        pinned = _held(keys, sides, weights)
        pins = grouped(pinned, self.pattern)
        self._hold(pins, np.array([np.mean([pinned[key] for key in group]) for group in pins]))
        self._count(keys, before, sides)
        self._field = None
        return events

    def at_rest(self) -> list[EventRow]:
        """See ``PiecewiseFlow.at_rest``."""
        size = self._size
        if np.abs(self._moving()).max() > MOVES * max(size, size**2):
            return []  # the usual case, which does not take a look at all points
        c, Om = self._field_at_rest()
        eps = float(np.finfo(np.float64).eps)
        if np.abs(c).max() > 8 * eps * size or np.abs(Om).max() > 32 * eps * size**2:
            return []
        return self.log.rest()


def _tuples(keys: IntArray) -> list[Key]:
    return [(i, layer, r) for i, layer, r in keys.tolist()]


def _held(keys: IntArray, sides: IntArray, weights: Array) -> dict[Key, float]:
    """Return the weights of those surfaces (k, 3) that are pinned."""
    held = sides == PINNED
    return dict(zip(_tuples(keys[held]), weights[held].tolist(), strict=True))
