"""A sweep makes the files that its runs would make alone, a table of them, and later only what is missing."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from command_line import truncflow
from sweep_samples import QUICK, contents, stamps

from truncflow_cli import runfile

#: The first meets more events than it may, the third asks for more room than there is.
TROUBLE = (
    *("--zip", "integrator.max_events=1,100,100"),
    *("--zip", "initial.construct=separated,separated,{method: separated, margin: 100}"),
)
GRID = ("--grid", "seed=0,1,2", "--grid", "integrator.s_end=1:2:2")
FOLDER = Path("runs/quick-sweep")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the sweep has been run by two workers."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "quick.yaml").write_text(QUICK)
    done = truncflow("sweep", "quick.yaml", *GRID, "--workers", "2", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "runs/quick-sweep/sweep.csv\n"), done.stderr
    assert done.stderr.startswith("6 of 6 runs complete, ")
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_file_each_and_a_row_each(swept: Path) -> None:
    names = [f"seed={seed},integrator.s_end={end}.h5" for seed in (0, 1, 2) for end in (1, 2)]
    assert sorted(path.name for path in (swept / FOLDER).iterdir()) == sorted([*names, "sweep.csv"])
    rows = table(swept / FOLDER / "sweep.csv")
    assert [row["file"] for row in rows] == [str(FOLDER / name) for name in names]
    assert {(row["status"], row["exit_code"], row["message"]) for row in rows} == {("complete", "0", "")}
    assert [(row["seed"], row["integrator.s_end"]) for row in rows] == [(s, e) for s in "012" for e in "12"]
    with runfile.open_run(swept / FOLDER / names[3]) as run:
        assert float(rows[3]["loss_last"]) == run.loss[-1]
        assert int(rows[3]["events"]) == run.n_events
        verdicts = [certificate.verdict for certificate in run.certificates.values()]
        assert int(rows[3]["verdicts_holds"]) == verdicts.count("holds")


def test_the_table_says_what_report_says(swept: Path) -> None:
    files = sorted(str(path.relative_to(swept)) for path in (swept / FOLDER).glob("*.h5"))
    done = truncflow("report", *files, "--csv", cwd=swept)
    report = {row["file"]: row for row in csv.DictReader(done.stdout.splitlines())}
    for row in table(swept / FOLDER / "sweep.csv"):
        told = report[row["file"]]
        assert set(told) <= set(row)
        values = {key: float(told[key]) for key in ("integrator.s_end", "seed")}
        assert values == {key: float(row[key]) for key in values}
        assert {key: told[key] for key in told if key not in values} == {
            key: row[key] for key in told if key not in values
        }


def test_started_again_it_touches_nothing(swept: Path) -> None:
    before = stamps(swept / FOLDER)
    done = truncflow("sweep", "quick.yaml", *GRID, "--workers", "1", "--json", cwd=swept)
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert (told["members"], told["complete"], told["found_complete"], told["failed"]) == (6, 6, 6, 0)
    assert [row["seed"] for row in told["runs"]] == [0, 0, 1, 1, 2, 2]
    assert stamps(swept / FOLDER) == before


def test_it_does_what_is_missing_and_the_number_of_workers_changes_nothing(
    swept: Path, tmp_path: Path
) -> None:
    shutil.copy(swept / "quick.yaml", tmp_path)
    shutil.copytree(swept / FOLDER, tmp_path / FOLDER)
    gone = sorted((tmp_path / FOLDER).glob("*.h5"))[::2]
    for path in gone:
        path.unlink()
    before = stamps(tmp_path / FOLDER, "*.h5")
    done = truncflow("sweep", "quick.yaml", *GRID, "--workers", "1", cwd=tmp_path)
    assert (done.returncode, len(before)) == (0, 3)
    assert "6 of 6 runs complete (3 already there)" in done.stderr
    after = stamps(tmp_path / FOLDER, "*.h5")
    assert {name: after[name] for name in before} == before
    assert contents(tmp_path / FOLDER) == contents(swept / FOLDER)


def test_what_goes_wrong_is_recorded_and_stops_no_other(swept: Path, tmp_path: Path) -> None:
    shutil.copy(swept / "quick.yaml", tmp_path)
    shutil.copytree(swept / FOLDER, tmp_path / "out")
    done = truncflow("sweep", "quick.yaml", *TROUBLE, "-o", "out", "--json", cwd=tmp_path)
    assert done.returncode == 3
    told = json.loads(done.stdout)
    failed, fine, refused = told["runs"]
    assert (failed["status"], failed["exit_code"]) == ("failed", 3)
    assert failed["message"].startswith("failed at s = ")
    assert failed["events"] == 1
    assert (fine["status"], fine["exit_code"], fine["message"]) == ("complete", 0, "")
    assert (refused["status"], refused["exit_code"]) == ("refused", 2)
    assert refused["message"].startswith(
        "initial.construct={method: separated, margin: 100}: initial.construct: "
    )
    assert "loss_last" not in refused
    assert [line.partition(":")[0] for line in done.stderr.splitlines()[:2]] == ["failed", "refused"]
    with runfile.open_run(tmp_path / failed["file"]) as run:
        assert run.status == "failed"


def test_files_of_another_config_are_refused_and_left_alone(swept: Path, tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").write_text(QUICK.replace("count: 5", "count: 6"))
    shutil.copytree(swept / FOLDER, tmp_path / FOLDER)
    before = stamps(tmp_path / FOLDER, "*.h5")
    done = truncflow(
        "sweep", "quick.yaml", "--grid", "seed=0", "--grid", "integrator.s_end=1,3", cwd=tmp_path
    )
    assert done.returncode == 2
    assert "refused: seed=0,integrator.s_end=1: " in done.stderr
    assert "was made with another config (save.count); `truncflow run --force` replaces it, -o" in done.stderr
    after = stamps(tmp_path / FOLDER, "*.h5")
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1


def test_a_dry_run_says_what_would_be_and_writes_nothing(swept: Path, tmp_path: Path) -> None:
    shutil.copy(swept / "quick.yaml", tmp_path)
    done = truncflow(
        "sweep", "quick.yaml", "--grid", "seed=0:29:30", "--dry-run", "--workers", "2", cwd=tmp_path
    )
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[:2] == ["would run  quick (quick.yaml), 30 runs", "over       seed (30)"]
    assert (lines[4], lines[-1]) == ("  seed=0.h5", "  ... and 10 more")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["quick.yaml"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--workers", "0"], "error: --workers 0: must be from 1 to 1024"),
        (["-o", "quick.yaml"], "error: quick.yaml: not a folder"),
        (["--summary", "los"], "error: --summary los: no such column (did you mean 'loss'?)"),
    ],
)
def test_usage(swept: Path, options: list[str], complaint: str) -> None:
    done = truncflow("sweep", "quick.yaml", "--grid", "seed=0", "--dry-run", *options, cwd=swept)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(complaint)
