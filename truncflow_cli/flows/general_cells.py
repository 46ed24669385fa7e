"""The arrays that the compiled code of `general` works on, and what is asked of it."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.general_data import GeneralData
from truncflow_cli.flows.general_groups import Group
from truncflow_cli.flows.kernels import cells as shapes
from truncflow_cli.flows.kernels import cellseries, deadlines
from truncflow_cli.flows.kernels import general as loop
from truncflow_cli.flows.kernels.separated import UNTRUNCATED
from truncflow_cli.model.problem import Array, IntArray, Pattern

#: Events that ``run_ahead`` passes at most, and points that are moved in one go.
EVENTS_AHEAD = 1024
#: Cells that there is room for beyond those that there are.
SPARE_CELLS = 64


class CellSums:
    """The state with the points by cells, and the series about it."""

    def __init__(self, data: GeneralData, R: Array, layers: int, order: int, accuracy: loop.Accuracy) -> None:
        size, dim = data.x.shape
        self.R = np.array(R, dtype=np.float64, order="C")
        self.b = np.zeros((layers, dim))
        self.state = loop.State(
            self.R, self.b, np.empty_like(self.R), np.empty_like(self.b), np.zeros((layers, dim))
        )
        self.clock, self.counts = np.zeros(loop.CLOCK), np.zeros(loop.COUNTS, np.int64)
        self.cloud = shapes.Cloud(
            data.x,
            data.length,
            data.weight,
            data.multiplicity,
            np.ascontiguousarray(data.y_tilde[data.label]),
            np.zeros(size),
            np.zeros((size, layers, dim), np.int8),
            np.zeros((size, layers, dim), np.int32),
            np.full(size, -1, np.int64),
        )
        n, links = order + 1, max(layers - 1, 1)
        self.course = cellseries.Course(
            np.zeros((n, layers, dim, dim)),
            np.zeros((n, layers, dim)),
            np.zeros(n),
            np.zeros((n, layers, dim, dim)),
            np.zeros((n, layers, dim)),
            np.zeros((n, links, dim, dim)),
            np.zeros((n, links, dim, dim)),
            np.zeros(1, np.int64),
        )
        self.watch = deadlines.Watch(
            np.full((layers, size), -np.inf),
            np.zeros((layers, size), np.int32),
            np.zeros(layers, np.int64),
            np.tile([0.0, -np.inf, 0.0, 0.0, 0.0], (layers, 1)),
            np.zeros((n, layers, 2)),
            np.ones(2),
            np.zeros((layers * size, 2), np.int32),
            np.zeros((layers * size, dim, 2)),
            np.zeros(1, np.int64),
        )
        self.log = loop.Passed(
            np.zeros(EVENTS_AHEAD),
            *(np.zeros(EVENTS_AHEAD, np.int64) for _ in range(3)),
            np.zeros(EVENTS_AHEAD, np.int8),
        )
        self._accuracy = accuracy
        self._order = order
        self._together = True
        self.hold([])
        self._make_room(1, 0)

    # -- the points and their cells ----------------------------------------------------------------------------

    @property
    def pattern(self) -> Pattern:
        """(M, L, Q) where each coordinate of each point is."""
        return self.cloud.pattern

    @property
    def truncated_fraction(self) -> Array:
        """(L, Q) share of all training inputs that are truncated."""
        return np.asarray(self.cells.truncated / self.cloud.count.sum(), dtype=np.float64)

    def gather(self, pins: list[Group], *, together: bool | None = None) -> None:
        """Find the cells of all points from the pattern and the pins, and sum them up from scratch.

        Points are taken ``together`` unless a cell, which is as much work as Q+1 points, has fewer than that on average.
        """
        cloud = self.cloud
        size, dim = cloud.x.shape
        cloud.code[:] = self._codes(np.arange(size), pins)
        row = cloud.code.reshape(size, -1)
        cells = len(set(row.view(np.dtype((np.void, row.itemsize * row.shape[1]))).ravel().tolist()))
        self._together = cells * (dim + 1) < size if together is None else together
        self._make_room(cells if self._together else size, 0)
        self._make_room_for_held(self.act(loop.GATHER))

    def move(self, points: IntArray, pins: list[Group]) -> None:
        """Put points (k,) into the cells that the pattern and the pins ask for."""
        cloud = self.cloud
        code = self._codes(points, pins)
        changed = (code != cloud.code[points]).any(axis=(1, 2))
        points, code = points[changed], code[changed]
        count = cloud.count[points][:, None, None]
        self.cells.truncated[:] += ((code != UNTRUNCATED) * count).sum(axis=0) - (
            (cloud.code[points] != UNTRUNCATED) * count
        ).sum(axis=0)
        cloud.code[points] = code
        leaves = int(self.cells.tally[shapes.LEAVES])
        if leaves + points.size > self.cells.root.size:
            self._make_room(leaves + points.size, leaves)
        for side in (0, 1):
            for first in range(0, points.size, EVENTS_AHEAD):
                part = points[first : first + EVENTS_AHEAD]
                self.log.point[: part.size] = part
                self.log.side[: part.size] = side
                self.counts[loop.EVENTS] = part.size
                self._make_room_for_held(self.act(loop.MOVE))

    def _codes(self, points: IntArray, pins: list[Group]) -> IntArray:
        """Return the codes (k, L, Q) of points (k,)."""
        code: IntArray = self.cloud.pattern[points].astype(np.int64)
        row = {int(i): k for k, i in enumerate(points)}
        for pin, members in enumerate(pins):
            for i, layer, r in members:
                if i in row:
                    code[row[i], layer, r] = shapes.FIRST_PIN + pin
        return code

    def _make_room(self, cells: int, kept: int) -> None:
        """Get room for so many cells and some more; the first ``kept`` ones stay."""
        layers, dim = self.b.shape
        size = self.cloud.x.shape[0]
        spare = cells + max(SPARE_CELLS, cells // 4 if self._together else 0)
        frame, roots = (dim + 1, 1) if self._together else (1, size)
        old = self.cells if kept else None
        self.cells = shapes.Cells(
            np.zeros(spare, np.int64),
            np.zeros((spare, layers, dim), np.int32),
            np.zeros(spare, np.int64),
            np.zeros((frame, frame, spare)),
            np.zeros((dim, frame, spare)),
            np.zeros(4, np.int64),
            np.zeros((layers, dim)),
        )
        if old is not None:
            for new, before in zip(self.cells[:3], old[:3], strict=True):
                new[:kept] = before[:kept]
            for new, before in zip(self.cells[3:5], old[3:5], strict=True):
                new[..., :kept] = before[..., :kept]
            for new, before in zip(self.cells[5:], old[5:], strict=True):
                new[:] = before
        nodes = max(spare, roots)
        self.tree = shapes.Tree(
            np.zeros(layers + 1, np.int64),
            np.zeros(layers + 2, np.int64),
            np.zeros((layers + 1, nodes), np.int64),
            np.zeros((layers + 1, nodes), np.int64),
            np.zeros((layers + 1, dim, nodes)),
            np.zeros((0, 4), np.int64),
            np.zeros(1, np.int64),
        )
        columns = frame * (roots + layers * spare) + 8
        buffers = (np.zeros((self._order + 1) * dim * columns) for _ in range(4))
        roots_of = np.eye(dim, dim + 1) if self._together else np.ascontiguousarray(self.cloud.x.T)
        self.room = cellseries.Room(*buffers, np.zeros((dim, columns)), np.zeros(0), roots_of)

    def _make_room_for_held(self, entries: int) -> None:
        if entries <= self.tree.held.shape[0]:
            return
        frame = int(self.cells.tally[shapes.FRAME])
        self.tree = self.tree._replace(held=np.zeros((2 * entries, 4), np.int64))
        self.room = self.room._replace(pinned=np.zeros((self._order + 1) * 2 * entries * frame))
        self.counts[loop.EVENTS] = 0
        self.act(loop.MOVE)

    # -- the state and its series ------------------------------------------------------------------------------

    def act(self, task: int) -> int:
        """Let the compiled code do something, see ``kernels.general.act``."""
        result = loop.act(
            task, self.state, self.clock, self.cloud, self.cells, self.tree, self.course, self.room, self.held,
            self.watch, self._accuracy, self.log, self.counts,
        )  # fmt: skip
        return int(result)

    @property
    def order(self) -> int:
        """Order of the present series."""
        return int(self.course.order[0])

    def hold(self, pins: list[Group]) -> None:
        """Hold these surfaces, and no others, in the series to come."""
        n, (layers, dim) = self._order + 1, self.b.shape
        surface = np.array([members[0] for members in pins], dtype=np.int64).reshape(-1, 3)
        k = len(pins)
        self.held = cellseries.Held(
            surface, np.zeros((n, k)), np.zeros((k, k)), np.zeros((n, k, layers, dim))
        )

    def field(self) -> tuple[Array, Array]:
        """Return c (L, Q) and Ω (L, Q, Q) at the state, with λ = 0 on pinned surfaces."""
        self.held.lam[0] = 0.0
        self.act(loop.FIELD)
        return self.course.c[0].copy(), self.course.Om[0].copy()

    def forget_deadlines(self) -> None:
        """Look at all points anew: the state has moved in a way that the series do not say."""
        self.watch.due[:] = -np.inf
        self.watch.way[:, deadlines.HORIZON] = -np.inf
