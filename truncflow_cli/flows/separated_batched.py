"""Flow `separated` with very many points: steps over many crossings, which are located afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from truncflow_cli.events import GrowingLog
from truncflow_cli.flows.interface import ManySteps
from truncflow_cli.flows.points import LayerPoints
from truncflow_cli.flows.separated import LayerFlow
from truncflow_cli.flows.taylor import TaylorOutput
from truncflow_cli.kernels import Backend
from truncflow_cli.kernels.compiled_layer import BatchStep, CompiledBatches
from truncflow_cli.kernels.interface import Coefficients, Crossings
from truncflow_cli.problem import TRUNCATED, UNTRUNCATED, Array, IntArray
from truncflow_cli.saved_state import Saved, State, integer, number
from truncflow_cli.solver.step_control import StepControl, later, next_octave

#: Share of the tolerance that the trajectory may be off by inside a step.
INSIDE_SHARE = 0.3
#: The first step, as a share of the run; the next ones find their length soon.
FIRST = 1e-6
#: How much longer or shorter a step may be than the one before.
LONGER, SHORTER = 4.0, 0.1
#: A step that turns out to be off by this many times what it may be is taken back.
TOO_FAR = 10.0
#: With fewer crossings in a step than this, going from one to the next is quicker.
FEW = 32
#: How many stretches are then gone through like that before steps are tried again.
PAUSE = 16


@dataclass(frozen=True)
class BatchOutput(TaylorOutput):
    """A step over many crossings; ``truncated_fraction`` is that at its start.

    Attributes:
        time: (E,) when the own points cross, in order.
        row: (E,) their coordinates.
        change: (E,) what that adds to the coordinate's truncated fraction.
    """

    time: Array
    row: IntArray
    change: Array

    def state(self) -> State:
        """See ``flows.interface.DenseOutput.state``."""
        return {**super().state(), "time": self.time, "row": self.row, "change": self.change}

    def sample(self, t: Array) -> dict[str, Array]:
        """See ``flows.interface.DenseOutput.sample``."""
        result = super().sample(t)
        for k, passed in enumerate(np.searchsorted(self.time, t, side="right")):
            result["truncated_fraction"][k, 0] += np.bincount(
                self.row[:passed], weights=self.change[:passed], minlength=self.center.size
            )
        return result


class BatchedLayerFlow(LayerFlow):
    """``LayerFlow`` that runs ahead over many crossings at once, where they are many.

    ``rtol`` also bounds what the trajectory may be off by inside a step, relative to the state. Pins are left to
    ``LayerFlow``, and so is what does not come to agree.
    """

    kernel: CompiledBatches

    def __init__(
        self, data: LayerPoints, R: Array, beta: Array, *, rtol: float, atol: float, printed: bool
    ) -> None:
        super().__init__(data, R, beta, rtol=rtol, atol=atol, printed=printed)
        self._inside = INSIDE_SHARE * rtol
        self._length = 0.0
        self._pause = 0

    def _make_kernel(self, backend: Backend) -> Callable[..., CompiledBatches]:
        return CompiledBatches

    def caches(self) -> State:
        """See ``PiecewiseFlow.caches``."""
        return {
            **super().caches(),
            "length": number(self._length),
            "pause": integer(self._pause),
        }

    def restore(self, saved: Saved, caches: Saved | None) -> None:
        """See ``PiecewiseFlow.restore``."""
        super().restore(saved, caches)
        if caches is not None:
            self._length, self._pause = caches.number("length"), caches.integer("pause")

    def restored_output(self, saved: Saved) -> TaylorOutput:
        """See ``PiecewiseFlow.restored_output``."""
        plain = super().restored_output(saved)
        if "time" not in saved:
            return plain
        time = saved.array("time", "f8", (None,))
        row = saved.array("row", "i8", time.shape, (0, self.data.dim))
        change = saved.array("change", "f8", time.shape)
        return BatchOutput(**vars(plain), time=time, row=row, change=change)

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> ManySteps | None:
        """See ``StepsMany.step_many``."""
        if self._pause > 0:
            self._pause -= 1
            return super().step_many(control, s_end, until, saved)
        octave = next_octave(control.s)
        until = min(until, octave, *saved[:1])
        events = GrowingLog()
        ahead: ManySteps | None = None
        while not (self.pins or self._pause) and (ahead is None or control.s < min(until, s_end)):
            step = self._step(control, s_end)
            if step is None:
                break
            ahead, control = step, step.control
            events.add(step.events)
        if ahead is None:
            return super().step_many(control, s_end, until, saved)
        return replace(ahead, events=events.taken(), may_rest=control.s >= octave)

    def _step(self, control: StepControl, s_end: float) -> ManySteps | None:
        """Take one step over the crossings in it; None if that cannot be done."""
        left = s_end - control.s
        start = self.kernel.truncated_fraction
        step = self.kernel.step_over(min(self._length or FIRST * s_end, left))
        if step is None:
            self._length *= SHORTER
            self._pause = 1
            return None
        h, found = step.h, step.crossings.s.size
        taken = step.inside <= TOO_FAR * self._inside
        self.counters.add(*step.work, found if taken else 0)
        self.counters.refreshes = self.kernel.refreshes
        if not taken:
            self._take_back(step.crossings)
            self._plan(step)
            return None
        series = self._passed_in_step(step.crossings, start)
        events = self.log.passed(replace(step.crossings, s=control.s + step.crossings.s))
        self.kernel.arrive(float(np.polynomial.polynomial.polyval(h, series.path.energy)))
        self._plan(step)
        s, lost = (s_end, 0.0) if h >= left else later(control.s, control.lost, h)
        reach = 2.0 * h / found if found else control.reach
        return ManySteps(
            StepControl(min(s, s_end), lost, reach), control.s, series, events, None, may_rest=False
        )

    def _take_back(self, crossed: Crossings) -> None:
        """Give the coordinates that have crossed, and the moments, the sides that they had before the step."""
        pairs, times = np.unique(np.column_stack([crossed.point, crossed.row]), axis=0, return_counts=True)
        i, r = pairs[times % 2 == 1].T
        own = i < self.data.n_own
        up = self.pattern[i, 0, r] == TRUNCATED
        self.pattern[i, 0, r] = np.where(up, UNTRUNCATED, TRUNCATED)
        for back, sign in ((up, 1.0), (~up, -1.0)):
            self.kernel.count(i[own & back], r[own & back], sign)

    def _plan(self, step: BatchStep) -> None:
        """Choose the next step's length: what it is off by inside grows with its power 3/2, if crossings are random."""
        factor = (self._inside / step.inside) ** (2 / 3) if step.inside > 0.0 else LONGER
        self._length = step.h * min(max(factor, SHORTER), LONGER)
        if factor < LONGER and step.crossings.s.size * self._length < FEW * step.h:
            self._pause = PAUSE

    def _passed_in_step(self, crossed: Crossings, start: Array) -> BatchOutput:
        """Return the trajectory along the step; ``start`` (1, Q) is what was truncated before."""
        own = crossed.point < self.data.n_own
        row, multiplicity = crossed.row[own], self.data.multiplicity[crossed.point[own]]
        change = np.where(crossed.side[own] == UNTRUNCATED, -1.0, 1.0) * multiplicity / self.data.total
        smooth, energy = self.kernel.coefficients(), self.kernel.smooth_energy()
        higher = np.zeros(energy.size - smooth.energy.size)
        path = Coefficients(
            np.concatenate([smooth.R, np.multiply.outer(higher, smooth.R[0])]),
            np.concatenate([smooth.b, np.multiply.outer(higher, smooth.b[0])]),
            energy,
        )
        return BatchOutput(self.kernel, self.data.center, path, start, crossed.s[own], row, change)
