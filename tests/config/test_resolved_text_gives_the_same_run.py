"""The resolved configuration: every default in it, absolute data files, and the same run from any folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from config_samples import GOOD, read
from hypothesis import given
from hypothesis import strategies as st

from truncflow_cli import config
from truncflow_cli.config import Experiment, build

CONFIGS = [
    GOOD,
    "clusters: [{points: [[1, 2]]}]\n",
    "flow: general\nlayers: 3\nclusters: [{points: [[1, 2]]}]\ninitial: {rotation: random}\n",
    "flow: general\nclusters: [{points: [[1, 2]]}, {points: [[0, 1e-7]]}]\ninitial: {bias: {normal: 1}}\n",
    "flow: collapsed\nlabels: [[1, 2, 3]]\ninitial: {bias: {normal: 0.3}, output_weight: {scale: 2}}\n",
    "flow: clustered\npoint_weights: 1/N_j\nclusters: [{points: [[1, 2]]}]\n",
    "clusters: [{shape: sphere, center: [0.1, 2], radius: 1e-9, size: 4}]\ninitial: {construct: separated}\n",
    "clusters: [{points: [[1, 2]]}]\nsave: {count: 30, spacing: log}\noutput_map: {random: orthogonal}\n",
    "clusters: [{points: [[1, 2]]}]\nsave: {every: 0.3}\nname: '1e-9'\noutput: 'a: b'\n",
]


def same_run(one: Experiment, two: Experiment) -> bool:
    first, second = build(one).problem, build(two).problem
    arrays = ("x", "cluster", "y", "y_tilde", "R0", "beta0", "W0", "s_save")
    return first.settings == second.settings and all(
        getattr(first, name).tobytes() == getattr(second, name).tobytes() for name in arrays
    )


@pytest.mark.parametrize("text", CONFIGS)
def test_reading_it_back_changes_nothing(text: str, tmp_path: Path) -> None:
    experiment = read(text)
    resolved = experiment.resolved()
    again = config.load_text(resolved, tmp_path, "another")
    assert again.config == experiment.config
    assert again.resolved() == resolved
    assert same_run(experiment, again)
    assert yaml.safe_load(resolved) == again.config.model_dump(exclude_none=True)


def test_every_default_is_in_it() -> None:
    settings = yaml.safe_load(read("clusters: [{points: [[1, 2]]}]\n").resolved())
    assert settings["name"] == "demo"
    assert settings["initial"] == {"rotation": "identity", "bias": "zero"}
    assert settings["integrator"] == {
        "s_end": 10.0,
        "rtol": 1e-9,
        "atol": 1e-12,
        "freeze_rotation": False,
        "events": "exact",
        "on_separation_lost": "record",
        "max_events": 1_000_000,
        "backend": "auto",
    }
    assert settings["save"] == {"count": 401, "spacing": "linear", "checkpoint_every": 30.0}
    assert settings["output"] == "runs/{name}.h5"
    general = yaml.safe_load(read("flow: general\nclusters: [{points: [[1, 2]]}]\n").resolved())
    assert general["layers"] == 1
    clustered = yaml.safe_load(read("flow: clustered\nclusters: [{points: [[1, 2]]}]\n").resolved())
    assert clustered["point_weights"] == "1/N"
    assert clustered["initial"] == {
        "rotation": "identity",
        "construct": {"method": "clustered"},
        "output_weight": "identity",
    }


def test_data_files_are_absolute_with_their_keys(tmp_path: Path) -> None:
    text = (
        "clusters: [{file: sub/../a.npy}, {file: 'b.npz:points'}, {file: c.h5:group/points}]\n"
        "labels: {file: y.csv}\noutput_map: {file: w.npy}\n"
        "initial: {rotation: {file: r.npy}, bias: {file: /else/b.npy}}\n"
    )
    settings = yaml.safe_load(read(text, folder=tmp_path).resolved())
    assert [cluster["file"] for cluster in settings["clusters"]] == [
        f"{tmp_path}/a.npy",
        f"{tmp_path}/b.npz:points",
        f"{tmp_path}/c.h5:group/points",
    ]
    assert settings["labels"] == {"file": f"{tmp_path}/y.csv"}
    assert settings["output_map"] == {"file": f"{tmp_path}/w.npy"}
    assert settings["initial"] == {"rotation": {"file": f"{tmp_path}/r.npy"}, "bias": {"file": "/else/b.npy"}}


def test_it_runs_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "points.npy", np.array([[1.0, 2.0], [3.0, 4.0]]))
    (tmp_path / "demo.yaml").write_text("clusters: [{file: points.npy}]\n")
    monkeypatch.chdir(tmp_path)
    experiment = config.load(Path("demo.yaml"))
    monkeypatch.chdir("/")
    assert same_run(experiment, config.load_text(experiment.resolved(), Path("/"), "x"))


WORDS = st.text(min_size=1, max_size=12).filter(
    lambda text: text.isprintable() and "/" not in text and text not in (".", "..")
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e99, max_value=1e99)


@given(
    name=WORDS,
    label=WORDS | st.integers(-9, 9),
    numbers=st.lists(st.lists(FLOATS, min_size=2, max_size=2), min_size=1, max_size=4),
    rtol=st.floats(1e-14, 0.1),
    seed=st.integers(0, 2**63 - 1),
)
def test_texts_and_numbers_survive_to_the_last_bit(
    name: str, label: str | int, numbers: list[list[float]], rtol: float, seed: int
) -> None:
    settings = {
        "name": name,
        "seed": seed,
        "clusters": {"file": "t.csv", "label_column": label},
        "labels": numbers,
        "integrator": {"rtol": rtol},
    }
    text = yaml.safe_dump(settings | {"name": "x", "clusters": {"file": "t.csv", "label_column": 0}})
    experiment = read(text, folder=Path("/data"))
    changed = experiment.config.model_copy(
        update={
            "name": name,
            "clusters": experiment.config.clusters.model_copy(update={"label_column": label}),
        }
    )
    experiment = Experiment(changed, experiment.document, experiment.path, experiment.base_dir)
    again = config.load_text(experiment.resolved(), Path("/"), "other")
    assert again.name == name
    assert again.config.clusters.label_column == label
    assert again.config.labels == numbers
    assert again.config.integrator.rtol == rtol
    assert again.config.seed == seed
