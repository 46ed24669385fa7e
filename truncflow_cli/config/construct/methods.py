"""The constructions, layer by layer, and their check against the definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from truncflow_cli.config.clusters import Clusters
from truncflow_cli.config.construct.full import collapse
from truncflow_cli.config.construct.mixed import Layer, cut
from truncflow_cli.config.errors import Fault
from truncflow_cli.config.schema import Construction
from truncflow_cli.config.streams import stream
from truncflow_cli.problem import Array
from truncflow_cli.truncation import composed, coordinates, positive_margin, truncate

#: Where the apex of a collapsed layer is put between its cluster and the others, tried in this order.
_APEX_SHARES = (0.5, 0.25, 0.1)
#: `clustered`: distance of the faces from the points, as a share of the data's extent.
_CLEAR = 0.25


@dataclass(frozen=True)
class Constructed:
    """Rotations and biases made for a set of clusters.

    Attributes:
        R: (L, Q, Q).
        beta: (L, Q).
        margins: (L,) least distance of any point from a face of the layer that it must stay clear of.
        remark: what the construction could not have as well.
    """

    R: Array
    beta: Array
    margins: Array
    remark: str = ""


#: Makes a layer from its number, the points of its cluster, and what it is to leave alone.
MakeLayer = Callable[[int, Array, Array], Layer]


def construct(
    setting: Construction, clusters: Clusters, seed: int, n_layers: int, rotations: Array | None
) -> Constructed:
    """Return the start that ``setting`` asks for, checked.

    There is a layer a cluster, except for `clustered`, which takes any number and any ``rotations`` (L, Q, Q).

    Raises:
        Fault: it cannot be, with the cluster, the condition and the margin.
    """
    if setting.method == "clustered":
        assert rotations is not None
        return _clustered(clusters, rotations, setting.margin)
    if n_layers != len(clusters.points):
        count = len(clusters.points)
        what = f"needs a layer a cluster; there are {n_layers} layers and {count} clusters"
        raise Fault(f"{what} (set layers: {count})")
    if setting.method == "collapsed":
        return _collapsed(clusters, setting.margin, seed)
    return _separated(clusters, setting, seed)


def _separated(clusters: Clusters, setting: Construction, seed: int) -> Constructed:
    """Layer ℓ truncates points of cluster ℓ only, (3.3), and leaves images of earlier clusters alone as well.

    The images matter where layers are composed, as in the flow `general`; without them (3.3) may still hold.
    """
    full = setting.start == "full"

    def make(layer: int, own: Array, others: Array) -> Layer:
        if full:
            return collapse(own, others, setting.margin, stream(seed, f"construct/{layer}"))
        return cut(own, others, setting.margin)

    try:
        result = _layers(clusters, make, f"start: {setting.start}", heed_images=True)
    except Fault:
        result = _layers(clusters, make, f"start: {setting.start}", heed_images=False)
        result = replace(result, remark="later layers truncate images of earlier clusters")
    _check_separated(clusters, result, full)
    return result


def _layers(clusters: Clusters, make: MakeLayer, what: str, heed_images: bool) -> Constructed:
    """Make layer after layer; each leaves all other clusters, and the images of earlier ones, alone."""
    images: list[Array] = []
    layers: list[Layer] = []
    for index, own in enumerate(clusters.points):
        foreign = clusters.but(index)
        others = np.concatenate([*foreign, *images]) if foreign else np.empty((0, clusters.dim))
        try:
            layer = make(index, own, others)
        except Fault as fault:
            raise Fault(f"{what} cannot be for {clusters.called(index)}: {fault}") from fault
        layers.append(layer)
        if heed_images and index + 1 < len(clusters.points):
            images.append(np.unique(truncate(own, layer.R, layer.beta), axis=0))
    return _stacked(layers)


def _stacked(layers: list[Layer]) -> Constructed:
    return Constructed(
        R=np.stack([layer.R for layer in layers]),
        beta=np.stack([layer.beta for layer in layers]),
        margins=np.array([layer.margin for layer in layers]),
    )


def _check_separated(clusters: Clusters, start: Constructed, full: bool) -> None:
    """Check (3.3), what layer ℓ truncates of cluster ℓ, and the margins, from the definitions."""
    for layer, own in enumerate(clusters.points):
        R, beta = start.R[layer], start.beta[layer]
        z = coordinates(own, R, beta)
        behind = bool((z <= 0).all()) if full else bool((z < 0).any())
        clear = min((positive_margin(x, R, beta).margin for x in clusters.but(layer)), default=np.inf)
        if not behind or not _reaches(clear, start.margins[layer]):
            raise _unverified(clusters, layer)


def _reaches(clear: float, margin: float) -> bool:
    return clear > 0 and clear >= margin * (1 - 1e-6)


def _unverified(clusters: Clusters, layer: int) -> Fault:
    what = f"the margin of {clusters.called(layer)} is too small to survive rounding"
    return Fault(f"{what}; shift the data, or scale it up")


def _collapsed(clusters: Clusters, margin: float | None, seed: int) -> Constructed:
    """Every cluster ℓ ends at −β^(ℓ), (8.1): as `start: full`, and the apexes before in S⁺ of each layer.

    What a layer has in S⁻ must stay clear of the later ones. An apex nearer to its cluster, which the later
    layers leave alone anyway, makes that easier and the margin smaller.
    """
    failure: Fault | None = None
    for share in _APEX_SHARES:

        def make(layer: int, own: Array, others: Array, share: float = share) -> Layer:
            return collapse(own, others, margin, stream(seed, f"construct/{layer}"), share)

        try:
            result = _layers(clusters, make, "collapsed", heed_images=True)
        except Fault as fault:
            failure = failure or fault
            continue
        _check_collapsed(clusters, result)
        return result
    assert failure is not None
    raise failure


def _check_collapsed(clusters: Clusters, start: Constructed) -> None:
    """Check (8.1) from its definition: the composed map takes every point of cluster ℓ to −β^(ℓ)."""
    for layer, own in enumerate(clusters.points):
        images = composed(own, start.R, start.beta)
        size = 1.0 + float(np.abs(start.beta).max()) + float(np.abs(own).max())
        if np.abs(images + start.beta[layer]).max() > 1e-12 * size:
            raise _unverified(clusters, layer)


def _clustered(clusters: Clusters, rotations: Array, margin: float | None) -> Constructed:
    """Every point in S⁺ of every layer, (9.2): any rotations, the apex far back on the orthant's axis."""
    x = np.concatenate(clusters.points)
    extent = float(np.linalg.norm(x - x.mean(axis=0), axis=1).max()) or 1.0
    clear = _CLEAR * extent if margin is None else margin
    layers = []
    for layer, R in enumerate(rotations):
        shift = clear - float((x @ R.T).min())
        beta = R.T @ np.full(clusters.dim, shift)
        achieved = positive_margin(x, R, beta).margin
        if not _reaches(achieved, clear):
            what = f"the margin of layer {layer} is lost in rounding"
            raise Fault(f"{what}; shift the data, or ask for a larger margin")
        layers.append(Layer(R, beta, achieved))
    return _stacked(layers)
