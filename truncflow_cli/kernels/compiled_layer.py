"""One layer of `separated` in compiled code; see ``kernels.interface.LayerKernel``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from truncflow_cli.kernels import batch, series
from truncflow_cli.kernels import layer as compiled
from truncflow_cli.kernels.interface import (
    Array,
    Coefficients,
    Crossing,
    Crossings,
    Ints,
    States,
    StepsTaken,
)
from truncflow_cli.saved_state import Saved, State, integer
from truncflow_cli.solver.step_control import StepControl

if TYPE_CHECKING:
    from truncflow_cli.flows.layer_data import LayerData

#: Entries for which the near lists have room at first.
ROOM = 1024
#: The first step is as long as its series reaches: nearly every coordinate might cross in it, and would be listed. Of
#: more than so many, only those are that might cross in its beginning, where so many do if all do by its end.
MANY, LIKELY = 1 << 18, 10_000
#: Events that ``step_many`` passes at most.
EVENTS_AHEAD = 1024
#: Entries that near lists have room for in any case, generously.
MOST_SPARE = 1 << 16
#: Crossings that a step over many has room for at first.
CROSSINGS = 4096


class CompiledLayer:
    """See ``kernels.interface.LayerKernel``."""

    def __init__(
        self, points: LayerData, R: Array, *, tolerance: float, floor: float, printed: bool, order: int
    ) -> None:
        """Prepare for the state R, b = 0, with no coordinate's side known.

        Args:
            points: the points.
            R: (Q, Q).
            tolerance: share of the state that one step may be off.
            floor: size of the state below which it counts as this large.
            printed: whether Ω lacks its term −½ z zᵀ.
            order: the highest order of the series.
        """
        dim = points.x.shape[1]
        self.R = np.array(R, dtype=np.float64, order="C")
        self.b = np.zeros(dim)
        self._data = points
        self._order = order
        self._state = compiled.State(
            self.R, self.b, np.empty_like(self.R), np.empty_like(self.b), np.zeros(dim)
        )
        self._clock = np.zeros(compiled.CLOCK)
        self._counts = np.zeros(compiled.COUNTS, np.int64)
        self._points = compiled.Points(
            points.x, points.length, points.multiplicity, np.zeros(points.x.shape, np.int8), points.y_tilde
        )
        self.pattern = self._points.pattern
        self._moments = compiled.Moments(
            np.zeros((dim, dim + 1)),
            np.zeros((dim, dim, dim + 1)),
            np.array([points.total]),
            np.zeros(1, np.int64),
        )
        self._accuracy = compiled.Accuracy(not printed, tolerance, floor, points.spread)
        self._motion = compiled.motion_arrays(dim, order)
        self._work = compiled.work_arrays(dim, order)
        self._near = compiled.near_lists(dim, compiled.LEVELS, ROOM)
        self._log = _room_for_events(EVENTS_AHEAD)
        self._samples = compiled.sample_arrays(np.empty(0), dim)
        self.hold(np.empty(0, np.int64), np.empty(0, np.int64))

    def _act(self, task: int) -> int:
        """Let the compiled code do something, see ``kernels.layer.act``."""
        result = compiled.act(
            task, self._state, self._clock, self._points, self._moments, self._motion, self._work, self._pins,
            self._near, self._accuracy, self._log, self._samples, self._counts,
        )  # fmt: skip
        return int(result)

    # -- the state, its sums and pins --------------------------------------------------------------------------

    @property
    def energy(self) -> float:
        """See ``Kernel``."""
        return float(self._clock[compiled.ENERGY])

    @energy.setter
    def energy(self, value: float) -> None:
        self._clock[compiled.ENERGY] = value

    @property
    def refreshes(self) -> int:
        """See ``Kernel``."""
        return int(self._near.tally[compiled.REFRESHES])

    @property
    def truncated_fraction(self) -> Array:
        """See ``Kernel``."""
        return self._fraction(self._moments.m[:, -1])

    def _fraction(self, untruncated: Array) -> Array:
        return np.asarray(1.0 - untruncated / self._data.total)[None]

    def orthonormalise(self) -> None:
        """See ``Kernel``."""
        self._act(compiled.POLISH)

    def moved(self) -> None:
        """See ``Kernel``."""
        self._near.tally[compiled.TOP] = -1

    def moments(self) -> tuple[Array, Array, Array]:
        """See ``LayerKernel``."""
        dim, total = self.b.size, self._data.total
        m, M = self._moments.m / total, self._moments.M[:, :, :dim] / total
        return m[:, dim], m[:, :dim], M

    def sum_moments(self) -> None:
        """See ``LayerKernel``."""
        self._act(compiled.SUM)

    def count(self, points: Ints, rows: Ints, sign: float) -> None:
        """See ``LayerKernel``."""
        room = self._log.s.size
        self._clock[compiled.LENGTH] = sign
        for first in range(0, points.size, room):
            count = min(points.size - first, room)
            self._log.point[:count] = points[first : first + count]
            self._log.row[:count] = rows[first : first + count]
            self._counts[compiled.EVENTS] = count
            self._act(compiled.COUNT)

    def hold(self, point: Ints, row: Ints) -> None:
        """See ``LayerKernel``."""
        mass = self._data.multiplicity[point] / self._data.total
        inverse = np.zeros((point.size, point.size))
        self._pins = compiled.pin_arrays(row, self._data.x[point], mass, inverse, self._order)

    # -- the series --------------------------------------------------------------------------------------------

    @property
    def order(self) -> int:
        """See ``Kernel``."""
        return int(self._motion.order[0])

    def expand(self, reach: float, weight: Array, inverse: Array) -> float:
        """See ``Kernel``."""
        if weight.size:
            self._pins.lam[0] = weight
            self._pins.inverse[:] = inverse
        self._clock[compiled.REACH] = reach
        self._act(compiled.EXPAND)
        self._near.tally[compiled.HITS] = 0
        self._clock[compiled.NEARBY] = compiled.SOON * reach
        return float(self._clock[compiled.LENGTH])

    def weights(self) -> Array:
        """See ``Kernel``."""
        return self._pins.lam[: self.order]

    def coefficients(self) -> Coefficients:
        """See ``Kernel``."""
        n, motion = self.order + 1, self._motion
        return Coefficients(motion.R[:n, None].copy(), motion.b[:n, None].copy(), motion.energy[:n].copy())

    def first_crossing(self, h: float) -> Crossing:
        """See ``Kernel``."""
        clock, counts = self._clock, self._counts
        counts[:] = 0
        if self._near.tally[compiled.TOP] < 0 and self.pattern.size > MANY:
            clock[compiled.NEARBY] = min(float(clock[compiled.NEARBY]), h * LIKELY / self.pattern.size)
        while True:
            clock[compiled.LENGTH] = h
            k = self._act(compiled.CROSS)
            if k != -2:
                break
            self._make_room()
        surface = None
        if k >= 0:
            i, r = self._near.pool[self._near.hit[k]].tolist()
            surface = (i, 0, r)
        candidates, roots = counts[[compiled.CANDIDATES, compiled.ROOTS]].tolist()
        return Crossing(float(clock[compiled.LENGTH]), surface, candidates, roots)

    def _make_room(self) -> None:
        """Get longer near lists."""
        needs, made = (int(self._near.tally[k]) for k in (compiled.NEEDS, compiled.REFRESHES))
        self._near = compiled.near_lists(self.b.size, compiled.LEVELS, needs + needs // 4)
        self._near.tally[compiled.REFRESHES] = made

    def looked_at(self) -> tuple[Ints, Ints]:
        """See ``LayerKernel``."""
        hit = self._near.hit[: self._near.tally[compiled.HITS]]
        point, row = self._near.pool[hit].T.astype(np.int64)
        return point, row

    def foreign_crossings(self, t: float) -> list[tuple[float, int, int]]:
        """See ``LayerKernel``."""
        self._clock[compiled.LENGTH] = t
        found = self._act(compiled.WATCH)
        if found > self._log.s.size:
            self._log = _room_for_events(found)
            found = self._act(compiled.WATCH)
        times, entries = self._log.s[:found].tolist(), self._near.pool[self._log.point[:found]].tolist()
        return [(time, i, r) for time, (i, r) in zip(times, entries, strict=True)]

    def advance(self, t: float) -> None:
        """See ``Kernel``."""
        n, motion = self.order + 1, self._motion
        at = series.evaluate_states(motion.R[:n], motion.b[:n], motion.energy[:n], np.array([t]))
        self.R[:], self.b[:], self.energy = at.R[0], at.b[0], at.energy[0]

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> StepsTaken | None:
        """See ``Kernel``."""
        self._samples = compiled.sample_arrays(saved, self.b.size)
        clock, counts = self._clock, self._counts
        clock[[compiled.S, compiled.LOST, compiled.REACH, compiled.BEFORE]] = (
            control.s,
            control.lost,
            control.reach,
            control.s,
        )
        clock[[compiled.S_END, compiled.UNTIL]] = s_end, until
        counts[:] = 0
        if self._act(compiled.AHEAD) == 0:
            return None
        steps, orders, candidates, roots = counts[: compiled.ROOTS + 1].tolist()
        usual = counts[compiled.UNUSUAL] == 0
        log, events = self._log, slice(0, int(counts[compiled.EVENTS]))
        point = log.point[events].copy()
        return StepsTaken(
            StepControl(float(clock[compiled.S]), float(clock[compiled.LOST]), float(clock[compiled.REACH])),
            float(clock[compiled.BEFORE]) if usual else None,
            self._fraction(self._state.untruncated) if usual else self.truncated_fraction,
            (steps, orders, candidates, roots),
            Crossings(
                log.s[events].copy(), point, np.zeros_like(point), log.row[events].copy(), log.side[events]
            ),
            self._sampled(int(counts[compiled.SAMPLED])),
            bool(counts[compiled.SLOWED]),
        )

    def _sampled(self, count: int) -> dict[str, Array] | None:
        """Return the first ``count`` samples that the compiled loop has taken."""
        if count == 0:
            return None
        samples = self._samples
        return {
            "beta": samples.beta[:count, None],
            "R": samples.R[:count, None],
            "loss_cluster": samples.loss[:count, None],
            "energy": samples.energy[:count],
            "truncated_fraction": np.asarray(1.0 - samples.untruncated[:count] / self._data.total)[:, None],
        }

    def evaluate(self, coefficients: Coefficients, t: Array) -> States:
        """See ``Kernel``."""
        return series.evaluate_layers(coefficients, t)

    def losses(self, R: Array, b: Array) -> Array:
        """See ``Kernel``."""
        data = self._data
        R, b = np.ascontiguousarray(R[:, 0]), np.ascontiguousarray(b[:, 0])
        return series.cluster_losses(data.x, data.multiplicity, data.total, data.y_tilde, R, b)[:, None]

    def first_exit(self, c: Array, h: float, noise: float) -> float:
        """See ``Kernel``."""
        return series.first_exit(c, h, noise)

    # -- going on later ----------------------------------------------------------------------------------------

    def sums(self) -> State:
        """See ``Kernel``."""
        moments = self._moments
        return {"m": moments.m, "M": moments.M, "updates": moments.updates}

    def restore_sums(self, saved: Saved) -> None:
        """See ``Kernel``."""
        for name, array in self.sums().items():
            array[:] = saved.array(name, str(array.dtype), array.shape)

    def caches(self) -> State:
        """Return the near lists: which coordinates are looked at first, of several at once, is up to them."""
        near = self._near
        used = int(near.place[0, 1]) if near.tally[compiled.TOP] >= 0 else 0
        return {
            "state": near.state,
            "skin": near.skin,
            "place": near.place,
            "tally": near.tally,
            "scale": near.scale,
            "bound": near.bound,
            "point": near.pool[:used, 0].view("i4"),
            "row": near.pool[:used, 1].view("i4"),
            "z": near.z[:used],
            "room": integer(near.z.size),
        }

    def restore_caches(self, saved: Saved) -> None:
        """See ``Kernel``.

        Raises:
            UserError: they do not fit.
        """
        size, dim = self.pattern.shape
        most = 2 * (compiled.LEVELS * size * dim + MOST_SPARE)
        near = compiled.near_lists(dim, compiled.LEVELS, saved.integer("room", (1, most)))
        for name in ("state", "skin", "scale", "bound", "tally", "place"):
            array = getattr(near, name)
            array[:] = saved.array(name, str(array.dtype), array.shape)
        made = int(near.tally[compiled.TOP]) >= 0
        used = int(near.place[0, 1]) if made else 0
        levels = (-1 <= near.tally[compiled.TOP] < compiled.LEVELS) and (
            0 <= near.tally[compiled.LEVEL] < compiled.LEVELS
        )
        places = near.place[: near.tally[compiled.TOP] + 1]
        ordered = (places[:, 0] >= 0) & (places[:, 0] <= places[:, 1]) & (places[:, 1] <= used)
        if not (levels and ordered.all() and used <= near.z.size):
            raise saved.misfit("place")
        near.tally[compiled.HITS] = 0  # those of the step before; the next one has its own
        near.pool[:used, 0] = saved.array("point", "i4", (used,), (0, size))
        near.pool[:used, 1] = saved.array("row", "i4", (used,), (0, dim))
        near.z[:used] = saved.array("z", "f8", (used,))
        self._near = near


def _room_for_events(size: int) -> compiled.Log:
    return compiled.Log(
        np.empty(size), np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int8)
    )


@dataclass(frozen=True)
class BatchStep:
    """A step over many crossings.

    Attributes:
        h: its length.
        inside: what the trajectory is off by inside it.
        crossings: in order of time, point and coordinate.
        work: sweeps, orders and candidates.
    """

    h: float
    inside: float
    crossings: Crossings
    work: tuple[int, int, int]


class CompiledBatches(CompiledLayer):
    """``CompiledLayer`` that can also step over many crossings at once; see ``flows.separated_batched``."""

    def __init__(
        self, points: LayerData, R: Array, *, tolerance: float, floor: float, printed: bool, order: int
    ) -> None:
        super().__init__(points, R, tolerance=tolerance, floor=floor, printed=printed, order=order)
        self._batch = batch.batch_arrays(self.b.size, order, CROSSINGS)

    def step_over(self, h: float) -> BatchStep | None:
        """Step over the crossings on [0, h] at most; None if the sweeps do not agree.

        Patterns and moments are then those after the step, the state is that before it until ``arrive``.
        """
        self._batch.scalars[batch.LENGTH] = h
        while True:
            outcome = batch.batch_step(
                self._state, self.energy, self._points, self._moments, self._motion, self._work, self._near,
                self._accuracy, self._batch,
            )  # fmt: skip
            if outcome == batch.LISTS_FULL:
                self._make_room()
            elif outcome == batch.CROSSINGS_FULL:
                room = 2 * int(self._batch.tally[batch.CROSSINGS])
                longer = batch.batch_arrays(self.b.size, self._order, room)
                self._batch = replace(self._batch, time=longer.time, entry=longer.entry, side=longer.side)
            elif outcome == batch.DONE:
                break
            else:
                return None
        found, candidates, sweeps, orders = self._batch.tally.tolist()
        point, row = self._near.pool[self._batch.entry[:found]].T.astype(np.int64)
        order = np.lexsort((row, point, self._batch.time[:found]))
        crossings = Crossings(
            self._batch.time[:found][order],
            point[order],
            np.zeros(found, np.int64),
            row[order],
            self._batch.side[:found][order],
        )
        scalars = self._batch.scalars
        return BatchStep(
            float(scalars[batch.LENGTH]),
            float(scalars[batch.INSIDE]),
            crossings,
            (sweeps, orders, candidates),
        )

    def arrive(self, energy: float) -> None:
        """Move the state to the end of the last step over many crossings."""
        self.energy = energy
        self.R[:], self.b[:] = self._state.R_next, self._state.b_next

    def smooth_energy(self) -> Array:
        """Return the series of the dissipated energy, ∫ |J⊥u|² + ‖Ω‖², with all terms that the velocities' series have.

        The velocities follow the moments' polynomials. Their products are of twice the degree, and of one sign: what is
        cut off would add up from step to step.
        """
        n, work = self.order, self._work
        Om = work.Om[:n].reshape(n, -1)
        products = Om @ Om.T + work.Ju[:n] @ work.Ju[:n].T
        power = np.bincount(np.add.outer(np.arange(n), np.arange(n)).ravel(), products.ravel())
        return np.concatenate([self._motion.energy[:1], power / np.arange(1, 2 * n)])

    def caches(self) -> State:
        """See ``Kernel``."""
        return {**super().caches(), "m_rate": self._batch.m_rate, "M_rate": self._batch.M_rate}

    def restore_caches(self, saved: Saved) -> None:
        """See ``Kernel``."""
        super().restore_caches(saved)
        for name, rate in (("m_rate", self._batch.m_rate), ("M_rate", self._batch.M_rate)):
            rate[:] = saved.array(name, "f8", rate.shape)
