"""The passes of the certificates, taken in blocks, against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from certified_runs import losing_separation, not_separated
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import passes as plain

from truncflow_cli.diagnostics import passes
from truncflow_cli.diagnostics.analysis import analysis_of
from truncflow_cli.diagnostics.descent import Jumps
from truncflow_cli.diagnostics.passes import Pinned


def close(found: np.ndarray, expected: np.ndarray, size: float) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13 * size)


def rotations(rng: np.random.Generator, shape: tuple[int, ...], dim: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(*shape, dim, dim)))[0]


def some_pins(rng: np.random.Generator, states: int, layers: int, points: int, dim: int) -> Pinned:
    """A tenth of all coordinates, at most a hundred, in no order; the first and the last among them."""
    shape = (states, layers, points, dim)
    every = int(np.prod(shape))
    chosen = rng.choice(every, size=min(100, every // 10), replace=False)
    chosen = rng.permutation(np.union1d(chosen, [0, every - 1]))
    return Pinned(*(index.astype(np.int64) for index in np.unravel_index(chosen, shape)))


NO_PINS = Pinned(*(np.empty(0, np.int64) for _ in range(4)))

sizes = st.fixed_dictionaries(
    {
        "states": st.sampled_from([1, 3]),
        "layers": st.integers(1, 4),
        "points": st.sampled_from([1, 2, 15, 16, 17, 40, 1030]),
        "dim": st.sampled_from([1, 2, 3, 5, 8, 11]),
        "bias": st.sampled_from([-8.0, 0.0, 0.5, 8.0]),
        "pins": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
    }
)


def scene(size: dict) -> tuple[tuple[np.ndarray, ...], Pinned, np.random.Generator]:
    """x, ỹ, R, β; a bias of ±8 in every coordinate of the first layer truncates all or nothing there."""
    rng = np.random.default_rng(size["seed"])
    states, layers, points, dim = (size[name] for name in ("states", "layers", "points", "dim"))
    x, y_tilde = rng.normal(size=(points, dim)), rng.normal(size=dim)
    R, beta = rotations(rng, (states, layers), dim), rng.normal(size=(states, layers, dim))
    beta[:, 0] = 0.5 * beta[:, 0] + size["bias"] * R[:, 0].sum(axis=1)
    pinned = some_pins(rng, states, layers, points, dim) if size["pins"] else NO_PINS
    return (x, y_tilde, R, beta), pinned, rng


@given(size=sizes, watched=st.booleans(), alone=st.booleans())
@settings(max_examples=150, deadline=None)
def test_pass_is_that_of_the_formulas(size, watched, alone):
    arrays, pinned, rng = scene(size)
    own = None if alone else int(rng.integers(size["layers"]))
    found = passes.cluster_pass(*arrays, pinned, own=own, watched=watched)
    for name, expected in plain.cluster_pass(*arrays, pinned, own, watched).items():
        close(getattr(found, name), expected, 1e3 if size["bias"] else 30.0)


@given(size=sizes, printed=st.booleans())
@settings(max_examples=80, deadline=None)
def test_velocity_is_that_of_the_formulas(size, printed):
    (x, y_tilde, R, beta), _, rng = scene(size)
    layer = int(rng.integers(size["layers"]))
    pinned = some_pins(rng, size["states"], 1, *x.shape) if size["pins"] else NO_PINS
    found = passes.separated_velocity(x, y_tilde, R[:, layer], beta[:, layer], pinned, printed=printed)
    expectations = plain.separated_velocity(x, y_tilde, R[:, layer], beta[:, layer], pinned, printed)
    for one, expected in zip(found, expectations, strict=True):
        close(one, expected, 1e3 if size["bias"] else 30.0)


@given(size=sizes, images=st.booleans())
@settings(max_examples=80, deadline=None)
def test_margins_are_the_least_coordinates(size, images):
    (x, _, R, beta), _, rng = scene(size)
    own = int(rng.integers(size["layers"])) if images else None
    found = passes.sector_margins(x, R, beta, own=own)
    expected = plain.sector_margins(x, R, beta, own)
    assert np.array_equal(np.isinf(found), np.isinf(expected))
    seen = np.isfinite(expected)
    close(found[seen], expected[seen], 30.0)


@given(size=sizes)
@settings(max_examples=40, deadline=None)
def test_farthest_image_is_found(size):
    (x, _, R, beta), _, rng = scene(size)
    target = rng.normal(size=beta[:, 0].shape)
    t = plain.output(x, np.broadcast_to(R[0], R.shape), beta)
    expected = np.linalg.norm(t - target[:, None], axis=2).max(axis=1)
    close(passes.farthest_image(x, R[0], beta, target), expected, 30.0)


@pytest.mark.parametrize("dim", [1, 2, 5, 16, 35])
def test_defects_are_those_of_the_matrix_product(dim, monkeypatch):
    R = np.random.default_rng(dim).normal(size=(7, 2, dim, dim))
    expected = np.linalg.norm(R.swapaxes(2, 3) @ R - np.eye(dim), axis=(2, 3))
    close(passes.orthogonality_defects(R), expected, 0.0)
    monkeypatch.setattr(passes, "BLOCK", 2)
    close(passes.orthogonality_defects(R), expected, 0.0)


def test_no_points_are_no_trouble():
    x, R, beta = np.empty((0, 2)), np.eye(2)[None, None], np.zeros((1, 1, 2))
    passed = passes.cluster_pass(x, np.zeros(2), R, beta)
    assert passed.loss.tolist() == [0.0]
    assert passed.lowest.tolist() == [[np.inf]]
    assert passes.sector_margins(x, R, beta).tolist() == [[np.inf]]
    assert passes.farthest_image(x, R[0], beta, np.zeros((1, 2))).tolist() == [0.0]


def test_a_whole_cluster_that_is_truncated_turns_nothing():
    """What is exactly zero comes out as zero: [H, M] = 0 for H = 0 and H = 1."""
    size = {"states": 2, "layers": 1, "points": 50, "dim": 4, "pins": False, "seed": 1}
    for bias in (-40.0, 40.0):
        arrays, pinned, _ = scene(size | {"bias": bias})
        assert not passes.cluster_pass(*arrays, pinned).gradient_R.any()
        x, y_tilde, R, beta = arrays
        assert not passes.separated_velocity(x, y_tilde, R[:, 0], beta[:, 0], printed=False)[1].any()


@pytest.mark.parametrize("run", ["separated", "general", "switched"])
def test_jumps_are_those_of_the_gradient_of_one_point(run):
    recorded = losing_separation("switch") if run == "switched" else not_separated(run, seed=0)
    seeds = iter(range(1, 8))
    while not (ev := analysis_of(recorded)).pins.size:
        if run == "switched":
            pytest.skip("no point is pinned in this run")
        recorded = not_separated(run, seed=next(seeds))
    jumps = Jumps(ev)
    for m in np.unique(ev.pins[:, 0]):
        found = jumps.at(int(m))
        rows = ev.pins[ev.pins[:, 0] == m, 1:]
        if found is None:
            assert len({(point, layer) for layer, point, _ in rows}) > len({point for _, point, _ in rows})
            continue
        for (layer, point, coordinate), one in zip(rows, found, strict=True):
            cluster = int(ev.cluster[point])
            stack = [cluster] if ev.own_layer_only[m] else list(range(ev.n_layers))
            held = {(int(a), int(r)) for a, i, r in rows if i == point}
            pin = int(layer), int(coordinate)
            state = ev.R[m], ev.beta[m]
            expected = plain.jump(state, ev.x[point], ev.run.y_tilde[cluster], stack, held, *pin)
            close(one, expected / ev.groups[cluster].size, 1.0)
