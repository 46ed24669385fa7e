"""The config in a run file, run again, gives the same bytes, on however many threads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from command_line import command, environment
from faults.kill_and_resume import CONFIGS
from run_file_equality import differences

import truncflow_cli as truncflow


@pytest.mark.parametrize("name", CONFIGS)
def test_the_config_in_a_file_gives_the_same_file(name: str, tmp_path: Path) -> None:
    """But for the name of the file that the config stands in, which is the run's name."""
    (tmp_path / "first.yaml").write_text(CONFIGS[name])
    fewer = ["save.count=101"] if "count" in CONFIGS[name] else []
    with truncflow.run(tmp_path / "first.yaml", tmp_path / "first.h5", overrides=fewer) as first:
        (tmp_path / "again.yaml").write_text(first.config)
    truncflow.run(tmp_path / "again.yaml", tmp_path / "again.h5").close()
    assert differences(tmp_path / "first.h5", tmp_path / "again.h5") == []


def test_threads_change_nothing(tmp_path: Path) -> None:
    """Of linear algebra, that is: OpenBLAS sums up in another order on two threads, from matrices of some size on."""
    labels = [[float(10 * (i == j)) for i in range(70)] for j in range(70)]
    (tmp_path / "run.yaml").write_text(
        f"flow: collapsed\nlabels: {labels}\ninitial: {{bias: {{normal: 0.5}}, output_weight: {{scale: 1.3}}}}\n"
        "integrator: {s_end: 0.05}\nsave: {count: 3}\n"
    )
    for threads in ("1", "2"):
        subprocess.run(
            command("run", "run.yaml", "--quiet", "-o", f"{threads}.h5"),
            cwd=tmp_path,
            env={**environment(), "OPENBLAS_NUM_THREADS": threads},
            check=True,
            capture_output=True,
        )
    assert differences(tmp_path / "1.h5", tmp_path / "2.h5") == []
