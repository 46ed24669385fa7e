"""Every shipped config runs: within tolerance, no certificate violated, and it shows what its comments say."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import ROOT
from scipy.linalg import expm
from typer.testing import CliRunner, Result

from truncflow_cli import config, runfile
from truncflow_cli.cli.app import app
from truncflow_cli.docs import pages
from truncflow_cli.errors import UserError
from truncflow_cli.events import Kind
from truncflow_cli.flows.registry import FLOWS
from truncflow_cli.run_data import Run

CONFIGS = {path.stem: path for path in sorted((ROOT / "configs").glob("*.yaml"))}

#: The energy balance of a run may be off by so many times its rtol, relative to the loss at the start.
BALANCE = 20.0


@pytest.fixture(scope="module", autouse=True)
def keep_signal_handler() -> Iterator[None]:
    """Put back the handler that the command sets for its process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Run]]:
    """Return a function that runs a config of this name, once, through the command line."""
    folder, runs = tmp_path_factory.mktemp("runs"), {}

    def run(name: str, *overrides: str) -> Run:
        if (name, overrides) not in runs:
            target = folder / f"{len(runs)}.h5"
            settings = [part for override in overrides for part in ("--set", override)]
            done = invoke("run", CONFIGS[name], "-o", target, "--json", *settings)
            assert done.exit_code == 0, done.stderr
            assert json.loads(done.stdout)["path"] == str(target)
            runs[name, overrides] = runfile.open_run(target)
        return runs[name, overrides]

    yield run
    for file in runs.values():
        file.close()


def verdicts(run: Run) -> dict[str, str]:
    return {name: certificate.verdict for name, certificate in run.certificates.items()}


def events(run: Run, kind: Kind) -> int:
    return int(np.count_nonzero(run.events["kind"] == kind))


@pytest.mark.parametrize("name", CONFIGS)
def test_it_runs_within_tolerance_and_violates_nothing(run_of: Callable[..., Run], name: str) -> None:
    run, settings = run_of(name), config.load(CONFIGS[name]).config.integrator
    assert run.status == "complete"
    assert run.s[0] == 0.0
    assert run.s[-1] == settings.s_end
    tolerance = BALANCE * settings.rtol * run.loss[0]
    assert np.abs(run.energy_balance).max() <= tolerance
    assert np.diff(run.loss).max() <= tolerance
    assert run.loss[-1] < 0.9 * run.loss[0]
    found = list(verdicts(run).values())
    assert "violated" not in found
    assert found.count("holds") >= 8
    report = invoke("report", run.path, "--strict")
    assert report.exit_code == 0
    with h5py.File(run.path) as file:
        assert file["trajectory/loss"].shape == run.s.shape


@pytest.mark.parametrize("flow", FLOWS)
def test_each_flow_is_shipped_on_made_up_and_on_real_data(flow: str) -> None:
    shipped = [config.load(path).config for path in CONFIGS.values()]
    tables = [hasattr(each.clusters, "label_column") for each in shipped if each.flow == flow]
    assert any(tables)
    assert not all(tables)


def images(run: Run, time: int) -> list[np.ndarray]:
    """Return what a plain forward pass at a saved time makes of each cluster, (N_j, Q) each."""
    made = []
    for k in range(run.n_clusters):
        t = run.x[run.cluster == k]
        for layer in range(run.n_layers):
            if run.attrs["flow"] == "general" or layer == k:
                R, beta = run.R[time, layer], run.beta[time, layer]
                t = np.maximum((t + beta) @ R.T, 0.0) @ R - beta
        made.append(t)
    return made


def plain_loss(run: Run, time: int) -> float:
    flow = run.attrs["flow"]
    if flow == "collapsed":
        return 0.5 * float(((run.W[time] @ run.B[time] + run.y.T) ** 2).sum())
    if flow == "clustered":
        return 0.5 * float(((run.x @ run.W[time].T - run.y[run.cluster]) ** 2).sum(axis=1).mean())
    pairs = zip(images(run, time), run.y_tilde, strict=True)
    return 0.5 * sum(float(((image - label) ** 2).sum(axis=1).mean()) for image, label in pairs)


def variability_ratio(run: Run, time: int) -> float:
    """Return the scatter within the images of the clusters over that between them."""
    made = images(run, time)
    means = np.array([image.mean(axis=0) for image in made])
    within = np.mean(
        [((image - mean) ** 2).sum(axis=1).mean() for image, mean in zip(made, means, strict=True)]
    )
    return float(within / ((means - means.mean(axis=0)) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize("name", CONFIGS)
def test_its_loss_is_that_of_a_plain_network(run_of: Callable[..., Run], name: str) -> None:
    run = run_of(name)
    for time in (0, len(run.s) // 4, len(run.s) - 1):
        assert run.loss[time] == pytest.approx(plain_loss(run, time), rel=1e-9, abs=1e-18)


def test_general_has_more_clusters_than_layers_and_takes_their_images_apart(
    run_of: Callable[..., Run],
) -> None:
    run = run_of("general")
    assert run.n_layers == 2
    assert run.n_clusters == 3
    assert (run.truncated_fraction[0] > 0.6).any()
    assert events(run, Kind.PIN) >= 20
    assert events(run, Kind.RELEASE) >= 100
    assert events(run, Kind.UNCOLLAPSE) >= 1
    assert run.loss[-1] < 0.1 * run.loss[0]
    assert variability_ratio(run, 0) > 1.0
    assert variability_ratio(run, -1) < 0.1


def test_general_on_wine_starts_far_from_separated_and_meets_hundreds_of_events(
    run_of: Callable[..., Run],
) -> None:
    run = run_of("general-wine")
    assert verdicts(run)["separation"] == "hypothesis not met"
    assert events(run, Kind.TRUNCATE) >= 100
    assert events(run, Kind.RELEASE) >= 100
    assert np.bincount(run.cluster).tolist() == [59, 71, 48]


def test_general_on_wine_can_start_where_it_equals_the_separated_flow(
    run_of: Callable[..., Run],
) -> None:
    own = ("initial.rotation=null", "initial.bias=null", "initial.construct=separated")
    short = "integrator.s_end=0.2"
    general = run_of("general-wine", *own, short)
    separated = run_of("general-wine", *own, short, "flow=separated")
    assert verdicts(general)["general_equals_separated"] == "holds"
    np.testing.assert_allclose(general.beta[10], separated.beta[10], atol=1e-9)


def test_collapsed_falls_at_the_rate_of_the_theorem(run_of: Callable[..., Run]) -> None:
    run = run_of("collapsed")
    gap = run.W[0].T @ run.W[0] - run.B[0] @ run.B[0].T
    rate = np.linalg.eigvalsh(gap)[0]
    assert rate > 1.0
    assert (run.loss <= run.loss[0] * np.exp(-2.0 * rate * run.s) * (1 + 1e-9)).all()
    np.testing.assert_allclose(run.W[-1] @ run.B[-1], -run.y.T, atol=1e-9)
    assert run.x.shape == (0, 3)
    assert run.n_clusters == 4
    for name in ("invariant", "loss_bound", "norm_bounds", "limit"):
        assert verdicts(run)[name] == "holds"


def test_collapsed_with_a_small_output_weight_has_no_rate(run_of: Callable[..., Run]) -> None:
    run = run_of("collapsed", "initial.output_weight={scale: 0.5}")
    invariant = run.B[0] @ run.B[0].T - run.W[0].T @ run.W[0]
    assert np.linalg.eigvalsh(invariant)[0] < 0.0 < np.linalg.eigvalsh(invariant)[-1]
    assert verdicts(run)["loss_bound"] == "hypothesis not met"


def test_collapsed_petals_stay_collapsed_with_these_labels_and_not_with_the_others(
    run_of: Callable[..., Run],
) -> None:
    run = run_of("collapsed-iris")
    assert verdicts(run)["collapsed_data"] == "holds"
    assert len(run.events) == 0
    lost = run_of("collapsed-iris", "labels=[[-1.2, -1.6], [-1.6, -1.0]]")
    assert verdicts(lost)["collapsed_data"] == "violated"
    assert events(lost, Kind.UNCOLLAPSE) == 1
    assert verdicts(lost)["loss_bound"] == "holds"


def test_clustered_ends_at_the_least_squares_minimiser(run_of: Callable[..., Run]) -> None:
    for name in ("clustered", "clustered-wine"):
        run = run_of(name)
        best = np.linalg.lstsq(run.x, run.y[run.cluster], rcond=None)[0].T
        np.testing.assert_allclose(run.W[-1], best, atol=1e-10)
        middle = len(run.s) // 2
        decay = expm(-run.s[middle] * run.x.T @ run.x / len(run.x))
        np.testing.assert_allclose(run.W[middle], best + (run.W[0] - best) @ decay, atol=1e-10)
    assert run.dim == 13
    assert run.n_clusters == 3


def test_petals_are_those_of_iris() -> None:
    folder = ROOT / "configs"
    iris = [line.split(",") for line in (folder / "iris.csv").read_text().splitlines()[1:]]
    groups = [(row[2], row[3], "setosa" if row[4] == "setosa" else "other") for row in iris]
    petals = (folder / "iris-setosa.csv").read_text().splitlines()
    assert petals[0] == "petal_length,petal_width,group"
    assert [tuple(line.split(",")) for line in petals[1:]] == groups


@pytest.mark.parametrize(("table", "label"), [("iris.csv", "species"), ("wine.csv", "cultivar")])
def test_three_classes_cannot_be_collapsed(table: str, label: str) -> None:
    text = f"""\
flow: collapsed
clusters: {{file: {table}, label_column: {label}, standardize: true, reduce: {{to: 3}}}}
initial: {{construct: collapsed}}
"""
    with pytest.raises(UserError, match="collapsed cannot be for cluster 0"):
        config.build(config.load_text(text, ROOT / "configs", "three"))


@pytest.mark.parametrize("flow", ["separated", "general"])
def test_wine_runs_from_a_five_line_config(tmp_path: Path, flow: str) -> None:
    path = tmp_path / "wine.yaml"
    path.write_text(f"""\
flow: {flow}
clusters: {{file: {ROOT}/configs/wine.csv, label_column: cultivar, standardize: true, reduce: {{to: 3}}}}
labels: {{scale: 3.0}}
initial: {{construct: separated}}
integrator: {{s_end: 1.0}}
""")
    done = invoke("run", path, "-o", tmp_path / "wine.h5")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'wine.h5'}\n"
    with runfile.open_run(tmp_path / "wine.h5") as run:
        assert np.abs(run.energy_balance).max() <= BALANCE * 1e-9 * run.loss[0]
        assert events(run, Kind.TRUNCATE) > 20
        assert verdicts(run)["dissipation"] == "holds"


@pytest.mark.parametrize("name", CONFIGS)
def test_the_gallery_says_what_it_gives(run_of: Callable[..., Run], name: str) -> None:
    run = run_of(name)
    section = pages.text("gallery").partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    first, last, happened = re.search(
        r"^- loss (\S+) → (\S+)(?: to rounding)?; (.*)$", section, re.MULTILINE
    ).groups()
    assert float(first) == pytest.approx(run.loss[0], rel=1e-3)
    assert float(last) == pytest.approx(run.loss[-1], rel=1e-3, abs=1e-20)
    said = {kind: int(number) for kind, number in re.findall(r"(\w+) (\d+)", happened)}
    for kind in Kind:
        assert said.get(kind.name.lower(), 0) == pytest.approx(events(run, kind), rel=0.03)
