"""One layer of `separated` in compiled code; see ``kernels.interface.LayerKernel``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from truncflow_cli.kernels.compiled import CompiledKernel
from truncflow_cli.kernels.interface import Array, Crossing, Crossings, Group, Ints
from truncflow_cli.kernels.library import library
from truncflow_cli.kernels.structs import Struct, argument
from truncflow_cli.saved_state import Saved, State, integer

if TYPE_CHECKING:
    from truncflow_cli.flows.points import LayerPoints

#: Rounding error of a coordinate z, in units of |x| + |b|.
NOISE = 32 * float(np.finfo(np.float64).eps)
#: The next crossing is first looked for within this share of the reach, as in ``step_many.c``.
SOON = 0.75
#: Entries for which the neighbor lists have room at first.
ROOM = 1024
#: The first step is as long as its series reaches: nearly every coordinate might cross in it, and would be listed. Of
#: more than so many, only those are that might cross in its beginning, where so many do if all do by its end.
MANY, LIKELY = 1 << 18, 10_000
#: Entries that neighbor lists have room for in any case, generously.
MOST_SPARE = 1 << 16
#: Crossings that a step over many has room for at first.
CROSSINGS = 4096
#: The bounds of displacements, in the order in which they are saved.
BOUNDS = ("turn", "shift", "rest_turn", "rest_shift", "step_turn", "step_shift")
#: The numbers of the neighbor lists, in the order in which they are saved.
TALLY = ("top", "level", "refreshes", "needs", "hits")


class CompiledLayer(CompiledKernel):
    """See ``kernels.interface.LayerKernel``."""

    kind, prefix = "Layer", "layer"

    def __init__(
        self, points: LayerPoints, R: Array, *, tolerance: float, floor: float, printed: bool, order: int
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
        size, dim = points.x.shape
        super().__init__(
            R, np.zeros((size, dim), np.int8), tolerance=tolerance, floor=floor, spread=points.spread, clusters=1,
            order=order,
        )  # fmt: skip
        c, n = self._c, order + 1
        self._data, self._inputs = points, points.total
        c.accuracy.with_zz = not printed
        self._points = Struct("Points", c.points)
        self._set_points(self._points)
        self._points.pattern = self.pattern
        self._moments = Struct("Moments", c.moments, dim=dim, total=points.total)
        self._moments.allocate(m=(dim, dim + 1), M=(dim, dim, dim + 1))
        self._work = Struct("LayerWork", c.work)
        self._work.allocate(
            rows=(n, dim, dim + 1), columns=(n, dim + 2, dim), B=(n, dim, dim + 2), Om=(n, dim, dim), Ju=(n, dim),
            u=(n, dim), P=(dim, dim),
        )  # fmt: skip
        self._near = self._lists(ROOM)
        self.hold([])

    def _set_points(self, points: Struct) -> None:
        data = self._data
        points.set(
            dim=data.x.shape[1], size=data.x.shape[0], own=data.multiplicity.size, noise=NOISE, x=data.x,
            length=data.length, weight=data.multiplicity, y_tilde=data.y_tilde,
        )  # fmt: skip

    def _lists(self, room: int, refreshes: int = 0) -> Struct:
        """Return empty neighbor lists with ``room`` entries in all."""
        dim, levels = self.b.size, self._constants["LEVELS"]
        near = Struct(
            "NeighborLists", self._c.near, dim=dim, room=room, top=-1, level=0, refreshes=refreshes, hits=0
        )
        near.set(ratio=1.0, horizon=1.0)
        near.allocate(
            state=(levels, dim, dim + 1), skin=(levels,), place=(levels,), pool=(room,), z=(room,), hit=(room,),
            line=(room,), **dict.fromkeys(BOUNDS, (dim,)),
        )  # fmt: skip
        return near

    # -- the state, its sums and pins --------------------------------------------------------------------------

    @property
    def refreshes(self) -> int:
        return int(self._c.near.refreshes)

    @property
    def _truncated(self) -> Array:
        return np.asarray(self._data.total - self._moments.m[None, :, -1])

    def moved(self) -> None:
        self._c.near.top = -1

    def moments(self) -> tuple[Array, Array, Array]:
        dim, total = self.b.size, self._data.total
        m, M = self._moments.m / total, self._moments.M[:, :, :dim] / total
        return m[:, dim], m[:, :dim], M

    def sum_moments(self) -> None:
        self._call("sum_moments")

    def count(self, points: Ints, rows: Ints, sign: float) -> None:
        pair = [argument(np.ascontiguousarray(index, dtype=np.int64)) for index in (points, rows)]
        self._call("count_points", *pair, points.size, sign)

    def hold(self, pins: Sequence[Group]) -> None:
        point, _, row = np.array([group[0] for group in pins], np.int64).reshape(-1, 3).T.copy()
        k, n, dim = point.size, self._order + 1, self.b.size
        mass = self._data.multiplicity[point] / self._data.total
        self._pins = Struct("LayerPins", self._c.pins, size=k, row=row, x=self._data.x[point], mass=mass)
        self._pins.allocate(inverse=(k, k), lam=(n, k), v=(n, k), z=(n, k, dim), residual=(k,))

    # -- crossings ---------------------------------------------------------------------------------------------

    def expand(self, reach: float, weight: Array, inverse: Array) -> float:
        self._c.near.hits = 0
        return super().expand(reach, weight, inverse)

    def first_crossing(self, h: float) -> Crossing:
        loop, near = self._c.loop, self._c.near
        loop.candidates = loop.roots = 0
        soon = SOON * self._reach
        if near.top < 0 and self.pattern.size > MANY:
            soon = min(soon, h * LIKELY / self.pattern.size)
        while (k := self._call("first_crossing", h, soon)) == self._constants["LISTS_FULL"]:
            self._make_room()
        surface = None
        if k >= 0:
            i, r = self._near.pool[self._near.hit[k]].tolist()
            surface = (i, 0, r)
        return Crossing(self._c.crossing, surface, loop.candidates, loop.roots)

    def _make_room(self) -> None:
        """Get longer neighbor lists."""
        needs = self._c.near.needs
        self._near = self._lists(needs + needs // 4, self.refreshes)

    def looked_at(self) -> tuple[Ints, Ints]:
        return self._pairs(self._near.hit[: self._c.near.hits])

    def _pairs(self, entries: Ints) -> tuple[Ints, Ints]:
        """Return points and coordinates of entries of the lists."""
        pool = self._near.pool[entries]
        return pool["point"].astype(np.int64), pool["row"].astype(np.int64)

    def foreign_crossings(self, t: float) -> list[tuple[float, int, int]]:
        found = self._call("foreign_crossings", t)
        if found > self._c.log.room:
            self._make_room_for_events(found)
            found = self._call("foreign_crossings", t)
        point, row = self._pairs(self._log.point[:found])
        return list(zip(self._log.s[:found].tolist(), point.tolist(), row.tolist(), strict=True))

    def _fill_losses(self, samples: Struct) -> None:
        self._library.layer_losses(self._points.address, self._data.total, samples.address)

    # -- going on later ----------------------------------------------------------------------------------------

    def sums(self) -> State:
        moments = self._moments
        return {"m": moments.m, "M": moments.M, "updates": np.array([moments.updates])}

    def restore_sums(self, saved: Saved) -> None:
        for name, array in (("m", self._moments.m), ("M", self._moments.M)):
            array[:] = saved.array(name, "f8", array.shape)
        self._moments.updates = int(saved.array("updates", "i8", (1,))[0])

    def caches(self) -> State:
        """Return the neighbor lists: which coordinates are looked at first, of several at once, is up to them."""
        near = self._near
        used = int(near.place["end"][0]) if near.top >= 0 else 0
        return {
            "state": near.state,
            "skin": near.skin,
            "place": near.place.view(np.int64).reshape(-1, 2),
            "tally": np.array([getattr(near, name) for name in TALLY]),
            "scale": np.array([near.ratio, near.horizon]),
            "bound": np.array([getattr(near, name) for name in BOUNDS]),
            "point": near.pool["point"][:used].view("i4"),
            "row": near.pool["row"][:used].view("i4"),
            "z": near.z[:used],
            "room": integer(near.room),
        }

    def restore_caches(self, saved: Saved) -> None:
        """See ``Kernel``.

        Raises:
            UserError: they do not fit.
        """
        (size, dim), levels = self.pattern.shape, self._constants["LEVELS"]
        room = saved.integer("room", (1, 2 * (levels * size * dim + MOST_SPARE)))
        tally = dict(zip(TALLY, saved.array("tally", "i8", (len(TALLY),)).tolist(), strict=True))
        place = saved.array("place", "i8", (levels, 2))
        used = int(place[0, 1]) if tally["top"] >= 0 else 0
        places = place[: tally["top"] + 1]
        ordered = (places[:, 0] >= 0) & (places[:, 0] <= places[:, 1]) & (places[:, 1] <= used)
        if not (
            -1 <= tally["top"] < levels and 0 <= tally["level"] < levels and ordered.all() and used <= room
        ):
            raise saved.misfit("place")
        near = self._near = self._lists(room)
        near.set(**{**tally, "hits": 0})  # those of the step before; the next one has its own
        near.ratio, near.horizon = saved.array("scale", "f8", (2,)).tolist()
        near.place["begin"], near.place["end"] = place.T
        for name, bound in zip(BOUNDS, saved.array("bound", "f8", (len(BOUNDS), dim)), strict=True):
            getattr(near, name)[:] = bound
        for name in ("state", "skin"):
            array = getattr(near, name)
            array[:] = saved.array(name, "f8", array.shape)
        near.pool["point"][:used] = saved.array("point", "i4", (used,), (0, size))
        near.pool["row"][:used] = saved.array("row", "i4", (used,), (0, dim))
        near.z[:used] = saved.array("z", "f8", (used,))


def cluster_losses(x: Array, weight: Array, total: float, y_tilde: Array, R: Array, b: Array) -> Array:
    """See ``kernels.cluster_losses``."""
    size, dim = x.shape
    points = Struct("Points", dim=dim, size=size, own=weight.size, x=x, weight=weight, y_tilde=y_tilde)
    samples = Struct("Samples", size=len(b), clusters=1, R=R, b=b)
    samples.allocate(loss=(len(b),))
    library().layer_losses(points.address, total, samples.address)
    return np.asarray(samples.loss)


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

    def __init__(self, points: LayerPoints, R: Array, **how: Any) -> None:
        super().__init__(points, R, **how)
        dim, constants = self.b.size, self._constants
        shares, padded = constants["DEGREE"] + 2, (dim + 4) // 4 * 4
        self._batch = Struct("Batch", dim=dim)
        self._batch.allocate(
            m=(shares, dim, dim + 1), M=(shares, dim, dim, dim + 1), q=(self._order + 1, dim), m_rate=(dim, dim + 1),
            M_rate=(dim, dim, dim + 1), before=(2, dim, dim + 1), bucket=(constants["BUCKET"], padded),
            waiting=(dim, constants["BUCKET"] + 1),
        )  # fmt: skip
        self._make_room_for_crossings(CROSSINGS)

    def _make_room_for_crossings(self, room: int) -> None:
        self._batch.room = room
        self._batch.allocate(time=(room,), entry=(room,), side=(room,))

    def step_over(self, h: float) -> BatchStep | None:
        """Step over the crossings on [0, h] at most; None if the sweeps do not agree.

        Patterns and moments are then those after the step, the state is that before it until ``arrive``.
        """
        batch, constants = self._batch, self._constants
        batch.length = h
        while (outcome := self._call("batch_step", batch.address)) != constants["DONE"]:
            if outcome == constants["NEEDS_LISTS"]:
                self._make_room()
            elif outcome == constants["NEEDS_CROSSINGS"]:
                self._make_room_for_crossings(2 * batch.crossings)
            else:
                return None
        found = slice(0, batch.crossings)
        point, row = self._pairs(batch.entry[found])
        time, side = batch.time[found], batch.side[found]
        order = np.lexsort((row, point, time))
        crossings = Crossings(time[order], point[order], np.zeros_like(point), row[order], side[order])
        return BatchStep(
            batch.length, batch.inside, crossings, (batch.sweeps, batch.evaluations, batch.candidates)
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
        return np.concatenate([self._taylor.energy[:1], power / np.arange(1, 2 * n)])

    def caches(self) -> State:
        return {**super().caches(), "m_rate": self._batch.m_rate, "M_rate": self._batch.M_rate}

    def restore_caches(self, saved: Saved) -> None:
        super().restore_caches(saved)
        for name, rate in (("m_rate", self._batch.m_rate), ("M_rate", self._batch.M_rate)):
            rate[:] = saved.array(name, "f8", rate.shape)
