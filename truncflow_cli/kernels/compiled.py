"""What the compiled kernels of both flows have in common; see ``kernels.interface.Kernel``."""

from __future__ import annotations

from typing import Any

import numpy as np

from truncflow_cli.errors import UserError
from truncflow_cli.kernels.header import header
from truncflow_cli.kernels.interface import Array, Coefficients, Crossings, Pattern, States, StepsTaken
from truncflow_cli.kernels.library import library
from truncflow_cli.kernels.structs import Struct, argument
from truncflow_cli.solver.step_control import StepControl

#: Events that ``step_many`` passes at most.
EVENTS_AHEAD = 1024


class CompiledKernel:
    """A struct ``Layer`` or ``Network``, and the functions that are named after it."""

    #: The struct, and what the names of its functions begin with.
    kind = prefix = ""
    #: How many training inputs there are.
    _inputs: float
    _pins: Struct

    def __init__(
        self,
        R: Array,
        pattern: Pattern,
        *,
        tolerance: float,
        floor: float,
        spread: float,
        clusters: int,
        order: int,
    ) -> None:
        layers, dim = R.size // R.shape[-1] ** 2, R.shape[-1]
        self._library, self._constants = library(), header().constants
        if dim > (most := self._constants["MOST_DIM"]):
            raise UserError(f"compiled code goes up to {most} dimensions, there are {dim}")
        self.R: Array = np.array(R, dtype=np.float64, order="C")
        self.b: Array = np.zeros(R.shape[:-1])
        self.pattern = pattern
        self._order, self._clusters = order, clusters
        self._struct = Struct(self.kind)
        self._c = c = self._struct.cdata
        self._state = Struct("State", c.state, layers=layers, dim=dim, R=self.R, b=self.b)
        self._state.allocate(R_next=R.shape, b_next=R.shape[:-1], truncated=(layers, dim))
        Struct("Accuracy", c.accuracy, tolerance=tolerance, floor=floor, spread=spread)
        n = order + 1
        self._taylor = Struct("Taylor", c.taylor, layers=layers, dim=dim, highest=order)
        self._taylor.allocate(R=(n, layers, dim, dim), b=(n, layers, dim), energy=(n,), row_length=(n, dim))
        self._log = Struct("EventLog", c.log)
        self._make_room_for_events(EVENTS_AHEAD)
        self._samples, self._most_samples = Struct("Samples", c.samples, clusters=clusters), -1

    def _call(self, name: str, *arguments: Any) -> Any:
        """Let the compiled code do something."""
        return getattr(self._library, f"{self.prefix}_{name}")(self._struct.address, *arguments)

    def _make_room_for_events(self, room: int) -> None:
        self._log.room = room
        self._log.allocate(**dict.fromkeys(("s", "point", "layer", "row", "side"), (room,)))

    # -- the state and its series ------------------------------------------------------------------------------

    @property
    def energy(self) -> float:
        return float(self._c.state.energy)

    @energy.setter
    def energy(self, value: float) -> None:
        self._c.state.energy = value

    @property
    def order(self) -> int:
        return int(self._c.taylor.order)

    @property
    def _truncated(self) -> Array:
        """(L, Q) training inputs that are truncated."""
        raise NotImplementedError

    @property
    def truncated_fraction(self) -> Array:
        return np.asarray(self._truncated / self._inputs)

    def orthonormalise(self) -> None:
        dim = self.R.shape[-1]
        scratch = np.empty((2, dim, dim))
        self._library.orthonormalise_all(argument(self.R), self.R.size // dim**2, dim, argument(scratch))

    def expand(self, reach: float, weight: Array, inverse: Array) -> float:
        if weight.size:
            self._pins.lam[0] = weight
            self._pins.inverse[:] = inverse
        self._reach = reach
        return float(self._call("expand", reach))

    def weights(self) -> Array:
        return np.asarray(self._pins.lam[: self.order])

    def coefficients(self) -> Coefficients:
        n, taylor = self.order + 1, self._taylor
        return Coefficients(taylor.R[:n].copy(), taylor.b[:n].copy(), taylor.energy[:n].copy())

    def advance(self, t: float) -> None:
        self._call("advance", t)

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> StepsTaken | None:
        if saved.size > self._most_samples:
            self._make_room_for_samples(self._samples, saved.size)
            self._most_samples = saved.size
        self._samples.set(size=saved.size, s=np.ascontiguousarray(saved))
        loop = self._c.loop
        loop.s, loop.lost, loop.reach, loop.before = control.s, control.lost, control.reach, control.s
        loop.s_end, loop.until = s_end, until
        loop.steps = loop.evaluations = loop.candidates = loop.roots = loop.sampled = loop.slowed = 0
        self._c.log.size = 0
        if self._call("step_many") == 0:
            return None
        log, events = self._log, slice(0, self._c.log.size)
        truncated = self._truncated if loop.unusual else self._state.truncated
        return StepsTaken(
            StepControl(loop.s, loop.lost, loop.reach),
            None if loop.unusual else loop.before,
            np.asarray(truncated / self._inputs),
            (loop.steps, loop.evaluations, loop.candidates, loop.roots),
            Crossings(
                *(getattr(log, name)[events].copy() for name in ("s", "point", "layer", "row", "side"))
            ),
            self._sampled(loop.sampled),
            bool(loop.slowed),
        )

    def _make_room_for_samples(self, samples: Struct, count: int) -> None:
        (layers, dim), clusters = self._state.truncated.shape, self._clusters
        samples.allocate(
            R=(count, layers, dim, dim), b=(count, layers, dim), beta=(count, layers, dim), energy=(count,),
            loss=(count, clusters), truncated=(count, layers, dim), lost=(clusters,),
        )  # fmt: skip

    def _sampled(self, count: int) -> dict[str, Array] | None:
        """Return the first ``count`` samples that the compiled loop has taken."""
        if count == 0:
            return None
        samples = self._samples
        names = {"beta": "beta", "R": "R", "loss_cluster": "loss", "energy": "energy"}
        result = {name: getattr(samples, field)[:count].copy() for name, field in names.items()}
        return {**result, "truncated_fraction": samples.truncated[:count] / self._inputs}

    def evaluate(self, coefficients: Coefficients, t: Array) -> States:
        order, (layers, dim) = coefficients.energy.size - 1, coefficients.b.shape[1:]
        R, b, energy = map(np.ascontiguousarray, (coefficients.R, coefficients.b, coefficients.energy))
        taylor = Struct("Taylor", layers=layers, dim=dim, highest=order, order=order, R=R, b=b, energy=energy)
        samples = Struct("Samples", size=t.size, s=np.ascontiguousarray(t))
        in_b = (t.size, layers, dim)
        samples.allocate(R=(*in_b, dim), b=in_b, beta=in_b, energy=(t.size,))
        self._library.evaluate_states(taylor.address, samples.address, argument(np.empty((2, dim, dim))))
        return States(samples.R, samples.b, samples.beta, samples.energy)

    def losses(self, R: Array, b: Array) -> Array:
        samples = Struct("Samples", size=len(b), clusters=self._clusters)
        samples.set(R=np.ascontiguousarray(R), b=np.ascontiguousarray(b))
        samples.allocate(loss=(len(b), self._clusters), lost=(self._clusters,))
        self._fill_losses(samples)
        return np.asarray(samples.loss)

    def _fill_losses(self, samples: Struct) -> None:
        """Fill in the losses of these samples."""
        raise NotImplementedError

    def first_exit(self, c: Array, h: float, noise: float) -> float:
        return first_exit(c, h, noise)


def first_exit(c: Array, h: float, noise: float) -> float:
    """Return when Σ c_n tⁿ, which ought to stay positive, falls below zero on [0, h], or -1.0, see ``polynomial.c``."""
    c = np.ascontiguousarray(c, dtype=np.float64)
    if c.size > (most := header().constants["MOST_TERMS"]):
        raise ValueError(f"a polynomial of {c.size} terms, at most {most}")
    return float(library().first_exit(argument(c), c.size, h, noise))
