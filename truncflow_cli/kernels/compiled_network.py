"""All layers of `general` in compiled code, the points by cells; see ``kernels.interface.NetworkKernel``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from truncflow_cli.kernels import network as compiled
from truncflow_cli.kernels import series
from truncflow_cli.kernels.interface import (
    Array,
    Coefficients,
    Crossing,
    Crossings,
    Group,
    Ints,
    States,
    StepsTaken,
)
from truncflow_cli.patterns import UNTRUNCATED
from truncflow_cli.saved_state import Saved, State, integer
from truncflow_cli.solver.step_control import StepControl

if TYPE_CHECKING:
    from truncflow_cli.flows.general_data import GeneralData

#: Events that ``step_many`` passes at most, and points that are moved in one go.
EVENTS_AHEAD = 1024
#: Cells that there is room for beyond those that there are.
SPARE_CELLS = 64


class CompiledNetwork:
    """See ``kernels.interface.NetworkKernel``."""

    def __init__(self, points: GeneralData, R: Array, *, tolerance: float, floor: float, order: int) -> None:
        """Prepare for the state R, b = 0, with no coordinate's side known.

        Args:
            points: the points.
            R: (L, Q, Q).
            tolerance: share of the state that one step may be off.
            floor: size of the state below which it counts as this large.
            order: the highest order of the series.
        """
        size, dim = points.x.shape
        layers = R.shape[0]
        self.R = np.array(R, dtype=np.float64, order="C")
        self.b = np.zeros((layers, dim))
        self.noise = np.zeros(size)
        self._data = points
        self._order = order
        self._state = compiled.State(
            self.R, self.b, np.empty_like(self.R), np.empty_like(self.b), np.zeros((layers, dim))
        )
        self._clock, self._counts = np.zeros(compiled.CLOCK), np.zeros(compiled.COUNTS, np.int64)
        self._cloud = compiled.Cloud(
            points.x,
            points.length,
            points.weight,
            points.multiplicity,
            points.target,
            points.label,
            self.noise,
            np.zeros((size, layers, dim), np.int8),
            np.zeros((size, layers, dim), np.int32),
            np.full(size, -1, np.int64),
        )
        self.pattern = self._cloud.pattern
        self._course = _course(layers, dim, order)
        self._watch = _watch(size, layers, dim, order)
        self._log = compiled.Passed(
            s=np.zeros(EVENTS_AHEAD),
            point=np.zeros(EVENTS_AHEAD, np.int64),
            layer=np.zeros(EVENTS_AHEAD, np.int64),
            row=np.zeros(EVENTS_AHEAD, np.int64),
            side=np.zeros(EVENTS_AHEAD, np.int8),
        )
        self._samples = compiled.sample_arrays(np.empty(0), layers, dim, points.n_clusters)
        self._accuracy = compiled.Accuracy(tolerance, floor, points.spread)
        self._together = True
        self.hold([])
        self._make_room(1)

    def _act(self, task: int) -> int:
        """Let the compiled code do something, see ``kernels.network.act``."""
        result = compiled.act(
            task, self._state, self._clock, self._cloud, self._cells, self._tree, self._course, self._room,
            self._held, self._watch, self._accuracy, self._log, self._samples, self._counts,
        )  # fmt: skip
        return int(result)

    # -- the state and its pins --------------------------------------------------------------------------------

    @property
    def energy(self) -> float:
        """See ``Kernel``."""
        return float(self._clock[compiled.ENERGY])

    @energy.setter
    def energy(self, value: float) -> None:
        self._clock[compiled.ENERGY] = value

    @property
    def refreshes(self) -> int:
        """See ``Kernel``: deadlines are made anew one by one."""
        return 0

    @property
    def truncated_fraction(self) -> Array:
        """See ``Kernel``."""
        return np.asarray(self._cells.truncated / self._cloud.inputs.sum(), dtype=np.float64)

    def orthonormalise(self) -> None:
        """See ``Kernel``."""
        self._act(compiled.POLISH)

    def moved(self) -> None:
        """See ``Kernel``."""
        self._watch.due[:] = -np.inf
        self._watch.way[:, compiled.HORIZON] = -np.inf

    def set_scale(self, way: float, slack: float) -> None:
        """See ``NetworkKernel``."""
        self._watch.scale[:] = way, compiled.SLACK * slack

    def hold(self, pins: Sequence[Group]) -> None:
        """See ``NetworkKernel``."""
        self._pins = list(pins)
        n, (layers, dim) = self._order + 1, self.b.shape
        surface = np.array([members[0] for members in pins], dtype=np.int64).reshape(-1, 3)
        k = len(self._pins)
        self._held = compiled.Held(surface, np.zeros((n, k)), np.zeros((k, k)), np.zeros((n, k, layers, dim)))

    # -- the points and their cells ----------------------------------------------------------------------------

    def gather(self, *, together: bool | None = None) -> None:
        """Find the cells of all points from the pattern and the pins, and sum them up from scratch.

        Points are taken ``together`` unless cells, each as much work as Q+1 points, have no more than that on average.
        """
        cloud = self._cloud
        size, dim = cloud.x.shape
        cloud.code[:] = self._codes(np.arange(size))
        row = cloud.code.reshape(size, -1)
        cells = len(set(row.view(np.dtype((np.void, row.itemsize * row.shape[1]))).ravel().tolist()))
        self._together = cells * (dim + 1) < size if together is None else together
        self._make_room(cells if self._together else size)
        self._make_room_for_held(self._act(compiled.GATHER))

    def move(self, points: Ints) -> None:
        """Put points (k,) into the cells that the pattern and the pins ask for."""
        cloud = self._cloud
        code = self._codes(points)
        changed = (code != cloud.code[points]).any(axis=(1, 2))
        points, code = points[changed], code[changed]
        count = cloud.inputs[points][:, None, None]
        self._cells.truncated[:] += ((code != UNTRUNCATED) * count).sum(axis=0) - (
            (cloud.code[points] != UNTRUNCATED) * count
        ).sum(axis=0)
        cloud.code[points] = code
        leaves = int(self._cells.tally[compiled.LEAVES])
        if leaves + points.size > self._cells.root.size:
            self._make_more_room(leaves + points.size)
        for side in (0, 1):
            for first in range(0, points.size, EVENTS_AHEAD):
                part = points[first : first + EVENTS_AHEAD]
                self._log.point[: part.size] = part
                self._log.side[: part.size] = side
                self._counts[compiled.EVENTS] = part.size
                self._make_room_for_held(self._act(compiled.MOVE))

    def _codes(self, points: Ints) -> Ints:
        """Return the codes (k, L, Q) of points (k,)."""
        code: Ints = self._cloud.pattern[points].astype(np.int64)
        row = {int(i): k for k, i in enumerate(points)} if self._pins else {}
        for pin, members in enumerate(self._pins):
            for i, layer, r in members:
                if i in row:
                    code[row[i], layer, r] = compiled.FIRST_PIN + pin
        return code

    def _make_room(self, cells: int) -> None:
        """Get room for so many cells and some more."""
        layers, dim = self.b.shape
        size = self._cloud.x.shape[0]
        room = cells + max(SPARE_CELLS, cells // 4 if self._together else 0)
        frame, roots = (dim + 1, 1) if self._together else (1, size)
        self._cells = _cells(room, layers, dim, frame)
        self._tree = _tree(max(room, roots), layers, dim)
        width = frame * (roots + layers * room) + compiled.PADDING
        size_of_one = (self._order + 1) * dim * width
        self._room = compiled.Room(
            Z=np.zeros(size_of_one),
            H=np.zeros(size_of_one),
            T=np.zeros(size_of_one),
            V=np.zeros(size_of_one),
            work=np.zeros((dim, max(width, 2 * dim))),
            pinned=np.zeros(0),
            X=np.eye(dim, dim + 1) if self._together else np.ascontiguousarray(self._cloud.x.T),
        )

    def _make_more_room(self, cells: int) -> None:
        """Get room for so many cells and some more, and keep those that there are."""
        old, kept = self._cells, int(self._cells.tally[compiled.LEAVES])
        self._make_room(cells)
        for name in ("root", "code", "points"):
            getattr(self._cells, name)[:kept] = getattr(old, name)[:kept]
        for name in ("S", "Y"):
            getattr(self._cells, name)[..., :kept] = getattr(old, name)[..., :kept]
        self._cells.tally[:], self._cells.truncated[:] = old.tally, old.truncated

    def _make_room_for_held(self, entries: int) -> None:
        if entries <= self._tree.held.shape[0]:
            return
        frame = int(self._cells.tally[compiled.FRAME])
        self._tree = replace(self._tree, held=np.zeros((2 * entries, 4), np.int64))
        self._room = replace(self._room, pinned=np.zeros((self._order + 1) * 2 * entries * frame))
        self._counts[compiled.EVENTS] = 0
        self._act(compiled.MOVE)

    def field(self) -> tuple[Array, Array]:
        """See ``NetworkKernel``."""
        self._held.lam[0] = 0.0
        self._act(compiled.FIELD)
        return self._course.c[0].copy(), self._course.Om[0].copy()

    # -- the series --------------------------------------------------------------------------------------------

    @property
    def order(self) -> int:
        """See ``Kernel``."""
        return int(self._course.order[0])

    def expand(self, reach: float, weight: Array, inverse: Array) -> float:
        """See ``Kernel``."""
        if self._cells.tally[compiled.UPDATES] > compiled.REFRESH:
            self.gather()
        if weight.size:
            self._held.lam[0] = weight
            self._held.inverse[:] = inverse
        self._clock[compiled.REACH] = reach
        self._act(compiled.EXPAND)
        self._clock[compiled.NEARBY] = compiled.SOON * reach
        return float(self._clock[compiled.LENGTH])

    def weights(self) -> Array:
        """See ``Kernel``."""
        return self._held.lam[: self.order]

    def drift(self) -> Array:
        """See ``NetworkKernel``."""
        pin = np.arange(len(self._pins))
        _, layer, r = self._held.surface.T
        return np.asarray(self._held.z[: self.order + 1, pin, layer, r])

    def coefficients(self) -> Coefficients:
        """See ``Kernel``."""
        course, n = self._course, self.order + 1
        return Coefficients(course.R[:n].copy(), course.b[:n].copy(), course.energy[:n].copy())

    def first_crossing(self, h: float) -> Crossing:
        """See ``Kernel``."""
        self._counts[:] = 0
        self._clock[compiled.LENGTH] = h
        entry = self._act(compiled.CROSS)
        surface = None
        if entry >= 0:
            hit, r = divmod(entry, self.b.shape[1])
            layer, i = self._watch.hit[hit].tolist()
            surface = (i, layer, r)
        candidates, roots = self._counts[[compiled.CANDIDATES, compiled.ROOTS]].tolist()
        return Crossing(float(self._clock[compiled.LENGTH]), surface, candidates, roots)

    def close(self) -> Ints:
        """See ``NetworkKernel``."""
        watch = self._watch
        left = watch.due - watch.way[:, compiled.GONE, None]
        return np.flatnonzero((left <= watch.scale[1]).any(axis=0))

    def advance(self, t: float) -> None:
        """See ``Kernel``."""
        self._clock[compiled.LENGTH] = t
        self._act(compiled.ADVANCE)

    def step_many(self, control: StepControl, s_end: float, until: float, saved: Array) -> StepsTaken | None:
        """See ``Kernel``."""
        clock, counts = self._clock, self._counts
        clock[[compiled.S, compiled.LOST, compiled.REACH, compiled.BEFORE]] = (
            control.s,
            control.lost,
            control.reach,
            control.s,
        )
        clock[[compiled.S_END, compiled.UNTIL]] = s_end, until
        self._samples = compiled.sample_arrays(saved, *self.b.shape, self._data.n_clusters)
        counts[:] = 0
        if self._act(compiled.AHEAD) == 0:
            return None
        steps, orders, candidates, roots = counts[: compiled.ROOTS + 1].tolist()
        usual = counts[compiled.UNUSUAL] == 0
        log, events = self._log, slice(0, int(counts[compiled.EVENTS]))
        return StepsTaken(
            StepControl(float(clock[compiled.S]), float(clock[compiled.LOST]), float(clock[compiled.REACH])),
            float(clock[compiled.BEFORE]) if usual else None,
            self._state.truncated / self._cloud.inputs.sum() if usual else self.truncated_fraction,
            (steps, orders, candidates, roots),
            Crossings(log.s[events], log.point[events], log.layer[events], log.row[events], log.side[events]),
            self._sampled(int(counts[compiled.SAMPLED])),
            slowed=False,
        )

    def _sampled(self, count: int) -> dict[str, Array] | None:
        """Return the first ``count`` samples that the compiled loop has taken."""
        if count == 0:
            return None
        samples = self._samples
        return {
            "beta": samples.beta[:count],
            "R": samples.R[:count],
            "loss_cluster": samples.loss[:count],
            "energy": samples.energy[:count],
            "truncated_fraction": samples.truncated[:count] / self._cloud.inputs.sum(),
        }

    def evaluate(self, coefficients: Coefficients, t: Array) -> States:
        """See ``Kernel``."""
        return series.evaluate_layers(coefficients, t)

    def losses(self, R: Array, b: Array) -> Array:
        """See ``Kernel``."""
        data = self._data
        return series.network_losses(data.x, data.weight, data.target, data.label, data.n_clusters, R, b)

    def first_exit(self, c: Array, h: float, noise: float) -> float:
        """See ``Kernel``."""
        return series.first_exit(c, h, noise)

    # -- going on later ----------------------------------------------------------------------------------------

    def sums(self) -> State:
        """See ``Kernel``."""
        cells = self._cells
        leaves, updates = (int(cells.tally[k]) for k in (compiled.LEAVES, compiled.UPDATES))
        return {
            "S": cells.S[..., :leaves].copy(),
            "Y": cells.Y[..., :leaves].copy(),
            "updates": integer(updates),
        }

    def restore_sums(self, saved: Saved) -> None:
        """Find the cells of all points, and take back their sums as ``sums`` has given them.

        Raises:
            UserError: they do not fit.
        """
        dim = self.b.shape[1]
        S = saved.array("S", "f8", (None, None, None))
        self.gather(together=S.shape[0] > 1)
        leaves, frame = (int(self._cells.tally[k]) for k in (compiled.LEAVES, compiled.FRAME))
        if S.shape != (frame, frame, leaves):
            raise saved.misfit("S", str(S.shape))
        self._cells.S[..., :leaves] = S
        self._cells.Y[..., :leaves] = saved.array("Y", "f8", (dim, frame, leaves))
        self._cells.tally[compiled.UPDATES] = saved.integer("updates")

    def caches(self) -> State:
        """Return the deadlines: where a step is cut depends on them in its last bits."""
        return {"due": self._watch.due, "way": self._watch.way}

    def restore_caches(self, saved: Saved) -> None:
        """See ``Kernel``.

        Raises:
            UserError: they do not fit.
        """
        watch = self._watch
        watch.due[:] = saved.array("due", "f8", watch.due.shape)
        watch.way[:] = saved.array("way", "f8", watch.way.shape)
        for layer in range(watch.size.size):
            soon = np.flatnonzero(watch.due[layer] <= watch.way[layer, compiled.HORIZON])
            watch.size[layer] = soon.size
            watch.soon[layer, : soon.size] = soon


def _course(layers: int, dim: int, order: int) -> compiled.Course:
    n, links = order + 1, max(layers - 1, 1)
    return compiled.Course(
        R=np.zeros((n, layers, dim, dim)),
        b=np.zeros((n, layers, dim)),
        energy=np.zeros(n),
        Om=np.zeros((n, layers, dim, dim)),
        c=np.zeros((n, layers, dim)),
        M=np.zeros((n, links, dim, dim)),
        Rt=np.zeros((n, links, dim, dim)),
        order=np.zeros(1, np.int64),
    )


def _watch(size: int, layers: int, dim: int, order: int) -> compiled.Watch:
    """Return deadlines that are all now."""
    return compiled.Watch(
        due=np.full((layers, size), -np.inf),
        soon=np.zeros((layers, size), np.int64),
        size=np.zeros(layers, np.int64),
        way=np.tile([0.0, -np.inf, 0.0, 0.0, 0.0], (layers, 1)),
        speed=np.zeros((order + 1, layers, 2)),
        scale=np.ones(2),
        hit=np.zeros((layers * size, 2), np.int64),
        line=np.zeros((layers * size, dim, 2)),
        hits=np.zeros(1, np.int64),
    )


def _cells(room: int, layers: int, dim: int, frame: int) -> compiled.Cells:
    return compiled.Cells(
        root=np.zeros(room, np.int64),
        code=np.zeros((room, layers, dim), np.int32),
        points=np.zeros(room, np.int64),
        S=np.zeros((frame, frame, room)),
        Y=np.zeros((dim, frame, room)),
        tally=np.zeros(4, np.int64),
        truncated=np.zeros((layers, dim)),
    )


def _tree(room: int, layers: int, dim: int) -> compiled.Tree:
    return compiled.Tree(
        nodes=np.zeros(layers + 1, np.int64),
        first=np.zeros(layers + 2, np.int64),
        above=np.zeros((layers + 1, room), np.int64),
        node=np.zeros((layers + 1, room), np.int64),
        open=np.zeros((layers + 1, dim, room)),
        held=np.zeros((0, 4), np.int64),
        tally=np.zeros(1, np.int64),
    )
