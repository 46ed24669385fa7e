"""A small run's file, filled in at once on the form of the run before, is the file that a streamed run has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from run_file_equality import contents, differences
from run_file_samples import made_up_chunks, made_up_problem

from truncflow_cli import api, runfile
from truncflow_cli.run_data import Certificate
from truncflow_cli.runfile import template

CONFIG = """\
flow: {flow}
clusters:
  - {{center: [2.0, 0.0], shape: ball, radius: 0.9, size: 20}}
  - {{center: [0.0, 2.0], shape: ball, radius: 0.9, size: 20}}
initial: {{rotation: random, bias: {{normal: 1.0}}}}
integrator: {{s_end: 2.0}}
save: {{count: 21, checkpoint_every: {checkpoint_every}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, name: str, flow: str, seed: int, *, streamed: bool) -> Path:
    """Run in memory, or with a checkpoint at each step, which is streamed into a file."""
    (folder / "run.yaml").write_text(CONFIG.format(flow=flow, checkpoint_every=0 if streamed else 30))
    path = folder / f"{name}.h5"
    api.run(folder / "run.yaml", path, overrides=[f"seed={seed}"]).close()
    return path


@pytest.mark.parametrize("flow", ["separated", "general", "clustered"])
def test_filled_in_at_once_or_streamed_it_is_the_same(folder: Path, flow: str) -> None:
    for seed in (3, 12, 4):  # configs of different lengths, and certificates with other series
        at_once = run(folder, f"at once {seed}", flow, seed, streamed=False)
        streamed = run(folder, f"streamed {seed}", flow, seed, streamed=True)
        assert set(differences(at_once, streamed)) <= {"config", "config@sha256"}  # checkpoint_every


def write(path: Path, **changes: object) -> None:
    """Write a run file; changes are those of its problem, notes, certificates, ..."""
    problem = made_up_problem(n_saved=int(str(changes.get("n_saved", 11))))
    if "x" in changes:
        problem = replace(problem, x=np.full_like(problem.x, changes["x"]))
    certificates = changes.get("certificates", [])
    with runfile.RunWriter(
        path, problem, str(changes.get("config", "")), notes=changes.get("notes", {})
    ) as writer:
        for chunk in made_up_chunks(problem, int(str(changes.get("events", 2)))):
            writer.append(replace(chunk, switched_at=changes.get("switched_at")))
        writer.finish(str(changes.get("status", "complete")), lambda run: certificates)


def certificate(name: str, value: float, hypothesis: str, *series: str) -> Certificate:
    return Certificate(
        name,
        "says",
        "(1)",
        hypothesis,
        "holds",
        value,
        1.0,
        1.0 - value,
        {key: np.full(11, value) for key in series},
    )


RUNS: dict[str, dict[str, object]] = {
    "plain": {},
    "certified": {"certificates": [certificate("one", 0.5, "long enough " * 40, "a", "b")]},
    "certified otherwise": {"certificates": [certificate("one", -0.0, "short", "a", "b")]},
    "other series": {"certificates": [certificate("one", 0.25, "short", "a")]},
    "two": {"certificates": [certificate("two", 0.5, "", "a"), certificate("one", 0.5, "")]},
    "noted": {"notes": {"margin": 0.5, "construct": "mixed"}},
    "noted otherwise": {"notes": {"margin": "none"}},
    "another config": {"config": "flow: separated\n"},
    "as long": {"config": "flow: seperated\n"},
    "failed": {"status": "failed", "switched_at": 0.5},
    "other data": {"x": 7.0},
    "eventful": {"events": 300},
    "uneventful": {"events": 0},
    "fewer times": {"n_saved": 5},
}


def test_nothing_of_the_run_before_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever run a form has been filled in for before, a file is what it is on a form of its own."""
    alone = {}
    for name, changes in RUNS.items():
        template.templates.clear()
        write(folder / f"{name}.h5", **changes)
        with h5py.File(folder / f"{name}.h5", "r") as file:
            alone[name] = contents(file)
    monkeypatch.setattr("truncflow_cli.runfile.template.KEPT", 8)
    for name in np.random.default_rng(0).choice(list(RUNS), 50):
        (folder / "run.h5").unlink(missing_ok=True)
        write(folder / "run.h5", **RUNS[name])
        with h5py.File(folder / "run.h5", "r") as file:
            assert contents(file) == alone[name], name


def test_files_do_not_grow_from_run_to_run(folder: Path) -> None:
    sizes = []
    for number in range(60):
        write(
            folder / f"{number}.h5",
            config="x" * (1 + number % 7),
            events=number % 5,
            certificates=[certificate("one", number, "text " * (number % 11), "a")],
        )
        sizes.append((folder / f"{number}.h5").stat().st_size)
    assert max(sizes[30:]) <= max(sizes[:30])


def test_a_form_that_could_not_be_filled_in_is_not_used_again(folder: Path) -> None:
    good = [certificate("one", 0.5, "", "a")]
    write(folder / "before.h5", certificates=good)
    wrong = [replace(good[0], series={"a": np.zeros(3)})]
    with pytest.raises(ValueError, match="series one/a: shape"):
        write(folder / "wrong.h5", certificates=wrong)
    write(folder / "after.h5", certificates=good)
    assert differences(folder / "before.h5", folder / "after.h5") == []
    assert sorted(path.name for path in folder.iterdir()) == ["after.h5", "before.h5"]


def test_threads_do_not_share_a_form(folder: Path) -> None:
    def one(number: int) -> None:
        write(folder / f"{number}.h5", x=float(number), certificates=[certificate("one", number, "", "a")])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(40)))
    for number in range(40):
        with h5py.File(folder / f"{number}.h5", "r") as file:
            assert (file["data/x"][()] == number).all()
            assert file["certificates/one"].attrs["value"] == number
            assert (file["certificates/one/a"][()] == number).all()
