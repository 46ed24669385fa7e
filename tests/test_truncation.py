"""The truncation map by its definition, and what is made of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truncflow_cli import truncation
from truncflow_cli.events import Kind, event_log


def layers(seed: int, count: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        np.stack([np.linalg.qr(rng.normal(size=(dim, dim)))[0] for _ in range(count)]),
        rng.normal(size=(count, dim)),
    )


@given(st.integers(0, 2**16), st.integers(1, 5))
def test_it_is_the_nearest_point_of_the_sector(seed: int, dim: int) -> None:
    """τ maps onto the orthant with apex −β and edges R_ℓᵀe_r, keeps what is in it, and shortens the way there."""
    (R,), (beta,) = layers(seed, 1, dim)
    x = np.random.default_rng(seed).normal(size=(20, dim)) * 2.0
    image = truncation.truncate(x, R, beta)
    assert truncation.coordinates(image, R, beta).min() >= -1e-12
    inside = np.array([truncation.count_outside(point[None], R, beta) == 0 for point in x])
    assert truncation.count_outside(x, R, beta) == np.count_nonzero(~inside)
    np.testing.assert_allclose(image[inside], x[inside], atol=1e-12)
    # (x − τ(x)) is orthogonal to (τ(x) + β): the projection onto a cone.
    np.testing.assert_allclose(np.sum((x - image) * (image + beta), axis=1), 0.0, atol=1e-11)
    np.testing.assert_allclose(truncation.truncate(image, R, beta), image, atol=1e-12)


def test_margins_are_those_of_the_closest_coordinate(monkeypatch: pytest.MonkeyPatch) -> None:
    R, beta = layers(3, 3, 4)
    x = np.random.default_rng(4).normal(size=(50, 4))
    cluster = np.arange(50) % 3
    for block in (1 << 18, 7):
        monkeypatch.setattr(truncation, "_BLOCK", block)
        for layer, closest in enumerate(truncation.separation_margins(x, cluster, R, beta)):
            z = np.einsum("rq,iq->ir", R[layer], x + beta[layer])
            foreign = np.where(cluster[:, None] != layer, z, np.inf)
            assert closest.margin == pytest.approx(foreign.min(), abs=1e-13)
            assert closest.layer == layer
            assert cluster[closest.point] != layer
            assert z[closest.point, closest.coordinate] == pytest.approx(closest.margin, abs=1e-13)
        least = min(np.einsum("rq,iq->ir", R[k], x + beta[k]).min() for k in range(3))
        assert truncation.sector_margin(x, R, beta).margin == pytest.approx(least, abs=1e-13)
    assert truncation.sector_margin(x[:0], R, beta) == truncation.Closest(np.inf)
    assert truncation.Closest(np.inf).holds


def test_composed_applies_the_first_layer_first() -> None:
    R, beta = layers(5, 2, 3)
    x = np.random.default_rng(6).normal(size=(9, 3))
    once = truncation.truncate(x, R[0], beta[0])
    np.testing.assert_array_equal(truncation.composed(x, R, beta), truncation.truncate(once, R[1], beta[1]))


def test_pins_last_from_their_pin_to_their_unpin() -> None:
    events = event_log(
        [
            (0.0, Kind.PIN, 0, 4, 1, 0, -1),
            (0.5, Kind.TRUNCATE, 0, 4, 0, 0, -1),
            (1.0, Kind.PIN, 1, 2, 0, 0, -1),
            (2.0, Kind.UNPIN, 0, 4, 1, 0, 1),
            (3.0, Kind.PIN, 0, 4, 1, 0, -1),
        ]
    )
    assert truncation.pin_intervals(events) == [
        truncation.PinInterval((0, 4, 1), 0.0, 2.0),
        truncation.PinInterval((1, 2, 0), 1.0, np.inf),
        truncation.PinInterval((0, 4, 1), 3.0, np.inf),
    ]
    assert truncation.pin_intervals(events[:0]) == []
