"""The constructions, layer by layer, and their check against the definitions."""

from __future__ import annotations

from collections.abc import Callable

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

#: Makes a layer from its number, the points of its cluster, and what it is to leave alone.
MakeLayer = Callable[[int, Array, Array], Layer]


def construct(
    setting: Construction, clusters: Clusters, seed: int, n_layers: int, rotations: Array | None
) -> tuple[list[Layer], str]:
    """Return the layers of the start that ``setting`` asks for, checked, and what it could not have as well.

    There is a layer a cluster, except for `clustered`, which takes any number and any ``rotations`` (L, Q, Q).

    Raises:
        Fault: it cannot be, with the cluster, the condition and the margin.
    """
    if setting.method == "clustered":
        assert rotations is not None
        return _clustered(clusters, rotations, setting.margin), ""
    if n_layers != (count := len(clusters.points)):
        what = f"needs a layer a cluster; there are {n_layers} layers and {count} clusters"
        raise Fault(f"{what} (set layers: {count})")
    if setting.method == "collapsed":
        return _collapsed(clusters, setting.margin, seed), ""
    return _separated(clusters, setting, seed)


def _separated(clusters: Clusters, setting: Construction, seed: int) -> tuple[list[Layer], str]:
    """Layer ℓ truncates points of cluster ℓ only, (3.3), and leaves images of earlier clusters alone as well.

    The images matter where layers are composed, as in the flow `general`; without them (3.3) may still hold.
    """
    full, remark = setting.start == "full", ""
    make: MakeLayer = (
        _full_layer(setting.margin, seed) if full else lambda _, own, others: cut(own, others, setting.margin)
    )
    try:
        layers = _layers(clusters, make, f"start: {setting.start}")
    except Fault:
        layers = _layers(clusters, make, f"start: {setting.start}", heed_images=False)
        remark = "later layers truncate images of earlier clusters"
    for index, (own, layer) in enumerate(zip(clusters.points, layers, strict=True)):
        z = coordinates(own, layer.R, layer.beta)
        behind = bool((z <= 0).all()) if full else bool((z < 0).any())
        foreign = (positive_margin(x, layer.R, layer.beta).margin for x in clusters.but(index))
        if not behind or not _reaches(min(foreign, default=np.inf), layer.margin):
            raise _unverified(clusters, index)
    return layers, remark


def _full_layer(margin: float | None, seed: int, share: float = 0.5) -> MakeLayer:
    """Return what makes layers that collapse their cluster; the apex at this share of the way to the others."""
    return lambda layer, own, others: collapse(own, others, margin, stream(seed, f"construct/{layer}"), share)


def _layers(clusters: Clusters, make: MakeLayer, what: str, heed_images: bool = True) -> list[Layer]:
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
    return layers


def _reaches(clear: float, margin: float) -> bool:
    return clear > 0 and clear >= margin * (1 - 1e-6)


def _unverified(clusters: Clusters, layer: int) -> Fault:
    what = f"the margin of {clusters.called(layer)} is too small to survive rounding"
    return Fault(f"{what}; shift the data, or scale it up")


def _collapsed(clusters: Clusters, margin: float | None, seed: int) -> list[Layer]:
    """Every cluster ℓ ends at −β^(ℓ), (8.1): as `start: full`, and the apexes before in S⁺ of each layer.

    What a layer has in S⁻ must stay clear of the later ones. An apex nearer to its cluster, which the later
    layers leave alone anyway, makes that easier and the margin smaller.
    """
    failures = []
    for share in _APEX_SHARES:
        try:
            layers = _layers(clusters, _full_layer(margin, seed, share), "collapsed")
        except Fault as fault:
            failures.append(fault)
            continue
        R, beta = stacked(layers)
        for layer, own in enumerate(clusters.points):
            size = 1.0 + float(np.abs(beta).max()) + float(np.abs(own).max())
            if np.abs(composed(own, R, beta) + beta[layer]).max() > 1e-12 * size:
                raise _unverified(clusters, layer)
        return layers
    raise failures[0]


def stacked(layers: list[Layer]) -> tuple[Array, Array]:
    """Return R (L, Q, Q) and β (L, Q)."""
    return np.stack([layer.R for layer in layers]), np.stack([layer.beta for layer in layers])


def _clustered(clusters: Clusters, rotations: Array, margin: float | None) -> list[Layer]:
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
    return layers
