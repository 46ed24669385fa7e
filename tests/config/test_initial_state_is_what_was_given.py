"""Labels, output map, rotations, biases and output weight in all their forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from config_samples import built, complaint
from hypothesis import given
from hypothesis import strategies as st

from truncflow_cli.config.arrays import orthogonal
from truncflow_cli.config.streams import random_orthogonal, random_rotation, stream
from truncflow_cli.problem import Problem

TWO = "clusters: [{points: [[2, 0, 1], [2.2, 0.1, 1]]}, {points: [[0, 2, 1]]}]\n"


def problem(text: str, *overrides: str, folder: Path = Path("/nowhere")) -> Problem:
    return built(TWO + text, *overrides, folder=folder).problem


def test_labels_take_every_form(tmp_path: Path) -> None:
    np.testing.assert_array_equal(problem("").y, [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(problem("labels: {scale: -2.5}").y, [[-2.5, 0, 0], [0, -2.5, 0]])
    np.testing.assert_array_equal(problem("labels: [[1, 2, 3], [4, 5, 6]]").y, [[1, 2, 3], [4, 5, 6]])
    np.save(tmp_path / "y.npy", np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(problem("labels: {file: y.npy}", folder=tmp_path).y, [[0, 1, 2], [3, 4, 5]])
    assert "demo:2: labels: must be 2×3 (C×Q), not 3×2" in complaint(TWO + "labels: [[1, 2], [3, 4], [5, 6]]")
    assert "labels: has an entry of 1e+200" in complaint(TWO + "labels: {scale: 1e200}")


def test_pulled_back_labels_solve_with_the_output_map() -> None:
    plain = problem("")
    np.testing.assert_array_equal(plain.y_tilde, plain.y)
    W = [[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 4.0]]
    mapped = problem(f"output_map: {W}")
    np.testing.assert_allclose(mapped.y_tilde @ np.transpose(W), mapped.y, atol=1e-15)
    turned = problem("output_map: {random: orthogonal}")
    np.testing.assert_allclose(turned.y_tilde @ turned.y_tilde.T, np.eye(2), atol=1e-14)
    assert not np.array_equal(turned.y_tilde, problem("output_map: {random: orthogonal}", "seed=1").y_tilde)


def test_an_output_map_without_inverse_is_refused_and_a_poor_one_warned_of() -> None:
    singular = "output_map: [[1, 2, 0], [2, 4, 0], [0, 0, 1]]"
    assert "demo:2: output_map: is not invertible (condition number" in complaint(TWO + singular)
    assert "output_map: is not invertible (condition number inf)" in complaint(
        TWO + "output_map: [[0, 0, 0], [0, 0, 0], [0, 0, 0]]"
    )
    poor = built(TWO + "output_map: [[1, 0, 0], [0, 1e-9, 0], [0, 0, 1]]")
    assert any("output_map has condition number 1e+09" in warning for warning in poor.warnings)
    assert "reaches 1e+105" in complaint(
        TWO + "labels: {scale: 1e99}\noutput_map: [[1e-6, 0, 0], [0, 1e-6, 0], [0, 0, 1e-6]]"
    )


def test_rotations_take_every_form(tmp_path: Path) -> None:
    np.testing.assert_array_equal(problem("").R0, [np.eye(3)] * 2)
    given_R = [random_rotation(stream(5, "x"), 3), random_orthogonal(stream(6, "x"), 3)]
    listed = problem(f"initial: {{rotation: {np.array(given_R).tolist()}}}").R0
    np.testing.assert_array_equal(listed, given_R)
    np.save(tmp_path / "R.npy", given_R)
    np.testing.assert_array_equal(problem("initial: {rotation: {file: R.npy}}", folder=tmp_path).R0, given_R)
    drawn = problem("initial: {rotation: random}").R0
    np.testing.assert_allclose(drawn @ drawn.transpose(0, 2, 1), [np.eye(3)] * 2, atol=2e-15)
    np.testing.assert_allclose(np.linalg.det(drawn), 1)
    assert not np.allclose(drawn[0], drawn[1])


def test_another_layer_does_not_change_the_first_ones() -> None:
    text = "flow: general\ninitial: {rotation: random, bias: {normal: 0.5}}\n"
    two, three = problem(text, "layers=2"), problem(text, "layers=3")
    np.testing.assert_array_equal(three.R0[:2], two.R0)
    np.testing.assert_array_equal(three.beta0[:2], two.beta0)


def test_random_orthogonal_matrices_follow_the_haar_measure() -> None:
    rng = stream(0, "haar")
    many = np.array([random_orthogonal(rng, 3) for _ in range(4000)])
    assert np.abs(many.mean(axis=0)).max() < 0.05
    np.testing.assert_allclose((many**2).mean(axis=0), 1 / 3, atol=0.03)
    # Each entry of a Haar matrix of O(3) is uniform on [-1, 1]; without the sign rule the diagonal is not.
    assert np.abs(np.sort(many[:, 0, 0]) - np.linspace(-1, 1, 4000)).max() < 0.08
    assert abs((np.linalg.det(many) > 0).mean() - 0.5) < 0.05
    assert all(np.linalg.det(random_rotation(rng, 3)) > 0 for _ in range(20))


def test_nearly_orthogonal_matrices_are_polished_and_others_refused() -> None:
    R = random_rotation(stream(1, "x"), 3)
    np.testing.assert_array_equal(orthogonal(R[None]), R[None])
    rough = np.round(R, 12)
    smooth = orthogonal(rough[None])[0]
    assert np.abs(smooth.T @ smooth - np.eye(3)).max() < 1e-15
    np.testing.assert_allclose(smooth, rough, atol=2e-12)
    rotation = [np.eye(3).tolist(), np.round(R, 4).tolist()]
    assert "demo:2: initial.rotation: matrix 1 is not orthogonal: RᵀR differs from 1 by" in complaint(
        f"{TWO}initial: {{rotation: {rotation}}}"
    )
    assert "initial.rotation: must be 2×3×3 (L×Q×Q), not 1×3×3" in complaint(
        f"{TWO}initial: {{rotation: {[np.eye(3).tolist()]}}}"
    )


def test_biases_take_every_form(tmp_path: Path) -> None:
    np.testing.assert_array_equal(problem("").beta0, np.zeros((2, 3)))
    np.testing.assert_array_equal(problem("initial: {bias: zero}").beta0, np.zeros((2, 3)))
    np.testing.assert_array_equal(
        problem("initial: {bias: [[1, 2, 3], [4, 5, 6]]}").beta0, [[1, 2, 3], [4, 5, 6]]
    )
    np.savetxt(tmp_path / "b.csv", [[1, 2, 3], [4, 5, 6]], delimiter=",")
    np.testing.assert_array_equal(
        problem("initial: {bias: {file: b.csv}}", folder=tmp_path).beta0, [[1, 2, 3], [4, 5, 6]]
    )
    one, two = problem("initial: {bias: {normal: 1}}").beta0, problem("initial: {bias: {normal: 2}}").beta0
    np.testing.assert_array_equal(two, 2 * one)
    assert "initial.bias: must be 2×3 (L×Q), not 1×3" in complaint(TWO + "initial: {bias: [[1, 2, 3]]}")


def test_output_weight_takes_every_form(tmp_path: Path) -> None:
    text = "flow: clustered\ninitial: {output_weight: "
    np.testing.assert_array_equal(problem(text + "identity}").W0, np.eye(3))
    np.testing.assert_array_equal(problem(text + "{scale: 0.5}}").W0, 0.5 * np.eye(3))
    W = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]]
    np.testing.assert_array_equal(problem(f"{text}{W}}}").W0, W)
    np.save(tmp_path / "W.npy", W)
    np.testing.assert_array_equal(problem(text + "{file: W.npy}}", folder=tmp_path).W0, W)
    assert problem(text + "{normal: 2}}").W0.std() > 0
    assert "initial.output_weight: must be 3×3 (Q×Q), not 1×1" in complaint(TWO + text + "[[1]]}")


def test_clustered_has_its_hypothesis_and_weights_by_default() -> None:
    default = built(TWO + "flow: clustered\n")
    assert default.warnings == ()
    assert default.problem.point_weights == "1/N"
    z = default.problem.x + default.problem.beta0[0]
    assert z.min() == pytest.approx(float(default.notes["construct margin"]))
    assert problem("flow: clustered\npoint_weights: 1/N_j\n").point_weights == "1/N_j"
    lost = built(TWO + "flow: clustered\ninitial: {bias: zero}\n")
    assert lost.warnings[0].startswith(
        "not every point is in S⁺ of every layer, (9.2): layer 0 truncates 2 of 3"
    )


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("labels: [[1, 0, 0], [0, 1, 0]]", (2, 3)),
        ("initial: {bias: [[1, 2, 3, 4], [1, 2, 3, 4]]}", (2, 4)),
        ("initial: {output_weight: [[1, 2], [3, 4]]}", (2, 2)),
        (
            "labels: [[1, 0, 0], [0, 1, 0]]\ninitial: {bias: {normal: 0.5}, output_weight: {normal: 0.5}}",
            (2, 3),
        ),
        ("labels: {scale: 2}\ninitial: {bias: [[1, 2]]}", (1, 2)),
    ],
)
def test_collapsed_runs_without_clusters(text: str, shape: tuple[int, int]) -> None:
    result = built("flow: collapsed\n" + text)
    assert result.problem.beta0.shape == result.problem.y.shape == shape
    assert result.problem.W0.shape == (shape[1], shape[1])
    assert result.problem.R0.shape == (shape[0], shape[1], shape[1])
    assert result.problem.x.shape == (0, shape[1])
    assert result.warnings == ()


def test_collapsed_says_what_it_cannot_know() -> None:
    assert "demo:1: labels: without clusters, C and Q must follow from labels or initial.bias" in complaint(
        "flow: collapsed"
    )
    assert "initial.bias: must be 1×2 (L×Q), not 2×2" in complaint(
        "flow: collapsed\nlabels: [[1, 2]]\ninitial: {bias: [[1, 2], [3, 4]]}"
    )
    assert "initial.construct needs it" in complaint(
        "flow: collapsed\nlabels: [[1]]\ninitial: {construct: collapsed}"
    )
    watched = built(TWO + "flow: collapsed\n")
    assert "the start is not collapsed, (8.1): cluster 0, cluster 1 not mapped" in watched.warnings[0]


@given(seed=st.integers(0, 2**63 - 1), name=st.text(max_size=20), other=st.text(max_size=20))
def test_streams_depend_on_seed_and_name_alone(seed: int, name: str, other: str) -> None:
    first = stream(seed, name).random(4)
    np.testing.assert_array_equal(first, stream(seed, name).random(4))
    if name != other:
        assert not np.array_equal(first, stream(seed, other).random(4))
    assert not np.array_equal(first, stream(seed ^ 1, name).random(4))


def test_settings_reach_the_problem() -> None:
    made = problem(
        "equations: printed\nintegrator: {s_end: 3, rtol: 1e-7, atol: 1e-9, events: auto, max_events: 5, "
        "on_separation_lost: switch}\nsave: {at: [1]}\n"
    )
    assert made.equations == "printed"
    assert made.settings.s_end == 3
    assert (made.settings.rtol, made.settings.atol) == (1e-7, 1e-9)
    assert (made.settings.events, made.settings.max_events) == ("auto", 5)
    assert made.settings.on_separation_lost == "switch"
    np.testing.assert_array_equal(made.s_save, [0, 1, 3])
    assert problem("integrator: {freeze_rotation: true}").settings.freeze_rotation
