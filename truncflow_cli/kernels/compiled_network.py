"""All layers of `general` in compiled code, points by activation region; see ``kernels.interface.NetworkKernel``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from truncflow_cli.kernels.compiled import CompiledKernel
from truncflow_cli.kernels.interface import Array, Crossing, Group, Ints
from truncflow_cli.kernels.structs import Struct, argument
from truncflow_cli.problem import UNTRUNCATED
from truncflow_cli.saved_state import Saved, State, integer

if TYPE_CHECKING:
    from truncflow_cli.flows.points import NetworkPoints

#: The next crossing is first looked for within this share of the reach, as in ``step_many.c``.
SOON = 0.75
#: Rank-one updates of the regions' sums after which they are summed anew, so that rounding does not pile up.
MOST_UPDATES = 4096
#: Regions that there is room for beyond those that there are.
SPARE = 64
#: Rounding error of a way, in units of rounding errors of a coordinate.
SLACK = 8.0


class CompiledNetwork(CompiledKernel):
    """See ``kernels.interface.NetworkKernel``."""

    kind, prefix = "Network", "network"

    def __init__(
        self, points: NetworkPoints, R: Array, *, tolerance: float, floor: float, order: int
    ) -> None:
        """Prepare for the state R, b = 0, with no coordinate's side known.

        Args:
            points: the points.
            R: (L, Q, Q).
            tolerance: share of the state that one step may be off.
            floor: size of the state below which it counts as this large.
            order: the highest order of the series.
        """
        size, layers, dim = len(points.x), *R.shape[:2]
        super().__init__(
            R, np.zeros((size, layers, dim), np.int8), tolerance=tolerance, floor=floor, spread=points.spread,
            clusters=points.n_clusters, order=order,
        )  # fmt: skip
        c, n, links = self._c, order + 1, max(layers - 1, 1)
        c.layers, c.dim = layers, dim
        self.noise = np.zeros(size)
        self._inputs = float(points.multiplicity.sum())
        self._points = Struct(
            "NetworkPoints", c.points, size=size, x=points.x, length=points.length, weight=points.weight,
            inputs=points.multiplicity, target=points.target, label=points.label, noise=self.noise,
            pattern=self.pattern,
        )  # fmt: skip
        self._points.allocate(code=self.pattern.shape, region=(size,))
        self._field = Struct("Field", c.field, links=links)
        self._field.allocate(
            Om=(n, layers, dim, dim), c=(n, layers, dim), M=(n, links, dim, dim), Rt=(n, links, dim, dim)
        )
        self._regions, self._tree, self._columns = (
            Struct("Regions", c.regions),
            Struct("RegionTree", c.tree),
            Struct("Columns", c.columns),
        )
        self._bounds = Struct("EventBounds", c.bounds, kappa=1.0, slack=1.0)
        self._bounds.allocate(
            due=(layers, size), soon=(layers, size), size=(layers,), way=(layers,), speed=(n, layers, 2),
            hit=(layers * size,), line=(layers * size, dim),
        )  # fmt: skip
        self.moved()
        self._together = True
        self.hold([])
        self._make_room(1)

    # -- the state and its pins --------------------------------------------------------------------------------

    @property
    def refreshes(self) -> int:
        """See ``Kernel``: bounds are made anew one by one."""
        return 0

    @property
    def _truncated(self) -> Array:
        return np.asarray(self._regions.truncated)

    def moved(self) -> None:
        self._bounds.due[:] = -np.inf
        self._bounds.way["horizon"] = -np.inf

    def set_scale(self, way: float, slack: float) -> None:
        self._bounds.set(kappa=way, slack=SLACK * slack)

    def hold(self, pins: Sequence[Group]) -> None:
        self._held = list(pins)
        k, n = len(self._held), self._order + 1
        self._pins = Struct("NetworkPins", self._c.pins, size=k)
        self._pins.allocate(surface=(k,), lam=(n, k), inverse=(k, k), z=(n, k, *self.b.shape))
        self._pins.surface[:] = [members[0] for members in pins]

    # -- the points and their regions --------------------------------------------------------------------------

    def gather(self, *, together: bool | None = None) -> None:
        """Find the regions of all points from the pattern and the pins, and sum them up from scratch.

        Points are taken ``together`` unless regions, each as much work as Q+1 points, have no more on average.
        """
        code = self._points.code
        size, dim = len(code), self.b.shape[1]
        code[:] = self._codes(np.arange(size))
        row = code.reshape(size, -1)
        regions = len(set(row.view(np.dtype((np.void, row.itemsize * row.shape[1]))).ravel().tolist()))
        self._together = regions * (dim + 1) < size if together is None else together
        self._make_room(regions if self._together else size)
        self._call("gather")
        self._make_room_for_held()

    def move(self, points: Ints) -> None:
        """Put points (k,) into the regions that the pattern and the pins ask for."""
        known, inputs = self._points.code, self._points.inputs
        code = self._codes(points)
        changed = (code != known[points]).any(axis=(1, 2))
        points, code = np.ascontiguousarray(points[changed], np.int64), code[changed]
        count = inputs[points][:, None, None]
        self._regions.truncated[:] += ((code != UNTRUNCATED) * count).sum(axis=0) - (
            (known[points] != UNTRUNCATED) * count
        ).sum(axis=0)
        known[points] = code
        if self._regions.count + points.size > self._regions.room:
            self._make_more_room(self._regions.count + points.size)
        for entering in (0, 1):
            self._call("move", argument(points), points.size, entering)
        self._make_room_for_held()

    def _codes(self, points: Ints) -> Ints:
        """Return the codes (k, L, Q) of points (k,)."""
        code: Ints = self.pattern[points].astype(np.int64)
        row = {int(i): k for k, i in enumerate(points)} if self._held else {}
        for pin, members in enumerate(self._held):
            for i, layer, r in members:
                if i in row:
                    code[row[i], layer, r] = self._constants["FIRST_PIN"] + pin
        return code

    def _make_room(self, regions: int) -> None:
        """Get room for so many regions and some more."""
        (layers, dim), size = self.b.shape, len(self._points.x)
        room = regions + max(SPARE, regions // 4 if self._together else 0)
        frame, roots = (dim + 1, 1) if self._together else (1, size)
        self._regions.set(room=room, count=0, frame=frame, updates=0, most_updates=MOST_UPDATES)
        self._regions.allocate(
            root=(room,), code=(room, layers, dim), points=(room,), S=(frame, frame, room), Y=(dim, frame, room),
            truncated=(layers, dim),
        )  # fmt: skip
        nodes = max(room, roots)
        self._tree.set(room=nodes, held_room=0, held_count=0)
        self._tree.allocate(
            nodes=(layers + 1,), first=(layers + 2,), above=(layers + 1, nodes), node=(layers + 1, nodes),
            open=(layers + 1, dim, nodes), held=(0,),
        )  # fmt: skip
        width = frame * (roots + layers * room) + self._constants["PADDING"]
        columns = self._columns
        columns.X = np.eye(dim, dim + 1) if self._together else np.ascontiguousarray(self._points.x.T)
        columns.set(work_row=max(width, 2 * dim), X_row=columns.X.shape[1])
        series = ((self._order + 1) * dim * width,)
        columns.allocate(
            Z=series, H=series, T=series, V=series, pinned=(0,), work=(dim, columns.work_row), z=(layers, dim)
        )

    def _make_more_room(self, regions: int) -> None:
        """Get room for so many regions and some more, and keep those that there are."""
        new, kept = self._regions, self._regions.count
        old = {name: getattr(new, name) for name in ("root", "code", "points", "S", "Y", "truncated")}
        updates = new.updates
        self._make_room(regions)
        for name in ("root", "code", "points"):
            getattr(new, name)[:kept] = old[name][:kept]
        for name in ("S", "Y"):
            getattr(new, name)[..., :kept] = old[name][..., :kept]
        new.truncated[:] = old["truncated"]
        new.set(count=kept, updates=updates)

    def _make_room_for_held(self) -> None:
        """Get room for the pinned coordinates of the nodes, if there is too little."""
        entries = self._tree.held_count
        if entries > self._tree.held_room:
            self._tree.held_room = 2 * entries
            self._tree.allocate(held=(2 * entries,))
            self._columns.allocate(pinned=((self._order + 1) * 2 * entries * self._regions.frame,))
            self._call("move", argument(np.empty(0, np.int64)), 0, 0)

    def field(self) -> tuple[Array, Array]:
        self._pins.lam[0] = 0.0
        self._call("field")
        return self._field.c[0].copy(), self._field.Om[0].copy()

    # -- the series --------------------------------------------------------------------------------------------

    def expand(self, reach: float, weight: Array, inverse: Array) -> float:
        if self._regions.updates > MOST_UPDATES:
            self.gather()
        return super().expand(reach, weight, inverse)

    def drift(self) -> Array:
        pin, surface = np.arange(len(self._held)), self._pins.surface
        return np.asarray(self._pins.z[: self.order + 1, pin, surface["layer"], surface["row"]])

    def first_crossing(self, h: float) -> Crossing:
        loop = self._c.loop
        loop.candidates = loop.roots = 0
        entry = self._call("first_crossing", h, SOON * self._reach)
        surface = None
        if entry >= 0:
            hit, r = divmod(entry, self.b.shape[1])
            layer, i = self._bounds.hit[hit].tolist()
            surface = (i, layer, r)
        return Crossing(self._c.crossing, surface, loop.candidates, loop.roots)

    def close(self) -> Ints:
        bounds = self._bounds
        left = bounds.due - bounds.way["gone"][:, None]
        return np.flatnonzero((left <= bounds.slack).any(axis=0))

    def _fill_losses(self, samples: Struct) -> None:
        self._library.network_losses(self._points.address, *self.b.shape, samples.address)

    # -- going on later ----------------------------------------------------------------------------------------

    def sums(self) -> State:
        regions = self._regions
        S, Y = regions.S[..., : regions.count], regions.Y[..., : regions.count]
        return {"S": S.copy(), "Y": Y.copy(), "updates": integer(regions.updates)}

    def restore_sums(self, saved: Saved) -> None:
        """Find the regions of all points, and take back their sums as ``sums`` has given them.

        Raises:
            UserError: they do not fit.
        """
        S = saved.array("S", "f8", (None, None, None))
        self.gather(together=S.shape[0] > 1)
        regions = self._regions
        count, frame = regions.count, regions.frame
        if S.shape != (frame, frame, count):
            raise saved.misfit("S", str(S.shape))
        regions.S[..., :count] = S
        regions.Y[..., :count] = saved.array("Y", "f8", (self.b.shape[1], frame, count))
        regions.updates = saved.integer("updates")

    def caches(self) -> State:
        """Return the event bounds: where a step is cut depends on them in its last bits."""
        way = self._bounds.way
        return {"due": self._bounds.due, "way": way.view(np.float64).reshape(way.size, -1)}

    def restore_caches(self, saved: Saved) -> None:
        """See ``Kernel``.

        Raises:
            UserError: they do not fit.
        """
        bounds = self._bounds
        way = bounds.way.view(np.float64).reshape(bounds.way.size, -1)
        bounds.due[:] = saved.array("due", "f8", bounds.due.shape)
        way[:] = saved.array("way", "f8", way.shape)
        for layer, horizon in enumerate(bounds.way["horizon"]):
            soon = np.flatnonzero(bounds.due[layer] <= horizon)
            bounds.size[layer] = soon.size
            bounds.soon[layer, : soon.size] = soon
