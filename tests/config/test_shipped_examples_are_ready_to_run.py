"""The shipped configurations: they build without a warning, and the data in them are the published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from truncflow_cli import config

FOLDER = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("name", ["two-clusters", "iris", "pins", "frozen"])
def test_it_builds_without_a_warning_and_says_what_it_is(name: str) -> None:
    path = FOLDER / f"{name}.yaml"
    experiment = config.load(path)
    result = config.build(experiment)
    assert experiment.name == name
    assert str(experiment.output) == f"runs/{name}.h5"
    assert result.warnings == ()
    assert path.read_text().startswith("# ")


def test_iris_is_the_published_table() -> None:
    lines = (FOLDER / "iris.csv").read_text().splitlines()
    assert lines[0] == "sepal_length,sepal_width,petal_length,petal_width,species"
    x = np.array([[float(cell) for cell in line.split(",")[:4]] for line in lines[1:]])
    # Means and the sum of all entries, as given with the data set in the UCI repository.
    np.testing.assert_allclose(x.mean(axis=0), [5.843333, 3.057333, 3.758, 1.199333], atol=1e-6)
    assert x.shape == (150, 4)
    assert [line.rsplit(",", 1)[1] for line in lines[1::50]] == ["setosa", "versicolor", "virginica"]
    result = config.build(config.load(FOLDER / "iris.yaml"))
    assert np.bincount(result.problem.cluster).tolist() == [50, 50, 50]
    # The eigenvalues of the correlation matrix are 2.918, 0.914, 0.147 and 0.021.
    assert result.notes["pca explained variance"] == pytest.approx((2.918 + 0.914 + 0.147) / 4, abs=5e-4)


def test_wine_runs_from_five_lines(tmp_path: Path) -> None:
    text = f"""\
flow: separated
clusters: {{file: {FOLDER / "wine.csv"}, label_column: cultivar, standardize: true, reduce: {{to: 3}}}}
initial: {{construct: separated}}
integrator: {{s_end: 5}}
save: {{count: 11}}
"""
    result = config.build(config.load_text(text, tmp_path, "wine"))
    assert np.bincount(result.problem.cluster).tolist() == [59, 71, 48]
    assert result.notes["clusters"] == "1, 2, 3"
    assert result.warnings == ()
