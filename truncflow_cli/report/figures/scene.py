"""What the geometry of a run is at a saved time: points, labels, orthants, and where each point is mapped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.problem import Array, BoolArray, IntArray
from truncflow_cli.report.figures.patterns import layered_pass
from truncflow_cli.report.figures.projection import Projection, projection_for
from truncflow_cli.report.figures.style import names_of, typeset
from truncflow_cli.report.figures.subject import Subject

#: Points of one picture at most; of more, each cluster shows every k-th.
MOST_POINTS = 900
#: Layers shown at most.
MOST_LAYERS = 4
#: Letters of a cluster's name for which the title of a panel has room.
LONGEST_NAME = 16


@dataclass(frozen=True)
class Orthant:
    """S_ℓ⁺ = {x : R(x + β) > 0}: apex −β, edges along the rows of R (Q, Q); S_ℓ⁻ lies opposite.

    ``cluster`` is the one that the layer acts on, -1 if on all.
    """

    cluster: int
    R: Array
    beta: Array


@dataclass(frozen=True)
class View:
    """One panel at one time.

    Attributes:
        title: what is mapped by what.
        orthant: the layer's, None where there is no layer.
        arriving: (n, Q) points before the map.
        image: (n, Q) where they are mapped.
        cut: (n,) which of them the map moves (truncated in some coordinate).
        cluster: (n,) their clusters.
        others: (m, Q) points that the map is not about.
        others_cluster: (m,) their clusters.
        labels: (c, Q) what the images shall reach.
        labels_cluster: (c,) whose they are.
    """

    title: str
    orthant: Orthant | None
    arriving: Array
    image: Array
    cut: BoolArray
    cluster: IntArray
    others: Array
    others_cluster: IntArray
    labels: Array
    labels_cluster: IntArray


class Stage:
    """What stays the same over all times of a run: the points shown, the layers, and the projection.

    Attributes:
        subject: the run.
        points: rows of ``run.x`` that are shown.
        layers: the layers that are shown; empty for the flows without.
        projection: how they come to the page.
    """

    def __init__(self, subject: Subject, times: IntArray, most_layers: int = MOST_LAYERS) -> None:
        self.subject = subject
        self._names = names_of(subject.run, LONGEST_NAME)
        self.points = _some_points(subject)
        self.layers = subject.busiest_layers(most_layers) if subject.layered else np.empty(0, np.int64)
        every = [self._extent(self.views(int(t))) for t in times]
        shown = np.concatenate([np.concatenate(each) for each in every])
        self.projection: Projection = projection_for(shown, None if subject.layered else subject.run.y)

    def views(self, t: int) -> list[View]:
        """Return the panels at saved time t: one a layer, or one."""
        run = self.subject.run
        if run.flow == "collapsed":
            return [self._collapsed(t)]
        if run.flow == "clustered":
            return [self._clustered(t)]
        if self.subject.separated and run.s[t] <= self.subject.switched_at:
            return [self._own(t, int(layer)) for layer in self.layers]
        return [self._composed(t, int(layer)) for layer in self.layers]

    def said(self) -> list[str]:
        """Return what the reader has to know: the projection, and what is left out."""
        run = self.subject.run
        shown = f"{self.points.size:,} of {run.n_points:,} points" if self.points.size < run.n_points else ""
        of_layers = self.subject.of_layers(self.layers) if self.subject.layered else ""
        levels = "above: points, below: their images" if self.subject.layered and run.dim == 1 else ""
        return [text for text in (self.projection.text, levels, shown, of_layers) if text]

    def _extent(self, views: list[View]) -> list[Array]:
        return [part for view in views for part in (view.arriving, view.image, view.labels, view.others)]

    def _own(self, t: int, layer: int) -> View:
        """Cluster ℓ under layer ℓ; the other clusters as they are."""
        run = self.subject.run
        mine = self.points[run.cluster[self.points] == layer]
        others = self.points[run.cluster[self.points] != layer]
        return self._layer(
            t,
            layer,
            mine,
            [layer],
            f"layer {layer} on {self._names[layer]}",
            np.array([layer]),
            others,
        )

    def _composed(self, t: int, layer: int) -> View:
        """All points that have passed the layers before."""
        labels = np.arange(self.subject.run.n_clusters)
        none = np.empty(0, np.int64)
        return self._layer(t, layer, self.points, range(layer + 1), f"layer {layer}", labels, none)

    def _layer(
        self,
        t: int,
        layer: int,
        mine: IntArray,
        stack: range | list[int],
        title: str,
        labels: IntArray,
        others: IntArray,
    ) -> View:
        run = self.subject.run
        assert run.beta is not None and run.R is not None
        z, arriving, image = layered_pass(run, mine, t, stack)
        alone = stack == [layer]
        return View(
            title=title,
            orthant=Orthant(labels[0] if alone else -1, run.R[t, layer], run.beta[t, layer]),
            arriving=arriving,
            image=image,
            cut=np.asarray((z <= 0.0).any(axis=1)),
            cluster=run.cluster[mine],
            others=run.x[others],
            others_cluster=run.cluster[others],
            labels=run.y_tilde[labels],
            labels_cluster=labels,
        )

    def _collapsed(self, t: int) -> View:
        """−β^(ℓ), to which the layers map all of cluster ℓ, and where the output weight maps that."""
        run = self.subject.run
        assert run.B is not None and run.W is not None
        clusters = np.arange(run.n_clusters)
        return View(
            title="",
            orthant=None,
            arriving=-run.B[t].T,
            image=-(run.W[t] @ run.B[t]).T,
            cut=np.ones(clusters.size, dtype=bool),
            cluster=clusters,
            others=run.x[self.points],
            others_cluster=run.cluster[self.points],
            labels=run.y,
            labels_cluster=clusters,
        )

    def _clustered(self, t: int) -> View:
        """The images W x of all points."""
        run = self.subject.run
        assert run.W is not None
        x = run.x[self.points]
        image = x @ run.W[t].T
        return View(
            title="",
            orthant=None,
            arriving=image,
            image=image,
            cut=np.zeros(x.shape[0], dtype=bool),
            cluster=run.cluster[self.points],
            others=np.empty((0, run.dim)),
            others_cluster=np.empty(0, np.int64),
            labels=run.y,
            labels_cluster=np.arange(run.n_clusters),
        )


def _some_points(subject: Subject) -> IntArray:
    """Return rows of x: all, or every k-th of each cluster."""
    run = subject.run
    stride = -(-run.n_points // MOST_POINTS)
    if stride <= 1:
        return np.arange(run.n_points)
    return np.concatenate([np.flatnonzero(run.cluster == k)[::stride] for k in range(run.n_clusters)])


def chosen_times(subject: Subject) -> IntArray:
    """Return the saved times shown: the start, when the loss has fallen half of its way, and the end.

    If that is no time in between: when half of the events have happened.
    """
    run = subject.run
    last = run.s.size - 1
    half = 0.5 * (run.loss[0] + run.loss[-1])
    middle = int(np.argmax(run.loss <= half))
    if not 0 < middle < last and run.n_events:
        middle = int(np.searchsorted(run.s, np.median(run.events["s"])))
    return np.unique(np.clip([0, middle, last], 0, last))


def time_text(subject: Subject, t: int) -> str:
    """Return "s = 0.12"."""
    return f"$s$ = {typeset(float(subject.run.s[t]))}"
