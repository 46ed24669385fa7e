"""What the geometry of a run is at a saved time: points, where they are mapped, sectors, labels. Plain numpy.

Figures, animations and the page draw this and nothing else. Which scene a flow has its registry entry says (part
"scene": a subclass of ``Scene``); a flow without one has no pictures of its geometry.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.projection import Projection, projection_for
from truncflow_cli.run_data import Run
from truncflow_cli.truncation import coordinates, pin_intervals, truncate

#: States of a point: untruncated, truncated in some coordinate, in all of them, pinned to a face.
FREE, CUT, WHOLE, PINNED = range(4)

_NOBODY = np.empty(0, np.int64)


@dataclass(frozen=True)
class Sector:
    """S_ℓ⁺ = {x : R(x + β) > 0} of a layer: apex −β, edges along the rows of R (Q, Q); S_ℓ⁻ lies opposite.

    ``cluster`` is the one that the layer acts on, -1 if on all.
    """

    layer: int
    cluster: int
    R: Array
    beta: Array


@dataclass(frozen=True)
class Panel:
    """One picture at one time: n points and where a map takes them.

    Attributes:
        before, after: (n, Q) points before the map, and their images.
        kind: (n,) states of the points: FREE, CUT, WHOLE, PINNED.
        cluster: (n,) their clusters.
        number: (n,) what each is called: a row of ``run.x``, or a cluster.
        labels, labels_cluster: (c, Q), (c,) what the images shall reach, and whose they are.
        others, others_cluster: (m, Q), (m,) points that the map is not about.
        sectors: those that the map consists of.
    """

    before: Array
    after: Array
    kind: NDArray[np.uint8]
    cluster: IntArray
    number: IntArray
    labels: Array
    labels_cluster: IntArray
    others: Array
    others_cluster: IntArray
    sectors: tuple[Sector, ...] = ()

    @property
    def moved(self) -> NDArray[np.bool_]:
        """Which points the map moves, (n,)."""
        return np.asarray(self.kind != FREE)


@dataclass(frozen=True)
class Space:
    """A picture of the whole run that can be moved along s.

    Attributes:
        key, title, caption: a short name, its heading, and what is shown.
        panel: the picture at a saved time; points, clusters and labels are the same at all times.
        projection: how it comes to the page.
        letter: of a coordinate.
        stays: whether the points before the map are drawn: they stay where they are.
        what: what the images are of: a "point" or a "cluster".
    """

    key: str
    title: str
    caption: str
    panel: Callable[[int], Panel]
    projection: Projection
    letter: str = "y"
    stays: bool = False
    what: str = "point"


class Scene(ABC):
    """The geometry of a run of some flow.

    Attributes:
        points, layers: rows of ``run.x`` and layers that are shown; none for flows without.
        moved, mapped, label, foreign: how a legend calls points that are moved (if any are), images, labels, others.
        axis, direction: letters of a coordinate, and of a direction of space.
    """

    moved: ClassVar[str] = ""
    mapped: ClassVar[str] = ""
    label: ClassVar[str] = "label $y_j$"
    foreign: ClassVar[str] = "points of other clusters"
    axis: ClassVar[str] = "x"
    direction: ClassVar[str] = "x"

    def __init__(self, run: Run, points: IntArray, layers: IntArray) -> None:
        self.run, self.points, self.layers = run, points, layers
        self.cluster: IntArray = run.cluster[points]

    @abstractmethod
    def panels(self, t: int) -> list[Panel]:
        """Return the pictures at saved time t: one a layer, or one."""

    @abstractmethod
    def spaces(self) -> list[Space]:
        """Return the pictures of all that there is in one space."""

    @property
    @abstractmethod
    def projection(self) -> Projection:
        """How ``panels`` come to the page: the same at all times."""

    def _panel(self, before: Array, after: Array, kind: NDArray[np.uint8], **but: Any) -> Panel:
        """Return a picture of the shown points with all labels and no other points, ``but`` for what is given."""
        usual = {"cluster": self.cluster, "number": self.points, "labels": self.run.y}
        usual |= {"labels_cluster": np.arange(self.run.n_clusters)}
        usual |= {"others": self.run.x[_NOBODY], "others_cluster": _NOBODY}
        return Panel(before, after, kind, **{**usual, **but})


def scene_of(run: Run, points: IntArray, layers: IntArray) -> Scene | None:
    """Return the geometry of a run; None if it has nothing to place. Arguments are those of ``Scene``."""
    flow = flow_named(str(run.attrs["flow"]))
    make = flow.part("scene")
    if make is None or (flow.needs_clusters and not run.n_points):
        return None
    scene: Scene = make(run, points, layers)
    return scene


def shown_points(run: Run, most: int) -> IntArray:
    """Return at most so many rows of x, evenly spread over the clusters."""
    return np.asarray(np.sort(np.argsort(run.cluster, kind="stable")[spread(run.n_points, most)]))


def spread(count: int, most: int) -> IntArray:
    """Return at most ``most`` of the indices below ``count``, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, max(0, count - 1), min(count, most)).round()).astype(np.int64)


class LayeredScene(Scene):
    """Layers (β, R) that truncate: each its own cluster, or all points one layer after the other."""

    moved = "truncated point"
    mapped = "image of a point"
    label = r"label $\tilde y_j$"

    def panels(self, t: int) -> list[Panel]:
        """Return each layer with what it acts on."""
        return [self._layer(t, int(layer)) for layer in self.layers]

    @cached_property
    def projection(self) -> Projection:
        """By points and labels."""
        return projection_for(np.concatenate([self.run.x[self.points], self.run.y_tilde]))

    def spaces(self) -> list[Space]:
        """Return the input space with all sectors, and each point's image in the end."""
        way = "its own cluster" if self._own else "what arrives from the layer before"
        caption = (
            f"Input space. Layer ℓ leaves what lies in its orthant (apex −β) and moves the rest of {way} onto its "
            "faces. Filled: untruncated points; hollow: truncated ones, with a line to their image (dots). Stars: "
            "labels ỹ."
        )
        return [Space("geometry", "Geometry", caption, self._whole, self.projection, "x", stays=True)]

    @cached_property
    def _own(self) -> bool:
        return flow_named(str(self.run.attrs["flow"])).acts_on == "own"

    def _alone(self, t: int) -> bool:
        """Whether each layer acts on its own cluster alone at saved time t."""
        switched = self.run.attrs.get("switched_at")
        return self._own and (switched is None or not self.run.s[t] > switched)

    def _sector(self, t: int, layer: int, *, alone: bool) -> Sector:
        assert self.run.beta is not None and self.run.R is not None, "a flow of layers"
        return Sector(layer, layer if alone else -1, self.run.R[t, layer], self.run.beta[t, layer])

    def _layer(self, t: int, layer: int) -> Panel:
        """Cluster ℓ under layer ℓ, the others as they are; or all points that have passed the layers before."""
        run, alone = self.run, self._alone(t)
        mine = self.cluster == layer if alone else np.ones(self.points.size, dtype=bool)
        stack = [layer] if alone else range(layer + 1)
        before, after, kind, _ = layered_pass(run, self.points[mine], t, stack)
        labels = np.array([layer]) if alone else np.arange(run.n_clusters)
        return Panel(
            before=before,
            after=after,
            kind=self._with_pins(t, kind, np.flatnonzero(mine), [layer]),
            cluster=self.cluster[mine],
            number=self.points[mine],
            labels=run.y_tilde[labels],
            labels_cluster=labels,
            others=run.x[self.points[~mine]],
            others_cluster=self.cluster[~mine],
            sectors=(self._sector(t, layer, alone=alone),),
        )

    def _whole(self, t: int) -> Panel:
        """All points, what the network makes of them, and the worst that any layer does to each."""
        run, every = self.run, np.arange(self.points.size)
        groups: list[tuple[IntArray, Sequence[int]]] = [(every, range(run.n_layers))]
        if self._alone(t):
            groups = [(np.flatnonzero(self.cluster == k), [int(k)]) for k in np.unique(self.cluster)]
        after, kind = np.empty((every.size, run.dim)), np.zeros(every.size, dtype=np.uint8)
        for mine, stack in groups:
            _, after[mine], _, kind[mine] = layered_pass(run, self.points[mine], t, stack)
        kind = self._with_pins(t, kind, every, range(run.n_layers))
        sectors = tuple(self._sector(t, int(layer), alone=self._own) for layer in self.layers)
        return self._panel(run.x[self.points], after, kind, labels=run.y_tilde, sectors=sectors)

    @cached_property
    def _pins(self) -> tuple[Array, IntArray]:
        """Start and stop (P, 2) of each pin of a shown point, and its layer and place among them (P, 2)."""
        place = {int(point): at for at, point in enumerate(self.points)}
        mine = [pin for pin in pin_intervals(self.run.events) if pin.surface[1] in place]
        spans = np.array([(pin.start, pin.stop) for pin in mine]).reshape(-1, 2)
        return spans, np.array([(pin.surface[0], place[pin.surface[1]]) for pin in mine], int).reshape(-1, 2)

    def _with_pins(
        self, t: int, kind: NDArray[np.uint8], mine: IntArray, layers: Sequence[int]
    ) -> NDArray[np.uint8]:
        """Return the states of shown points ``mine`` with those that some of the layers hold on a face."""
        spans, who = self._pins
        held = (spans[:, 0] <= self.run.s[t]) & (self.run.s[t] < spans[:, 1]) & np.isin(who[:, 0], layers)
        return np.where(np.isin(mine, who[held, 1]), np.uint8(PINNED), kind)


def layered_pass(
    run: Run, points: IntArray, t: int, layers: Sequence[int]
) -> tuple[Array, Array, NDArray[np.uint8], NDArray[np.uint8]]:
    """Send points (n,) through layers at saved time t.

    Returns:
        What reaches the last of them (n, Q), its output (n, Q), the states of the points in it and at their worst (n,).
    """
    assert run.beta is not None and run.R is not None, "a flow of layers"
    after = before = run.x[points]
    kind = worst = np.zeros(points.size, dtype=np.uint8)
    for layer in layers:
        R, beta = run.R[t, layer], run.beta[t, layer]
        before, cut = after, coordinates(after, R, beta) <= 0.0
        kind = np.add(cut.any(axis=1), cut.all(axis=1), dtype=np.uint8)
        worst, after = np.maximum(worst, kind), truncate(before, R, beta)
    return before, after, kind, worst


class CollapsedScene(Scene):
    """−β^(ℓ), to which the layers map all of cluster ℓ, and where the output weight maps that."""

    moved = r"$-\beta^{(\ell)}$"
    mapped = r"$-W\beta^{(\ell)}$"
    foreign = "data $x$"

    def panels(self, t: int) -> list[Panel]:
        """Return one picture of both spaces, one over the other."""
        return [self._outputs(t)]

    @cached_property
    def projection(self) -> Projection:
        """By the plane of the labels."""
        ends = [self._outputs(t) for t in (0, -1)]
        shown = [part for end in ends for part in (end.before, end.after)]
        return projection_for(np.concatenate([*shown, self.run.x[self.points]]), self.run.y)

    def spaces(self) -> list[Space]:
        """Return the output space, and the input space if there are points in it."""
        told = "Dots: −Wβ^(ℓ), what the network makes of cluster ℓ, and the way it has come. Stars: labels y."
        outputs = Space("outputs", "Output space", told, self._outputs, self.projection, what="cluster")
        if not self.points.size:
            return [outputs]
        shown = [self.run.x[self.points], *(self._inputs(t).after for t in (0, -1))]
        caption = (
            "Hollow: training points; lines lead to −β^(ℓ), which the layers map all of cluster ℓ to (8.1)."
        )
        place = projection_for(np.concatenate(shown))
        return [outputs, Space("inputs", "Input space", caption, self._inputs, place, "x", stays=True)]

    def _outputs(self, t: int) -> Panel:
        run, clusters = self.run, np.arange(self.run.n_clusters)
        assert run.B is not None and run.W is not None, "a flow with B and W"
        others = {"others": run.x[self.points], "others_cluster": self.cluster}
        kind = np.full(clusters.size, WHOLE, dtype=np.uint8)
        apexes, images = -run.B[t].T, -(run.W[t] @ run.B[t]).T
        return self._panel(apexes, images, kind, cluster=clusters, number=clusters, **others)

    def _inputs(self, t: int) -> Panel:
        run = self.run
        assert run.B is not None, "a flow with B"
        labels = {"labels": np.empty((0, run.dim)), "labels_cluster": _NOBODY}
        kind = np.full(self.points.size, WHOLE, dtype=np.uint8)
        return self._panel(run.x[self.points], -run.B[t].T[self.cluster], kind, **labels)


class ClusteredScene(Scene):
    """The images W x of all points."""

    mapped = "$Wx$"
    axis = "(Wx)"
    direction = "e"

    def panels(self, t: int) -> list[Panel]:
        """Return one picture."""
        return [self._outputs(t)]

    @cached_property
    def projection(self) -> Projection:
        """By the plane of the labels."""
        return projection_for(np.concatenate([self._outputs(t).after for t in (0, -1)]), self.run.y)

    def spaces(self) -> list[Space]:
        """Return the output space."""
        caption = "Dots: W x, what the network makes of each point. Stars: labels y."
        return [Space("outputs", "Output space", caption, self._outputs, self.projection)]

    def _outputs(self, t: int) -> Panel:
        run = self.run
        assert run.W is not None, "a flow with W"
        images = run.x[self.points] @ run.W[t].T
        return self._panel(images, images, np.zeros(self.points.size, dtype=np.uint8))
