"""`load`, `run`, `open_run`: the three functions of the package; and `api.sweep`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import SMALL_CONFIG

import truncflow_cli as truncflow
from truncflow_cli import api
from truncflow_cli.errors import RunFailed, UserError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL_CONFIG)
    return tmp_path / "small.yaml"


def test_load_run_open(config: Path, tmp_path: Path) -> None:
    experiment = truncflow.load(config, ["integrator.s_end=1.0"])
    run = truncflow.run(experiment, out=tmp_path / "run.h5")
    assert (run.status, run.s[-1]) == ("complete", 1.0)
    assert run.R.shape == (21, 2, 2, 2)
    with truncflow.open_run(str(tmp_path / "run.h5")) as again:
        np.testing.assert_array_equal(again.R, run.R)


def test_a_path_will_do(config: Path, tmp_path: Path) -> None:
    run = truncflow.run(str(config), out=str(tmp_path / "run.h5"), overrides=["seed=3"])
    assert run.attrs["seed"] == 3


def test_a_finished_run_is_returned_and_another_is_not_replaced(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.h5"
    first = truncflow.run(config, out=out)
    image = out.read_bytes()
    second = truncflow.run(config, out=out)
    np.testing.assert_array_equal(second.loss, first.loss)
    assert out.read_bytes() == image
    with pytest.raises(UserError, match=r"made with another config \(seed\)"):
        truncflow.run(config, out=out, overrides=["seed=3"])
    assert truncflow.run(config, out=out, overrides=["seed=3"], force=True).attrs["seed"] == 3


def test_failures_are_exceptions_and_keep_the_file(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from truncflow_cli import solver

    solve = solver.solve

    def failing(problem, *_):
        yield next(solve(problem))
        raise RunFailed("no further", 0.0)

    monkeypatch.setattr(solver, "solve", failing)
    with pytest.raises(RunFailed, match="no further"):
        truncflow.run(config, out=tmp_path / "run.h5")
    assert truncflow.open_run(tmp_path / "run.h5").status == "failed"


def test_overrides_go_with_a_path(config: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="overrides"):
        truncflow.run(truncflow.load(config), out=tmp_path / "run.h5", overrides=["seed=1"])


def test_nothing_else_is_public() -> None:
    assert set(truncflow.__all__) == {"__version__", "load", "run", "open_run"}
    with pytest.raises(AttributeError, match="no attribute 'solve'"):
        truncflow.solve


def test_a_sweep_is_its_table(config: Path, tmp_path: Path) -> None:
    def swept() -> list[dict[str, object]]:
        return api.sweep(config, ["seed=3,4"], out=tmp_path / "out", overrides=["integrator.s_end=0.5"])

    rows = swept()
    assert [(row["status"], row["seed"]) for row in rows] == [("complete", 3), ("complete", 4)]
    with truncflow.open_run(rows[1]["file"]) as run:
        assert (run.attrs["seed"], run.s[-1]) == (4, 0.5)
        image = run.path.read_bytes()
    assert swept() == rows
    assert run.path.read_bytes() == image, "what is finished is left alone"
    with pytest.raises(UserError, match=r"integrator\.sigma"):
        api.sweep(config, ["integrator.sigma=1,2"], out=tmp_path / "other")
