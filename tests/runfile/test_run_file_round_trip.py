"""What is appended to a run file is what is read from it, by us and by others."""

from __future__ import annotations

import itertools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from run_file_samples import made_up_chunks, made_up_events, made_up_problem, made_up_samples

import truncflow_cli as truncflow
from truncflow_cli import config, runfile
from truncflow_cli.errors import UserError
from truncflow_cli.events import EVENT_DTYPE, Kind
from truncflow_cli.problem import Problem
from truncflow_cli.run_data import Certificate, Run
from truncflow_cli.runfile import schema
from truncflow_cli.saved_state import Chunk

FLOWS = ("separated", "general", "collapsed", "clustered")


def certificates(run: Run) -> list[Certificate]:
    return [
        Certificate(
            "energy", "D(s) is zero", "(3.29)", "none", "holds", 1e-9, 1e-6, 1e-6, {"D": run.energy_balance}
        ),
        Certificate("theorem", "a bound", "Prop. 4.2", "η₀ < 1", "not applicable", np.nan, np.nan, np.nan),
    ]


def write(path: Path, problem: Problem, **options: object) -> None:
    with runfile.RunWriter(path, problem, "flow: x\n", "truncflow run x.yaml", seed=3, **options) as writer:
        for chunk in made_up_chunks(problem):
            writer.append(chunk)
        writer.finish("complete", certificates)


@pytest.mark.parametrize("flow", FLOWS)
def test_arrays_come_back(tmp_path: Path, flow: str) -> None:
    problem = made_up_problem(flow)
    write(tmp_path / "run.h5", problem, notes={"margin": 0.25}, warnings=["a", "b"])
    expected = made_up_samples(problem, problem.s_save)
    chunks = list(made_up_chunks(problem))
    with runfile.open_run(tmp_path / "run.h5") as run:
        for name, values in expected.items():
            np.testing.assert_array_equal(getattr(run, name), values)
        for name in {"beta", "R", "B", "W", "truncated_fraction"} - expected.keys():
            assert getattr(run, name) is None
        for name in ("x", "cluster", "y", "y_tilde", "R0", "beta0", "W0"):
            np.testing.assert_array_equal(getattr(run, name), getattr(problem, name))
        np.testing.assert_array_equal(run.events, np.concatenate([chunk.events for chunk in chunks]))
        assert (run.n_layers, run.n_clusters, run.dim, run.n_points) == (3, 3, 2, 7)
        assert (run.config, run.counters) == ("flow: x\n", {"steps": 10, "roots": 2})
        assert (run.notes, run.warnings) == ({"margin": 0.25}, ("a", "b"))
        assert (run.status, run.flow, run.attrs["seed"]) == ("complete", flow, 3)
        assert run.attrs["rotation_frozen"] is False
        assert isinstance(run.attrs["elapsed_seconds"], float)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_file_of_an_older_version_has_its_start_from_its_config(tmp_path: Path, flow: str) -> None:
    text = f"flow: {flow}\nclusters: [{{points: [[1.0, 0.5]]}}, {{points: [[0.2, 1.0]]}}]\nintegrator: {{s_end: 0.1}}"
    run = truncflow.run(config.load_text(text, tmp_path, "run"), out=tmp_path / "run.h5")
    start = run.R0, run.beta0, run.W0
    run.close()
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        del file["initial"]
    with runfile.open_run(tmp_path / "run.h5") as run:
        run.verify()
        for now, then in zip((run.R0, run.beta0, run.W0), start, strict=True):
            np.testing.assert_array_equal(now, then)


def test_a_start_that_is_not_known_is_said(tmp_path: Path) -> None:
    write(tmp_path / "run.h5", made_up_problem())
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        del file["initial/R"]
    with runfile.open_run(tmp_path / "run.h5") as run, pytest.raises(UserError, match="the run's config"):
        _ = run.R0


def test_certificates_come_back(tmp_path: Path) -> None:
    problem = made_up_problem()
    write(tmp_path / "run.h5", problem)
    with runfile.open_run(tmp_path / "run.h5") as run:
        energy, theorem = run.certificates["energy"], run.certificates["theorem"]
        np.testing.assert_array_equal(energy.series["D"], run.energy_balance)
        assert (energy.verdict, energy.value, energy.bound, energy.source) == ("holds", 1e-9, 1e-6, "(3.29)")
        assert theorem.hypothesis == "η₀ < 1"
        assert np.isnan(theorem.value)
        assert not theorem.series


def test_certificates_are_replaced_in_a_finished_file(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    write(path, made_up_problem())
    with runfile.open_run(path) as run:
        before = run.R
    runfile.write_certificates(path, [Certificate("new", "s", "p", "h", "violated", 2.0, 1.0, -1.0)])
    with runfile.open_run(path) as run:
        assert [(name, c.verdict) for name, c in run.certificates.items()] == [("new", "violated")]
        np.testing.assert_array_equal(run.R, before)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.h5"]


@pytest.mark.parametrize("flow", FLOWS)
def test_every_dataset_is_described_and_hangs_on_its_axes(tmp_path: Path, flow: str) -> None:
    write(tmp_path / "run.h5", made_up_problem(flow))
    with h5py.File(tmp_path / "run.h5", "r") as file:
        datasets = []
        file.visititems(lambda name, node: datasets.append(node) if isinstance(node, h5py.Dataset) else None)
        assert len(datasets) >= 20
        for dataset in datasets:
            assert isinstance(dataset.attrs["description"], str), dataset.name
        for name, dataset in file["trajectory"].items():
            assert name == "s" or dataset.dims[0]["s"] == file["trajectory/s"]
        assert file["trajectory/s"].is_scale
        assert h5py.check_enum_dtype(file["events/kind"].dtype) == {k.name.lower(): k.value for k in Kind}
        for name in schema.ATTRIBUTES:
            assert name in file.attrs, name
        assert file.attrs["format"] == "truncflow-run"
        assert file["config"].asstr()[()] == "flow: x\n"


@pytest.mark.parametrize("flow", FLOWS)
def test_xarray_opens_every_group_with_named_axes(tmp_path: Path, flow: str) -> None:
    problem = made_up_problem(flow)
    write(tmp_path / "run.h5", problem)
    with xr.open_dataset(tmp_path / "run.h5", engine="h5netcdf", group="trajectory") as trajectory:
        np.testing.assert_array_equal(trajectory.coords["s"], problem.s_save)
        assert trajectory["loss"].dims == ("s",)
        assert trajectory["loss_cluster"].dims == ("s", "cluster")
        state = {"clustered": ("W", ("output", "input")), "collapsed": ("B", ("input", "cluster"))}
        name, axes = state.get(flow, ("R", ("layer", "coordinate", "input")))
        assert trajectory[name].dims == ("s", *axes)
        assert (
            trajectory.sel(s=0.5, method="nearest")[name].shape
            == made_up_samples(problem, [0.5])[name].shape[1:]
        )
    with xr.open_datatree(tmp_path / "run.h5", engine="h5netcdf") as tree:
        assert tree["data"]["x"].dims == ("point", "input")
        assert tree["events"]["kind"].sizes == {"s": 20}
        assert tree["certificates/energy"]["D"].dims == ("s",)
        assert tree["certificates/energy"].attrs["verdict"] == "holds"


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=8), n_saved=st.integers(1, 12))
def test_how_a_run_is_cut_into_chunks_does_not_matter(cuts: list[int], n_saved: int) -> None:
    problem = made_up_problem(n_saved=n_saved)
    samples, events = made_up_samples(problem, problem.s_save), made_up_events(problem, np.linspace(0, 1, 60))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.h5"
        with runfile.RunWriter(
            path, problem, "", checkpoint_every=0.0 if cuts[:1] == [0] else 30.0
        ) as writer:
            edges = [0, *sorted(cuts), 60]
            for low, high in itertools.pairwise(edges):
                part = slice(low * n_saved // 60, high * n_saved // 60)
                chunk = {name: values[part] for name, values in samples.items()}
                writer.append(Chunk(high / 60, chunk, events[low:high]))
            writer.finish("complete")
        with runfile.open_run(path) as run:
            np.testing.assert_array_equal(run.R, samples["R"])
            np.testing.assert_array_equal(run.events, events)


def test_data_without_points(tmp_path: Path) -> None:
    problem = made_up_problem("collapsed", n_points=0)
    with runfile.RunWriter(tmp_path / "run.h5", problem, "") as writer:
        for s in problem.s_save:
            writer.append(Chunk(s, made_up_samples(problem, np.array([s])), np.empty(0, EVENT_DTYPE)))
        writer.finish("complete")
    with runfile.open_run(tmp_path / "run.h5") as run:
        assert run.x.shape == (0, 2)
        assert run.cluster.shape == (0,)
    with xr.open_dataset(tmp_path / "run.h5", engine="h5netcdf", group="data") as data:
        assert data["x"].shape == (0, 2)


def test_samples_that_the_layout_does_not_have_are_a_defect(tmp_path: Path) -> None:
    problem = made_up_problem()
    samples = made_up_samples(problem, np.array([0.0]))
    for wrong in ({**samples, "W": samples["loss"]}, {n: v for n, v in samples.items() if n != "beta"}):
        with (
            pytest.raises(ValueError, match="the layout has"),
            runfile.RunWriter(tmp_path / "run.h5", problem, "") as writer,
        ):
            writer.append(Chunk(0.0, wrong, np.empty(0, EVENT_DTYPE)))
            writer.finish("complete")
    assert list(tmp_path.iterdir()) == []


def test_runs_may_begin_at_the_same_time_in_several_threads(tmp_path: Path) -> None:
    problems = [made_up_problem(n_points=20 + number) for number in range(24)]  # a structure each
    paths = [tmp_path / f"{number}.h5" for number in range(len(problems))]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, paths, problems))
    for path, problem in zip(paths, problems, strict=True):
        with runfile.open_run(path) as run:
            assert (run.status, run.n_points) == ("complete", len(problem.x))
