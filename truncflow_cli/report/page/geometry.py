"""The geometry of a run at the shown times: points, what they are mapped to, moving orthants, labels."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.events import Kind
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.page.frames import MOST_LAYERS, Frames
from truncflow_cli.report.page.projection import View, view_of
from truncflow_cli.run_data import RunLike

#: States of a point: untruncated, truncated in some coordinate, in all of them, pinned to a face.
FREE, CUT, WHOLE, PINNED = range(4)
#: The window grows to hold the apexes if that makes it at most this many times as large.
ROOM_FOR_APEXES = 2.0
#: Coordinates as large as this (or not finite) are not drawn.
LARGEST = 1e15
#: A picture of so few images shows the way each of them has come.
FEW_IMAGES = 12

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Panel:
    """One picture of the geometry; K coordinates are drawn, of P points at F times, with L layers of E edges.

    Attributes:
        key: a short name.
        title: its heading.
        caption: what is shown.
        view: the coordinates that are drawn.
        points: (P, Q) what stays: training inputs; None if the picture has none.
        images: (F, P, Q) what the points are mapped to.
        states: (F, P) their states.
        numbers: (P,) what each point is called: its index in the run file.
        cluster: (P,) the cluster of each point.
        labels: (C, Q) where the images ought to go.
        apexes: (F, L, Q) apexes −β of the orthants.
        edges: (F, L, E, Q) unit vectors along the edges of the orthants.
        own: whether layer ℓ belongs to cluster ℓ.
        what: what the images are of: a "point" or a "cluster".
    """

    key: str
    title: str
    caption: str
    view: View
    points: Array | None
    images: Array
    states: Bytes
    numbers: IntArray
    cluster: IntArray
    labels: Array
    apexes: Array
    edges: Array
    own: bool = False
    what: str = "point"

    def data(self) -> dict[str, Any]:
        """Return it for the page: arrays packed, images with 16 bits a coordinate."""
        view = self.view
        images, labels, apexes = (view.coordinates(each) for each in (self.images, self.labels, self.apexes))
        points = None if self.points is None else view.coordinates(self.points)
        parts = [each for each in (images, labels, points) if each is not None]
        low, high, reach = _window(parts, apexes)
        return {
            "key": self.key,
            "dims": view.dims,
            "axes": list(view.axes),
            "basis": view.basis,
            "low": low,
            "high": high,
            "reach": reach,
            "points": None if points is None else _packed(points.astype("<f4")),
            "images": _quantised(images),
            "states": _packed(self.states),
            "numbers": self.numbers,
            "cluster": self.cluster,
            "labels": labels,
            "apexes": _packed(apexes.astype("<f4")),
            "edges": _packed(view.directions(self.edges).astype("<f4")),
            "layers": apexes.shape[1],
            "edgesEach": self.edges.shape[2],
            "solid": view.dims == self.labels.shape[1],
            "own": self.own,
            "trails": images.shape[1] <= FEW_IMAGES,
        }


def panels_of(run: RunLike, frames: Frames) -> list[Panel]:
    """Return the pictures of the geometry that a run has; none if its numbers cannot be drawn."""
    if not all(_drawable(each) for each in (run.x, run.y, run.y_tilde, run.beta, run.R, run.B, run.W)):
        return []
    if run.beta is not None and run.R is not None and run.x is not None and run.x.shape[0]:
        return [_orthants(run, frames, run.x, run.beta, run.R)]
    if run.B is not None and run.W is not None:
        return list(_collapsed(run, frames, run.B, run.W))
    if run.W is not None and run.x is not None and run.x.shape[0]:
        return [_clustered(run, frames, run.x, run.W)]
    return []


def _drawable(values: Array | None) -> bool:
    return values is None or not values.size or bool(np.abs(values).max() < LARGEST)


def _orthants(run: RunLike, frames: Frames, x: Array, beta: Array, R: Array) -> Panel:
    assert run.cluster is not None, "points have clusters"
    points, cluster = x[frames.points], run.cluster[frames.points]
    own = run.attrs["flow"] == "separated" and beta.shape[1] == run.y_tilde.shape[0]
    images = np.empty((frames.times.size, *points.shape))
    states = np.empty((frames.times.size, points.shape[0]), dtype=np.uint8)
    switched = run.attrs.get("switched_at")
    for f, t in enumerate(frames.times):
        alone = own and (switched is None or frames.s[f] <= float(switched))
        images[f], states[f] = (
            _mapped_alone(points, cluster, beta[t], R[t]) if alone else _mapped(points, beta[t], R[t])
        )
    for stretch, p in _pinned(run, frames):
        states[stretch, p] = PINNED
    layers, dim = min(MOST_LAYERS, beta.shape[1]), x.shape[1]
    edges = min(dim, MOST_LAYERS)
    view = view_of(points, run.y_tilde, "x")
    solid = "" if view.dims == dim else f", the first {edges} of {dim} edges of each" if edges < dim else ""
    few = (
        f" Orthants of the first {layers} of {beta.shape[1]} layers are drawn{solid}."
        if (layers < beta.shape[1] or solid)
        else ""
    )
    way = "its own cluster" if own else "what arrives from the layer before"
    return Panel(
        "geometry",
        "Geometry",
        f"Input space. Layer ℓ leaves what lies in its orthant (apex −β) and moves the rest of {way} onto its faces. "
        f"Filled: untruncated points; hollow: truncated ones, with a line to their image (dots). "
        f"Stars: labels ỹ.{few} {view.sentence}",
        view,
        points,
        images,
        states,
        frames.points,
        cluster,
        run.y_tilde,
        -beta[frames.times, :layers],
        R[frames.times, :layers, :edges],
        own,
    )


def _mapped_alone(x: Array, cluster: IntArray, beta: Array, R: Array) -> tuple[Array, Bytes]:
    """Return τ^(ℓ)(x) of the own layer ℓ of each point x (P, Q), and the states; beta (L, Q), R (L, Q, Q)."""
    images, states = np.empty_like(x), np.empty(x.shape[0], dtype=np.uint8)
    for layer in np.unique(cluster):
        mine = cluster == layer
        images[mine], states[mine] = _mapped(x[mine], beta[layer, None], R[layer, None])
    return images, states


def _mapped(x: Array, beta: Array, R: Array) -> tuple[Array, Bytes]:
    """Return τ^(L)∘…∘τ^(1)(x) of points x (P, Q), and the worst that any layer does to each."""
    states = np.zeros(x.shape[0], dtype=np.uint8)
    for b, rotation in zip(beta, R, strict=True):
        z = (x + b) @ rotation.T
        cut = z <= 0.0
        states = np.maximum(states, np.where(cut.all(axis=1), WHOLE, np.where(cut.any(axis=1), CUT, FREE)))
        x = np.maximum(z, 0.0) @ rotation - b
    return x, states.astype(np.uint8)


def _pinned(run: RunLike, frames: Frames) -> Iterator[tuple[slice, int]]:
    """Yield the stretches of shown times over which drawn points are pinned, by the event log."""
    place = {point: p for p, point in enumerate(frames.points.tolist())}
    since: dict[tuple[int, int, int], float] = {}
    events = run.events
    for event in events[np.isin(events["kind"], (Kind.PIN, Kind.UNPIN))]:
        key = (int(event["layer"]), int(event["point"]), int(event["coordinate"]))
        if key[1] not in place:
            continue
        if event["kind"] == Kind.PIN:
            since.setdefault(key, float(event["s"]))
        elif key in since:
            start, stop = np.searchsorted(frames.s, (since.pop(key), float(event["s"])))
            yield slice(int(start), int(stop)), place[key[1]]
    for (_, point, _), s in since.items():
        yield slice(int(np.searchsorted(frames.s, s)), frames.s.size), place[point]


def _collapsed(run: RunLike, frames: Frames, B: Array, W: Array) -> Iterator[Panel]:
    b, w = B[frames.times], W[frames.times]
    n = b.shape[2]
    outputs = -(w @ b).swapaxes(1, 2)
    shared: dict[str, Any] = {"states": np.zeros((frames.times.size, n), dtype=np.uint8)}
    shared |= {"numbers": np.arange(n), "cluster": np.arange(n)}
    shared |= {"apexes": np.empty((frames.times.size, 0, b.shape[1]))}
    shared |= {"edges": np.empty((frames.times.size, 0, 0, b.shape[1]))}
    view = view_of(outputs[[0, -1]].reshape(-1, b.shape[1]), run.y, "y")
    yield Panel(
        "outputs",
        "Output space",
        "Dots: −Wβ^(ℓ), what the network makes of cluster ℓ, and the way it has come. Stars: labels y. "
        + view.sentence,
        view,
        None,
        outputs,
        labels=run.y,
        what="cluster",
        **shared,
    )
    if run.x is None or not run.x.shape[0] or run.cluster is None:
        return
    # Each cluster's points, all at its own place, stay; the image is −β^(ℓ), which all of them are mapped to.
    points = run.x[frames.points]
    cluster = run.cluster[frames.points]
    images = -b.swapaxes(1, 2)
    view = view_of(points, images[[0, -1]].reshape(-1, b.shape[1]), "x")
    shared |= {"states": np.full((frames.times.size, points.shape[0]), WHOLE, dtype=np.uint8)}
    yield Panel(
        "inputs",
        "Input space",
        "Hollow: training points; lines lead to −β^(ℓ), which the layers map all of cluster ℓ to (8.1). "
        + view.sentence,
        view,
        points,
        images[:, cluster],
        labels=np.empty((0, b.shape[1])),
        **{**shared, "numbers": frames.points, "cluster": cluster},
    )


def _clustered(run: RunLike, frames: Frames, x: Array, W: Array) -> Panel:
    assert run.cluster is not None, "points have clusters"
    images = x[frames.points] @ W[frames.times].swapaxes(1, 2)
    f, p, dim = images.shape
    view = view_of(images[[0, -1]].reshape(-1, dim), run.y, "y")
    return Panel(
        "outputs",
        "Output space",
        f"Dots: W x, what the network makes of each point. Stars: labels y. {view.sentence}",
        view,
        None,
        images,
        np.zeros((f, p), dtype=np.uint8),
        frames.points,
        run.cluster[frames.points],
        run.y,
        np.empty((f, 0, dim)),
        np.empty((f, 0, 0, dim)),
    )


def _window(parts: list[Array], apexes: Array) -> tuple[Array, Array, float]:
    """Return the least box (K,), (K,) that holds all parts (..., K), and how far they are from its middle.

    The apexes are held too, if that does not make it much larger.
    """
    low, high = _box(parts)
    if apexes.size:
        wide = _box([*parts, apexes])
        if np.linalg.norm(wide[1] - wide[0]) <= ROOM_FOR_APEXES * np.linalg.norm(high - low):
            (low, high), parts = wide, [*parts, apexes]
    middle = 0.5 * (low + high)
    reach = max(float(np.linalg.norm(part - middle, axis=-1).max()) for part in parts if part.size)
    return low, high, reach


def _box(parts: list[Array]) -> tuple[Array, Array]:
    flat = np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts if part.size])
    return flat.min(axis=0), flat.max(axis=0)


def _quantised(values: Array) -> dict[str, Any]:
    """Pack values (F, P, K) with 16 bits each, over the range that each coordinate has."""
    low, high = _box([values])
    step = np.where(high > low, (high - low) / 65535.0, 1.0)
    return {"low": low, "step": step, "bytes": _packed(np.round((values - low) / step).astype("<u2"))}


def _packed(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
