"""Data from 1e-8 to 1e8 are solved as they should scale; what double precision cannot do is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference.compare import Solved, run_solver

import truncflow_cli as truncflow
from truncflow_cli.config import Built, build, load_text
from truncflow_cli.errors import RunFailed, UserError
from truncflow_cli.run_data import Run

_rng = np.random.default_rng(0)
X = [_rng.normal((2.0, 0.0), size=(12, 2)), _rng.normal((0.0, 2.0), size=(12, 2))]
BIAS = _rng.normal(size=(2, 2))
LABELS = np.array([[1.5, -0.5], [0.2, 1.6]])


def built(c: float, flow: str, **integrator: object) -> Built:
    """Return the problem with points, labels and biases times c."""
    settings = ", ".join(f"{key}: {value!r}" for key, value in integrator.items())
    clusters = ", ".join(f"{{points: {(c * x).tolist()}}}" for x in X)
    text = (
        f"flow: {flow}\nclusters: [{clusters}]\nlabels: {(c * LABELS).tolist()}\nsave: {{count: 7}}\n"
        f"initial: {{rotation: random, bias: {(c * BIAS).tolist()}}}\nintegrator: {{{settings}}}\n"
    )
    return build(load_text(text, Path(), "scale"))


def solved(c: float, flow: str, **integrator: object) -> Solved:
    return run_solver(built(c, flow, **integrator).problem)


def differ(one: Solved, c: float, other: Solved, d: float) -> float:
    """Return by how much two runs differ when each is divided by its scale."""
    beta = np.abs(one.samples["beta"] / c - other.samples["beta"] / d).max()
    R = np.abs(one.samples["R"] - other.samples["R"]).max()
    loss = np.abs(one.samples["loss"] / c**2 - other.samples["loss"] / d**2).max()
    return float(max(beta, R, loss))


@pytest.mark.parametrize("c", [1e-90, 1e-8, 1e-3, 1e8, 1e60])
def test_with_fixed_rotations_everything_scales(c: float) -> None:
    one = solved(1.0, "separated", s_end=3.0, freeze_rotation=True)
    other = solved(c, "separated", s_end=3.0, freeze_rotation=True)
    assert differ(one, 1.0, other, c) < 1e-11
    assert len(one.events) == len(other.events)
    np.testing.assert_allclose(one.events["s"], other.events["s"], atol=1e-11)


@pytest.mark.parametrize("events", ["exact", "batched"])
def test_of_very_small_data_the_rotations_stay_where_they_are(events: str) -> None:
    """They turn at a rate of the order of |x|², so that the closed form with fixed rotations is the limit."""
    fixed = solved(1.0, "separated", s_end=3.0, freeze_rotation=True)
    small = solved(1e-8, "separated", s_end=3.0, events=events, atol=1e-20)
    assert differ(fixed, 1.0, small, 1e-8) < 1e-8
    assert len(fixed.crossings) == len(small.crossings)


@pytest.mark.parametrize(
    ("flow", "events"), [("separated", "exact"), ("separated", "batched"), ("general", "exact")]
)
def test_of_very_large_data_the_biases_stay_where_they_are(flow: str, events: str) -> None:
    """In the time c^-2 that the rotations take, biases have no time to move: from some scale on nothing changes."""
    large = solved(1e4, flow, s_end=3e-8, events=events)
    larger = solved(1e8, flow, s_end=3e-16, events=events)
    assert differ(large, 1e4, larger, 1e8) < 1e-6
    places = [sorted(event[2:5] for event in run.crossings) for run in (large, larger)]
    assert places[0] == places[1]  # whether what moves with a bias only is truncated or pinned has no limit
    balance = np.abs(larger.samples["energy_balance"]).max()
    assert balance < 1e-8 * larger.samples["loss"][0]
    assert np.abs(larger.samples["R"][-1] - larger.samples["R"][0]).max() > 0.1


@pytest.mark.parametrize("flow", ["separated", "general"])
@pytest.mark.parametrize("c", [1e6, 1e8, 1e12, 1e90])
def test_ends_that_are_out_of_reach_are_said_at_once(flow: str, c: float) -> None:
    with pytest.raises(RunFailed, match=r"scale points and labels down"):
        solved(c, flow, s_end=3.0)


def test_what_does_not_go_with_tolerance_or_length_is_said_before() -> None:
    usual = [" ".join(built(c, "separated", s_end=3.0).warnings) for c in (1e-8, 1.0, 100.0)]
    assert not any("of size" in warnings for warnings in usual)
    [*_, small] = built(1e-12, "separated", s_end=3.0).warnings
    assert "of size" in small
    assert "integrator.atol = 1e-12 is an error that is not small beside it" in small
    [*_, fast] = built(1e4, "separated", s_end=3.0).warnings
    assert "turn the rotations at a rate of up to" in fast
    assert "small beside" not in " ".join(built(1e-12, "separated", s_end=3.0, atol=1e-24).warnings)


@pytest.mark.parametrize("c", [1e-300, 1e-105, 1e105, 1e300])
def test_sizes_whose_squares_are_lost_are_refused(c: float) -> None:
    with pytest.raises(
        UserError, match=r"clusters.*coordinates up to 1e\+100 are allowed, and from 1e-100 on"
    ):
        built(c, "separated")


@pytest.mark.parametrize("c", [1e-8, 1e-4, 1e4, 1e8])
def test_collapsed_and_clustered_scale(c: float, tmp_path: Path) -> None:
    """E = W B + Y: with B and W times c, Y times c², it is the same flow in the time s/c²; (9.7) is linear in Y."""

    def run(name: str, text: str) -> Run:
        (tmp_path / f"{name}.yaml").write_text(text)
        return truncflow.run(tmp_path / f"{name}.yaml", tmp_path / f"{name}.h5")

    def collapsed(a: float) -> str:
        B = (a * np.array([[0.5, -0.2], [0.3, 0.7]])).tolist()
        W = (a * np.array([[1.1, 0.2], [-0.3, 0.9]])).tolist()
        Y = (a * a * np.array([[1.0, 0.4], [-0.6, 2.0]])).tolist()
        return (
            f"flow: collapsed\nlabels: {Y}\ninitial: {{bias: {B}, output_weight: {W}}}\n"
            f"integrator: {{s_end: {2.0 / a**2!r}, atol: {1e-12 * a!r}}}\nsave: {{count: 5}}\n"
        )

    with run("one", collapsed(1.0)) as one, run("other", collapsed(c)) as other:
        assert one.W is not None
        assert other.W is not None
        np.testing.assert_allclose(other.W / c, one.W, atol=1e-9)
        np.testing.assert_allclose(other.loss / c**4, one.loss, atol=1e-9)
        assert other.certificates["energy_balance"].verdict == "holds"

    def clustered(a: float) -> str:
        points = (a * X[0]).tolist()
        return (
            f"flow: clustered\nclusters: [{{points: {points}}}]\nlabels: [[1.5, -0.5]]\n"
            f"initial: {{output_weight: {{scale: {1.0 / a!r}}}}}\nintegrator: {{s_end: {2.0 / a**2!r}}}\n"
            "save: {count: 5}\n"
        )

    with run("two", clustered(1.0)) as one, run("more", clustered(c)) as other:
        np.testing.assert_allclose(other.W * c, one.W, atol=1e-9)
        np.testing.assert_allclose(other.loss, one.loss, atol=1e-9)
