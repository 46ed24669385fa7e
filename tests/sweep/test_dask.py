"""On Dask a sweep gives the same files as on local processes, and says what is missing where it cannot run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import pytest
from command_line import truncflow
from sweep_samples import QUICK, contents

from truncflow_cli.errors import UserError
from truncflow_cli.sweep.dask import run_dask
from truncflow_cli.sweep.folder import locked
from truncflow_cli.sweep.member import Report, Result, perform
from truncflow_cli.sweep.plan import Sweep, plan_sweep

GRID = ("--grid", "seed=0,1", "--grid", "integrator.max_events=1,100")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "quick.yaml").write_text(QUICK)
    return tmp_path


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler with one worker, both in this process."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
    ) as cluster:
        yield cluster.scheduler_address


def plan(folder: Path, name: str) -> Sweep:
    return plan_sweep(folder / "quick.yaml", GRID[1::2], folder=folder / name)


def by_dask(sweep: Sweep, address: str) -> dict[int, Result]:
    results: dict[int, Result] = {}

    def take(report: Report) -> None:
        assert isinstance(report, Result)
        results[report.index] = report

    run_dask(sweep.source, sweep.members, address, 1, take)
    return results


def test_an_existing_cluster_gives_the_same_files(folder: Path, scheduler: str) -> None:
    there, here = plan(folder, "there"), plan(folder, "here")
    with locked(there.folder):
        results = by_dask(there, scheduler)
    alone = [perform(here.source, member) for member in here.members]
    assert (
        [results[index].exit_code for index in range(4)]
        == [result.exit_code for result in alone]
        == [3, 0, 3, 0]
    )
    assert [results[index].message for index in range(4)] == [result.message for result in alone]
    assert contents(there.folder) == contents(here.folder)
    with locked(there.folder):
        again = by_dask(there, scheduler)
    assert [again[index].fresh for index in range(4)] == [True, False, True, False]


def test_workers_that_do_not_see_the_folder_say_so(folder: Path, scheduler: str) -> None:
    results = by_dask(
        plan(folder, "elsewhere"), scheduler
    )  # nobody leads a sweep there, as seen from the worker
    assert {result.exit_code for result in results.values()} == {2}
    assert "does not see" in results[0].message
    assert not (folder / "elsewhere").exists()


def test_a_local_cluster(folder: Path) -> None:
    few = ("--grid", "seed=0", "--grid", "integrator.max_events=1,100")
    done = truncflow(
        "sweep", "quick.yaml", *few, "--dask", "local", "--workers", "1", "-o", "out", cwd=folder
    )
    assert (done.returncode, done.stdout) == (3, "out/sweep.csv\n")
    assert len(done.stderr.splitlines()) == 2, done.stderr  # a failure and the sum, no word from Dask itself
    here = plan(folder, "here")
    for member in here.members[:2]:
        perform(here.source, member)
    assert contents(folder / "out") == contents(here.folder)


def test_an_address_where_nobody_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("truncflow_cli.sweep.dask._TIMEOUT", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(UserError, match=f"--dask {address}: no Dask scheduler answers"):
            by_dask(plan(folder, "out"), address)


def test_without_dask_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "distributed", missing)
    with pytest.raises(UserError, match=r"pip install 'truncflow\[dask\]'"):
        by_dask(plan(folder, "out"), "local")
