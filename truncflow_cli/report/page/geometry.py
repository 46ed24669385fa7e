"""The geometry of a run at the shown times, packed for the page, which draws it, and the frames of the pictures."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.problem import Array
from truncflow_cli.report.page.frames import MOST_LAYERS, Frames
from truncflow_cli.report.page.markup import escape, formula
from truncflow_cli.report.scene import Panel, Space, scene_of
from truncflow_cli.run_data import Run

#: The window grows to hold the apexes if that makes it at most this many times as large.
ROOM_FOR_APEXES = 2.0
#: Coordinates as large as this (or not finite) are not drawn.
LARGEST = 1e15
#: A picture of so few images shows the way each of them has come.
FEW_IMAGES = 12
#: How far the picture of three dimensions can be turned, in degrees.
TURNS = (("turn", 180), ("tilt", 90))
#: Clusters that a legend names.
MOST_CLUSTERS = 24


@dataclass(frozen=True)
class Picture:
    """One picture of the geometry: how it is at the start, and what the page draws (see ``_data``)."""

    space: Space
    first: Panel
    caption: str
    data: dict[str, Any]


def pictures_of(run: Run, frames: Frames) -> list[Picture]:
    """Return the pictures of the geometry that a run has; none if its numbers cannot be drawn."""
    if not all(_drawable(each) for each in (run.x, run.y, run.y_tilde, run.beta, run.R, run.B, run.W)):
        return []
    layers = np.arange(0 if run.beta is None else min(MOST_LAYERS, run.n_layers))
    scene = scene_of(run, frames.points, layers)
    return [_picture(run, space, frames) for space in scene.spaces()] if scene is not None else []


def _drawable(values: Array | None) -> bool:
    return values is None or not values.size or bool(np.abs(values).max() < LARGEST)


def _picture(run: Run, space: Space, frames: Frames) -> Picture:
    panels = [space.panel(int(t)) for t in frames.times]
    shown, edges = len(panels[0].sectors), min(run.dim, MOST_LAYERS)
    cut = edges < run.dim and space.projection.dims < run.dim
    few = ""
    if shown and (shown < run.n_layers or cut):
        solid = f", the first {edges} of {run.dim} edges of each" if cut else ""
        few = f" Orthants of the first {shown} of {run.n_layers} layers are drawn{solid}."
    caption = f"{space.caption}{few} {space.projection.sentence}"
    return Picture(space, panels[0], caption, _data(space, panels, edges))


def _data(space: Space, panels: list[Panel], edges: int) -> dict[str, Any]:
    """Return it for the page; K coordinates of P points at F times, with L layers of E edges.

    Points (P, K), apexes (F, L, K) and edges (F, L, E, K) are packed as they are, states (F, P) a byte each, images
    (F, P, K) with 16 bits a coordinate.
    """
    place, first = space.projection, panels[0]
    layers = len(first.sectors)
    images, labels = place.coordinates(np.array([panel.after for panel in panels])), first.labels
    sectors = [sector for panel in panels for sector in panel.sectors]
    bounds = np.array([-sector.beta for sector in sectors]).reshape(len(panels), layers, place.dim)
    along = np.array([sector.R[:edges] for sector in sectors]).reshape(len(panels), layers, edges, place.dim)
    apexes, labels = place.coordinates(bounds), place.coordinates(labels)
    points = place.coordinates(first.before) if space.stays else None
    low, high, reach = _window([part for part in (images, labels, points) if part is not None], apexes)
    axis = f"{space.letter}[{{}}]" if place.dims == place.dim else "axis {}"
    return {
        "key": space.key,
        "dims": place.dims,
        "axes": [axis.format(k) for k in range(place.dims)],
        "basis": place.basis,
        "low": low,
        "high": high,
        "reach": reach,
        "points": None if points is None else _packed(points.astype("<f4")),
        "images": _quantised(images),
        "states": _packed(np.array([panel.kind if space.stays else 0 * panel.kind for panel in panels])),
        "numbers": first.number,
        "cluster": first.cluster,
        "labels": labels,
        "apexes": _packed(apexes.astype("<f4")),
        "edges": _packed((along @ place.matrix.T).astype("<f4")),
        "layers": layers,
        "edgesEach": edges if layers else 0,
        "solid": place.dims == place.dim,
        "own": any(sector.cluster >= 0 for sector in first.sectors),
        "trails": images.shape[1] <= FEW_IMAGES,
    }


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


def picture_html(picture: Picture, names: list[str]) -> str:
    """Return the figure of a geometry, with the controls that it has; names (C,) are those of the clusters."""
    space, numbers = picture.space, picture.first.number
    controls = [
        f'<label>{space.what} <input type="number" class="pick" min="{numbers.min()}" max="{numbers.max()}" '
        f'step="1" value="" placeholder="number"></label>'
    ]
    boxes = ((picture.first.sectors, "orthants", "orthants"), (space.stays, "lines", "lines to images"))
    controls += [
        f'<label><input type="checkbox" class="{kind}" checked> {label}</label>'
        for there, kind, label in boxes
        if there
    ]
    if space.projection.dims == 3:
        controls += [
            f'<label>{kind} <input type="range" class="{kind}" min="-{most}" max="{most}" step="1" value="0"></label>'
            for kind, most in TURNS
        ]
    used = [k for k in np.unique(picture.first.cluster).tolist() if k < len(names)]
    legend = "".join(
        f'<li><svg class="swatch" data-cluster="{k}" aria-hidden="true"></svg>{escape(names[k])}</li>'
        for k in used[:MOST_CLUSTERS]
    )
    if len(used) > MOST_CLUSTERS:
        legend += f"<li>and {len(used) - MOST_CLUSTERS} more</li>"
    return (
        f'<figure class="geometry" id="geometry-{space.key}" data-what="{space.what}">'
        f"<figcaption><h3>{escape(space.title)}</h3><p>{formula(picture.caption)}</p></figcaption>"
        '<div class="plot"></div>'
        f'<ul class="legend" aria-label="clusters">{legend}</ul>'
        f'<div class="controls">{"".join(controls)}</div>'
        '<p class="told"></p></figure>'
    )
