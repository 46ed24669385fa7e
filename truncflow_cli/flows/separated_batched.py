"""Flow `separated` with very many points: steps over many crossings, which are located afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from truncflow_cli.events import EventLog, GrowingLog
from truncflow_cli.flows.interface import ManySteps
from truncflow_cli.flows.layer_data import LayerData
from truncflow_cli.flows.layer_series import LayerSeries
from truncflow_cli.flows.separated import MAX_ORDER, LayerFlow
from truncflow_cli.kernels import batch as compiled
from truncflow_cli.kernels.layer import ENERGY, REFRESHES
from truncflow_cli.patterns import TRUNCATED, UNTRUNCATED
from truncflow_cli.problem import Array, IntArray
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
#: Crossings that there is room for at first.
ROOM = 4096


@dataclass(frozen=True)
class BatchSeries(LayerSeries):
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
                self.row[:passed], weights=self.change[:passed], minlength=self.data.dim
            )
        return result


class BatchedLayerFlow(LayerFlow):
    """``LayerFlow`` that runs ahead over many crossings at once, where they are many.

    ``rtol`` also bounds what the trajectory may be off by inside a step, relative to the state. Pins are left to
    ``LayerFlow``, and so is what does not come to agree.
    """

    def __init__(
        self, data: LayerData, R: Array, beta: Array, *, rtol: float, atol: float, printed: bool
    ) -> None:
        super().__init__(data, R, beta, rtol=rtol, atol=atol, printed=printed)
        self._inside = INSIDE_SHARE * rtol
        self._length = 0.0
        self._pause = 0
        self._batch = compiled.batch_arrays(data.dim, MAX_ORDER, ROOM)

    def caches(self) -> State:
        """See ``PiecewiseFlow.caches``."""
        return {
            **super().caches(),
            "length": number(self._length),
            "pause": integer(self._pause),
            "m_rate": self._batch.m_rate,
            "M_rate": self._batch.M_rate,
        }

    def restore(self, saved: Saved, caches: Saved | None) -> None:
        """See ``PiecewiseFlow.restore``."""
        super().restore(saved, caches)
        if caches is not None:
            self._length, self._pause = caches.number("length"), caches.integer("pause")
            for name, rate in (("m_rate", self._batch.m_rate), ("M_rate", self._batch.M_rate)):
                rate[:] = caches.array(name, "f8", rate.shape)

    def restored_output(self, saved: Saved) -> LayerSeries:
        """See ``PiecewiseFlow.restored_output``."""
        plain = super().restored_output(saved)
        if "time" not in saved:
            return plain
        time = saved.array("time", "f8", (None,))
        row = saved.array("row", "i8", time.shape, (0, self.data.dim))
        change = saved.array("change", "f8", time.shape)
        return BatchSeries(**vars(plain), time=time, row=row, change=change)

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> ManySteps | None:
        """See ``StepsMany.step_many``."""
        if self._pause > 0:
            self._pause -= 1
            return super().step_many(control, s_end, until, saved)
        octave = next_octave(control.s)
        until = min(until, octave, *saved[:1])
        events = GrowingLog()
        ahead: ManySteps | None = None
        while not (self.pin_row.size or self._pause) and (ahead is None or control.s < min(until, s_end)):
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
        start = self._moments.m[:, -1].copy()
        self._batch.scalars[compiled.LENGTH] = min(self._length or FIRST * s_end, left)
        if not self._succeeds():
            self._length *= SHORTER
            self._pause = 1
            return None
        scalars, tally = self._batch.scalars, self._batch.tally
        h, found = float(scalars[compiled.LENGTH]), int(tally[compiled.CROSSINGS])
        taken = scalars[compiled.INSIDE] <= TOO_FAR * self._inside
        self.counters.add(
            int(tally[compiled.SWEPT]),
            int(tally[compiled.ORDERS]),
            int(tally[compiled.CANDIDATES]),
            found if taken else 0,
        )
        self.counters.refreshes = int(self._near.tally[REFRESHES])
        if not taken:
            self._take_back(found)
            self._plan(h, found)
            return None
        series, events = self._passed_in_step(control.s, found, start)
        self._clock[ENERGY] = np.polynomial.polynomial.polyval(h, series.energy)
        self.R[:], self.b[:] = self._state.R_next, self._state.b_next
        self._plan(h, found)
        s, lost = (s_end, 0.0) if h >= left else later(control.s, control.lost, h)
        reach = 2.0 * h / found if found else control.reach
        return ManySteps(
            StepControl(min(s, s_end), lost, reach), control.s, series, events, None, may_rest=False
        )

    def _succeeds(self) -> bool:
        """Take the step that ``_batch`` asks for, with as much room as it needs."""
        while True:
            outcome = compiled.batch_step(
                self._state, self.energy, self._points, self._moments, self._motion, self._work, self._near,
                self._accuracy, self._batch,
            )  # fmt: skip
            if outcome == compiled.LISTS_FULL:
                self._make_room()
            elif outcome == compiled.CROSSINGS_FULL:
                room = 2 * int(self._batch.tally[compiled.CROSSINGS])
                longer = compiled.batch_arrays(self.data.dim, MAX_ORDER, room)
                self._batch = replace(self._batch, time=longer.time, entry=longer.entry, side=longer.side)
            else:
                return bool(outcome == compiled.DONE)

    def _take_back(self, found: int) -> None:
        """Give the coordinates that have crossed, and the moments, the sides that they had before the step."""
        crossed = self._near.pool[self._batch.entry[:found]].astype(np.int64)
        pairs, times = np.unique(crossed, axis=0, return_counts=True)
        i, r = pairs[times % 2 == 1].T
        own = i < self.data.n_own
        up = self.pattern[i, r] == TRUNCATED
        self.pattern[i, r] = np.where(up, UNTRUNCATED, TRUNCATED)
        for back, sign in ((up, 1.0), (~up, -1.0)):
            self._count(i[own & back], r[own & back], sign)

    def _plan(self, h: float, found: int) -> None:
        """Choose the next step's length: what it is off by inside grows with its power 3/2, if crossings are random."""
        off = float(self._batch.scalars[compiled.INSIDE])
        factor = (self._inside / off) ** (2 / 3) if off > 0.0 else LONGER
        self._length = h * min(max(factor, SHORTER), LONGER)
        if factor < LONGER and found * self._length < FEW * h:
            self._pause = PAUSE

    def _passed_in_step(self, s: float, found: int, start: Array) -> tuple[BatchSeries, EventLog]:
        """Return the trajectory along the step, and its events; ``start`` (Q,) own points were untruncated before."""
        batch = self._batch
        i, r = self._near.pool[batch.entry[:found]].T.astype(np.int64)
        order = np.lexsort((r, i, batch.time[:found]))
        i, r, side, time = i[order], r[order], batch.side[:found][order], batch.time[:found][order]
        own = i < self.data.n_own
        change = (
            np.where(side[own] == UNTRUNCATED, -1.0, 1.0) * self.data.multiplicity[i[own]] / self.data.total
        )
        smooth = self._series(start)
        energy = self._whole_energy()
        higher = np.zeros(energy.size - smooth.energy.size)
        series = BatchSeries(
            self.data,
            np.concatenate([smooth.R, np.multiply.outer(higher, smooth.R[0])]),
            np.concatenate([smooth.b, np.multiply.outer(higher, smooth.b[0])]),
            energy,
            smooth.truncated_fraction,
            time[own],
            r[own],
            change,
        )
        return series, self.log.passed(s + time, i, r, side)

    def _whole_energy(self) -> Array:
        """Return the series of the dissipated energy, ∫ |J⊥u|² + ‖Ω‖², with all terms that the velocities' series have.

        The velocities follow the moments' polynomials. Their products are of twice the degree, and of one sign: what is
        cut off would add up from step to step.
        """
        n, work = self._order, self._work
        Om = work.Om[:n].reshape(n, -1)
        products = Om @ Om.T + work.Ju[:n] @ work.Ju[:n].T
        power = np.bincount(np.add.outer(np.arange(n), np.arange(n)).ravel(), products.ravel())
        return np.concatenate([self._motion.energy[:1], power / np.arange(1, 2 * n)])
