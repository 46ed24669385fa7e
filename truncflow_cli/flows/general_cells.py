"""The arrays that the compiled code of `general` works on, and what is asked of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from truncflow_cli.flows.general_data import GeneralData
from truncflow_cli.flows.general_groups import Group
from truncflow_cli.kernels import network as compiled
from truncflow_cli.patterns import UNTRUNCATED
from truncflow_cli.problem import Array, IntArray, Pattern

#: Events that ``step_many`` passes at most, and points that are moved in one go.
EVENTS_AHEAD = 1024
#: Cells that there is room for beyond those that there are.
SPARE_CELLS = 64


class CellSums:
    """The state with the points by cells, and the series about it."""

    def __init__(
        self, data: GeneralData, R: Array, layers: int, order: int, accuracy: compiled.Accuracy
    ) -> None:
        size, dim = data.x.shape
        self.R = np.array(R, dtype=np.float64, order="C")
        self.b = np.zeros((layers, dim))
        self.state = compiled.State(
            self.R, self.b, np.empty_like(self.R), np.empty_like(self.b), np.zeros((layers, dim))
        )
        self.clock, self.counts = np.zeros(compiled.CLOCK), np.zeros(compiled.COUNTS, np.int64)
        self.cloud = compiled.Cloud(
            data.x,
            data.length,
            data.weight,
            data.multiplicity,
            data.target,
            data.label,
            np.zeros(size),
            np.zeros((size, layers, dim), np.int8),
            np.zeros((size, layers, dim), np.int32),
            np.full(size, -1, np.int64),
        )
        self.course = _course(layers, dim, order)
        self.watch = _watch(size, layers, dim, order)
        self.log = compiled.Passed(
            s=np.zeros(EVENTS_AHEAD),
            point=np.zeros(EVENTS_AHEAD, np.int64),
            layer=np.zeros(EVENTS_AHEAD, np.int64),
            row=np.zeros(EVENTS_AHEAD, np.int64),
            side=np.zeros(EVENTS_AHEAD, np.int8),
        )
        self.sample_at(np.empty(0), data.n_clusters)
        self._accuracy = accuracy
        self._order = order
        self._together = True
        self.hold([])
        self._make_room(1)

    # -- the points and their cells ----------------------------------------------------------------------------

    @property
    def pattern(self) -> Pattern:
        """(M, L, Q) where each coordinate of each point is."""
        return self.cloud.pattern

    @property
    def truncated_fraction(self) -> Array:
        """(L, Q) share of all training inputs that are truncated."""
        return np.asarray(self.cells.truncated / self.cloud.inputs.sum(), dtype=np.float64)

    def gather(self, pins: list[Group], *, together: bool | None = None) -> None:
        """Find the cells of all points from the pattern and the pins, and sum them up from scratch.

        Points are taken ``together`` unless cells, each as much work as Q+1 points, have no more than that on average.
        """
        cloud = self.cloud
        size, dim = cloud.x.shape
        cloud.code[:] = self._codes(np.arange(size), pins)
        row = cloud.code.reshape(size, -1)
        cells = len(set(row.view(np.dtype((np.void, row.itemsize * row.shape[1]))).ravel().tolist()))
        self._together = cells * (dim + 1) < size if together is None else together
        self._make_room(cells if self._together else size)
        self._make_room_for_held(self.act(compiled.GATHER))

    def move(self, points: IntArray, pins: list[Group]) -> None:
        """Put points (k,) into the cells that the pattern and the pins ask for."""
        cloud = self.cloud
        code = self._codes(points, pins)
        changed = (code != cloud.code[points]).any(axis=(1, 2))
        points, code = points[changed], code[changed]
        count = cloud.inputs[points][:, None, None]
        self.cells.truncated[:] += ((code != UNTRUNCATED) * count).sum(axis=0) - (
            (cloud.code[points] != UNTRUNCATED) * count
        ).sum(axis=0)
        cloud.code[points] = code
        leaves = int(self.cells.tally[compiled.LEAVES])
        if leaves + points.size > self.cells.root.size:
            self._make_more_room(leaves + points.size)
        for side in (0, 1):
            for first in range(0, points.size, EVENTS_AHEAD):
                part = points[first : first + EVENTS_AHEAD]
                self.log.point[: part.size] = part
                self.log.side[: part.size] = side
                self.counts[compiled.EVENTS] = part.size
                self._make_room_for_held(self.act(compiled.MOVE))

    def _codes(self, points: IntArray, pins: list[Group]) -> IntArray:
        """Return the codes (k, L, Q) of points (k,)."""
        code: IntArray = self.cloud.pattern[points].astype(np.int64)
        row = {int(i): k for k, i in enumerate(points)} if pins else {}
        for pin, members in enumerate(pins):
            for i, layer, r in members:
                if i in row:
                    code[row[i], layer, r] = compiled.FIRST_PIN + pin
        return code

    def _make_room(self, cells: int) -> None:
        """Get room for so many cells and some more."""
        layers, dim = self.b.shape
        size = self.cloud.x.shape[0]
        room = cells + max(SPARE_CELLS, cells // 4 if self._together else 0)
        frame, roots = (dim + 1, 1) if self._together else (1, size)
        self.cells = _cells(room, layers, dim, frame)
        self.tree = _tree(max(room, roots), layers, dim)
        width = frame * (roots + layers * room) + compiled.PADDING
        size_of_one = (self._order + 1) * dim * width
        self.room = compiled.Room(
            Z=np.zeros(size_of_one),
            H=np.zeros(size_of_one),
            T=np.zeros(size_of_one),
            V=np.zeros(size_of_one),
            work=np.zeros((dim, max(width, 2 * dim))),
            pinned=np.zeros(0),
            X=np.eye(dim, dim + 1) if self._together else np.ascontiguousarray(self.cloud.x.T),
        )

    def _make_more_room(self, cells: int) -> None:
        """Get room for so many cells and some more, and keep those that there are."""
        old, kept = self.cells, int(self.cells.tally[compiled.LEAVES])
        self._make_room(cells)
        for name in ("root", "code", "points"):
            getattr(self.cells, name)[:kept] = getattr(old, name)[:kept]
        for name in ("S", "Y"):
            getattr(self.cells, name)[..., :kept] = getattr(old, name)[..., :kept]
        self.cells.tally[:], self.cells.truncated[:] = old.tally, old.truncated

    def _make_room_for_held(self, entries: int) -> None:
        if entries <= self.tree.held.shape[0]:
            return
        frame = int(self.cells.tally[compiled.FRAME])
        self.tree = replace(self.tree, held=np.zeros((2 * entries, 4), np.int64))
        self.room = replace(self.room, pinned=np.zeros((self._order + 1) * 2 * entries * frame))
        self.counts[compiled.EVENTS] = 0
        self.act(compiled.MOVE)

    # -- the state and its series ------------------------------------------------------------------------------

    def act(self, task: int) -> int:
        """Let the compiled code do something, see ``kernels.network.act``."""
        result = compiled.act(
            task, self.state, self.clock, self.cloud, self.cells, self.tree, self.course, self.room, self.held,
            self.watch, self._accuracy, self.log, self.samples, self.counts,
        )  # fmt: skip
        return int(result)

    def sample_at(self, saved: Array, clusters: int) -> None:
        """Take samples at these times (K,) when running ahead."""
        layers, dim = self.b.shape
        self.samples = compiled.sample_arrays(saved, layers, dim, clusters)

    @property
    def order(self) -> int:
        """Order of the present series."""
        return int(self.course.order[0])

    def hold(self, pins: list[Group]) -> None:
        """Hold these surfaces, and no others, in the series to come."""
        n, (layers, dim) = self._order + 1, self.b.shape
        surface = np.array([members[0] for members in pins], dtype=np.int64).reshape(-1, 3)
        k = len(pins)
        self.held = compiled.Held(surface, np.zeros((n, k)), np.zeros((k, k)), np.zeros((n, k, layers, dim)))

    def field(self) -> tuple[Array, Array]:
        """Return c (L, Q) and Ω (L, Q, Q) at the state, with λ = 0 on pinned surfaces."""
        self.held.lam[0] = 0.0
        self.act(compiled.FIELD)
        return self.course.c[0].copy(), self.course.Om[0].copy()

    def forget_deadlines(self) -> None:
        """Look at all points anew: the state has moved in a way that the series do not say."""
        self.watch.due[:] = -np.inf
        self.watch.way[:, compiled.HORIZON] = -np.inf


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
