"""Constructed starts, checked from the definitions; and the reason why there is none, where there is none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from config_samples import built, complaint, read
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog

from truncflow_cli import config
from truncflow_cli.config.construct.full import collapse, row_margins
from truncflow_cli.config.construct.hulls import gap
from truncflow_cli.config.construct.mixed import cut
from truncflow_cli.config.construct.rotations import with_axis, with_row
from truncflow_cli.config.errors import Fault
from truncflow_cli.errors import UserError
from truncflow_cli.problem import Problem

FINITE = st.floats(-8, 8, width=16)


def frames(problem: Problem) -> np.ndarray:
    """Return z of every layer and point, (L, N, Q), from the definition."""
    return np.einsum("lqr,lnr->lnq", problem.R0, problem.x[None] + problem.beta0[:, None])


def images(problem: Problem) -> np.ndarray:
    x = problem.x
    for R, beta in zip(problem.R0, problem.beta0, strict=True):
        x = np.maximum((x + beta) @ R.T, 0) @ R - beta
    return x


def cluster_list(clusters: list[np.ndarray]) -> str:
    return json.dumps([{"points": points.tolist()} for points in clusters])


def separable(own: np.ndarray, others: np.ndarray) -> bool:
    """Say by a linear program whether some half-space has all of ``others`` and none of ``own``."""
    rows = np.vstack(
        [np.hstack([own, -np.ones((len(own), 1))]), np.hstack([-others, np.ones((len(others), 1))])]
    )
    return (
        linprog(np.zeros(own.shape[1] + 1), A_ub=rows, b_ub=-np.ones(len(rows)), bounds=(None, None)).status
        == 0
    )


clouds = st.integers(1, 4).flatmap(
    lambda dim: st.tuples(
        arrays(np.float64, st.tuples(st.integers(1, 8), st.just(dim)), elements=FINITE),
        arrays(np.float64, st.tuples(st.integers(1, 8), st.just(dim)), elements=FINITE),
    )
)


@given(clouds)
def test_the_gap_between_hulls_is_the_widest_margin(pair: tuple[np.ndarray, np.ndarray]) -> None:
    own, others = pair
    found = gap(own, others)
    if found.length == 0:
        assert not separable(own * 1.0, others)
    else:
        normal = found.vector / found.length
        along = (others @ normal).min() - (own @ normal).max()
        # No direction has a wider gap than the hulls are apart, and this one has it.
        assert along == pytest.approx(found.length, rel=1e-7, abs=1e-10)


@given(arrays(np.float64, st.integers(1, 6), elements=FINITE))
def test_rotations_have_the_row_and_axis(vector: np.ndarray) -> None:
    assume(np.linalg.norm(vector) > 0.1)
    unit = vector / np.linalg.norm(vector)
    dim = len(unit)
    for R, wanted in ((with_row(unit)[0], None), (with_axis(unit), np.full(dim, dim**-0.5))):
        np.testing.assert_allclose(R @ R.T, np.eye(dim), atol=1e-14)
        if wanted is not None:
            np.testing.assert_allclose(R @ unit, wanted, atol=1e-13)
    np.testing.assert_allclose(with_row(unit)[0][with_row(unit)[1]], unit, atol=1e-13)
    if dim > 1:
        assert np.linalg.det(with_axis(unit)) > 0 < np.linalg.det(with_row(unit)[0])


several = st.tuples(st.integers(1, 3), st.integers(1, 3)).flatmap(
    lambda sizes: st.lists(
        arrays(np.float64, st.tuples(st.integers(1, 6), st.just(sizes[0])), elements=FINITE),
        min_size=sizes[1],
        max_size=sizes[1],
    )
)


@settings(deadline=None, max_examples=60)
@given(several)
def test_mixed_starts_cut_their_own_cluster_only_or_cannot_be(clusters: list[np.ndarray]) -> None:
    labels = np.zeros((len(clusters), clusters[0].shape[1])).tolist()
    text = f"clusters: {cluster_list(clusters)}\nlabels: {labels}\ninitial: {{construct: separated}}\n"
    try:
        result = built(text)
    except UserError as error:
        which = int(str(error).split("for cluster ")[1].split(":")[0].split(" ")[0])
        others = np.concatenate([points for index, points in enumerate(clusters) if index != which])
        outside = max(gap(point[None], others).length for point in clusters[which])
        assert "initial.construct: start: mixed cannot be for cluster" in str(error)
        assert outside < 1e-9, error
        return
    assert result.warnings == ()
    problem, z = result.problem, frames(result.problem)
    margin = float(result.notes.get("construct margin", 0.0))
    for layer in range(len(clusters)):
        own = problem.cluster == layer
        assert (z[layer, own] < 0).any()
        assert z[layer, ~own].size == 0 or z[layer, ~own].min() >= margin * (1 - 1e-6) > 0


def test_mixed_leaves_about_half_of_a_cluster_that_is_apart() -> None:
    text = (
        "clusters:\n"
        "- {center: [3, 0, 0], shape: ball, radius: 1, size: 41}\n"
        "- {center: [0, 3, 0], shape: ball, radius: 1, size: 30}\n"
        "- {center: [0, 0, 3], shape: ball, radius: 1, size: 1}\n"
        "initial: {construct: separated}\n"
    )
    problem = built(text).problem
    cut_points = [(frames(problem)[k, problem.cluster == k] <= 0).any(axis=1).sum() for k in range(3)]
    assert cut_points == [20, 15, 1]


def test_the_margin_asked_for_is_kept_and_the_largest_possible_is_named() -> None:
    text = "clusters: [{points: [[0, 0], [1, 0], [2, 0]]}, {points: [[5, 0], [6, 1]]}]\n"
    start = "initial: {{construct: {{method: separated, margin: {}}}}}\n"
    # The farthest points are 5 and 4.12 away from the other cluster, and a face must come between.
    for margin in (0, 0.5, 3, 4.1):
        result = built(text + start.format(margin))
        z = frames(result.problem)
        assert z[0, 3:].min() >= margin
        assert z[0, 3:].min() > 0
        assert (z[0, :3] < 0).any()
    assert "cannot be for cluster 0: the margin can be at most 5" in complaint(text + start.format(5.1))


def test_overlapping_clusters_are_cut_where_they_stick_out() -> None:
    text = "clusters: [{points: [[0, 0], [3, 0]]}, {points: [[1, 0], [4, 0], [1, 1], [1, -1]]}]\n"
    result = built(text + "initial: {construct: separated}\n")
    z = frames(result.problem)
    assert (z[0, :2] < 0).any(axis=1).tolist() == [True, False]
    inside = "[{points: [[0, 0]]}, {points: [[-1, -1], [2, -1], [0, 2]]}]"
    message = complaint(f"clusters: {inside}\ninitial: {{construct: separated}}\n")
    assert (
        "mixed cannot be for cluster 0: every one of its points lies in the convex hull of the others"
        in message
    )


@settings(deadline=None, max_examples=40)
@given(clouds.filter(lambda pair: pair[0].shape[1] == 2))
def test_full_starts_in_the_plane_have_the_margin_of_an_exhaustive_search(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    own, others = pair[0] / 4, pair[1] + [9, 3]
    angles = np.linspace(0, 2 * np.pi, 4001)
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    turned = np.stack([-np.sin(angles), np.cos(angles)], axis=1)
    best = np.minimum(row_margins(rows, own, others), row_margins(turned, own, others)).max()
    try:
        layer = collapse(own, others, None, np.random.default_rng(0))
    except Fault:
        assert best <= 1e-9
        return
    assert layer.margin >= best - 1e-4
    assert ((own + layer.beta) @ layer.R.T).max() <= -layer.margin + 1e-9
    assert ((others + layer.beta) @ layer.R.T).min() >= layer.margin - 1e-9


def test_full_is_found_where_the_cone_condition_fails() -> None:
    # The differences fill one orthant up to its edges: far wider than the circular cone inside it.
    R, _ = with_row(np.array([0.36, 0.48, 0.8]))
    own = np.zeros((1, 3))
    others = (np.eye(3) * 10 + 0.1) @ R
    layer = collapse(own, others, None, np.random.default_rng(0))
    assert layer.margin == pytest.approx(0.05, rel=1e-3)
    with pytest.raises(Fault, match="the margin can be at most"):
        collapse(own, others, 3.0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("clusters", "said"),
    [
        ("[{points: [[0, 0], [4, 0]]}, {points: [[2, 0]]}]", "its convex hull and that of the others meet"),
        (
            "[{points: [[0, 0]]}, {points: [[5, 0.1], [-5, 0.1]]}]",
            "directions from its points to the others differ by 178°",
        ),
        ("[{points: [[0, 0]]}, {points: [[0, 0]]}]", "its convex hull and that of the others meet"),
    ],
)
def test_full_starts_that_cannot_be_say_why(clusters: str, said: str) -> None:
    for construct in ("{method: separated, start: full}", "collapsed"):
        message = complaint(f"clusters: {clusters}\ninitial: {{construct: {construct}}}\n")
        assert "initial.construct" in message
        assert "cannot be for cluster 0" in message
        assert said in message


def test_full_starts_truncate_whole_clusters() -> None:
    text = (
        "clusters:\n"
        "- {center: [3, 0, 0], shape: ball, radius: 0.3, size: 20}\n"
        "- {center: [0, 3, 0], shape: ball, radius: 0.3, size: 20}\n"
        "- {center: [0, 0, 3], shape: ball, radius: 0.3, size: 20}\n"
        "initial: {construct: {method: separated, start: full}}\n"
    )
    result = built(text)
    z = frames(result.problem)
    margins = [float(result.notes[f"construct margin of layer {layer}"]) for layer in range(3)]
    for layer, margin in enumerate(margins):
        own = result.problem.cluster == layer
        assert z[layer, own].max() <= -margin * (1 - 1e-9)
        assert z[layer, ~own].min() >= margin * (1 - 1e-9)
    assert result.notes["construct margin"] == min(margins) > 0.05
    assert result.notes["construct"] == "separated, start: full"


COLLAPSED = """\
flow: collapsed
clusters:
- {center: [3, 0, 0], shape: ball, radius: 0.2, size: 9}
- {center: [0, 3, 0], shape: ball, radius: 0.2, size: 7}
- {center: [0, 0, 3], shape: gaussian, std: 0.05, size: 5}
initial: {construct: collapsed}
"""


def test_collapsed_starts_map_every_cluster_to_its_bias() -> None:
    result = built(COLLAPSED)
    problem = result.problem
    np.testing.assert_allclose(images(problem), -problem.beta0[problem.cluster], atol=1e-14)
    assert result.warnings == ()
    margin = float(result.notes["construct margin"])
    z = frames(problem)
    apexes = np.einsum("lqr,lkr->lkq", problem.R0, -problem.beta0[None] + problem.beta0[:, None])
    for layer in range(3):
        assert z[layer, problem.cluster == layer].max() <= -margin * (1 - 1e-9)
        assert apexes[layer, :layer].size == 0 or apexes[layer, :layer].min() >= margin * (1 - 1e-9)


def test_starts_for_one_flow_hold_for_the_others() -> None:
    def text(flow: str, method: str) -> str:
        return COLLAPSED.replace("flow: collapsed", f"flow: {flow}").replace("t: collapsed", f"t: {method}")

    for method in ("separated", "collapsed", "clustered"):
        one, two = (built(text(flow, method)).problem for flow in ("separated", "general"))
        np.testing.assert_array_equal(one.R0, two.R0)
        np.testing.assert_array_equal(one.beta0, two.beta0)
    # The composed map leaves the images of earlier clusters alone, so both flows begin with one loss.
    problem = built(text("general", "separated")).problem
    own = [
        np.maximum((problem.x[problem.cluster == k] + problem.beta0[k]) @ problem.R0[k].T, 0) @ problem.R0[k]
        for k in range(3)
    ]
    np.testing.assert_allclose(
        images(problem), np.concatenate(own) - problem.beta0[problem.cluster], atol=1e-13
    )


def test_clustered_starts_truncate_nothing_for_any_rotation() -> None:
    text = COLLAPSED.replace("flow: collapsed", "flow: clustered").replace(
        "{construct: collapsed}", "{rotation: random, construct: {method: clustered, margin: 0.125}}"
    )
    problem = built(text).problem
    for z in frames(problem):
        assert z.min() == pytest.approx(0.125)
    axes = np.einsum("lqr,lr->lq", problem.R0, problem.beta0)
    np.testing.assert_allclose(axes, axes[:, :1] * np.ones((1, 3)), atol=1e-14)


def test_one_cluster_alone_can_be_constructed() -> None:
    for points in ("[[1, 2], [3, 4], [0, 0]]", "[[1, 2]]", "[[5, 5], [5, 5]]"):
        for construct in ("separated", "{method: separated, start: full}", "collapsed", "clustered"):
            result = built(f"clusters: [{{points: {points}}}]\ninitial: {{construct: {construct}}}\n")
            z = frames(result.problem)[0]
            if construct == "clustered":
                assert z.min() > 0
            elif construct == "separated":
                assert (z < 0).any(axis=1).sum() >= 1
            else:
                assert z.max() < 0


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize(
    "construct", ["separated", "{method: separated, start: full}", "collapsed", "clustered"]
)
def test_margins_scale_with_the_data(construct: str, scale: float) -> None:
    points = [np.array([[2.0, 0.3], [2.5, 0.0]]), np.array([[0.0, 2.0], [0.4, 2.5]])]
    text = "clusters: {}\ninitial: {{construct: {}}}\n"
    one = built(text.format(cluster_list(points), construct)).notes["construct margin"]
    scaled = built(text.format(cluster_list([scale * p for p in points]), construct)).notes[
        "construct margin"
    ]
    assert scaled == pytest.approx(float(one) * scale, rel=1e-6)


def test_a_constructed_start_is_the_same_every_time() -> None:
    text = COLLAPSED.replace("construct: collapsed", "construct: {method: separated, start: full}").replace(
        "flow: collapsed", "flow: separated"
    )
    one, two = config.build(read(text)).problem, config.build(read(text)).problem
    assert one.R0.tobytes() == two.R0.tobytes()
    assert one.beta0.tobytes() == two.beta0.tobytes()


def test_many_points_are_cut_within_a_second_or_two() -> None:
    rng = np.random.default_rng(0)
    own, others = rng.standard_normal((20_000, 5)), rng.standard_normal((20_000, 5))
    layer = cut(own, others, None)
    assert ((others + layer.beta) @ layer.R.T).min() >= layer.margin * (1 - 1e-9) > 0
    assert (((own + layer.beta) @ layer.R.T) < 0).any()
