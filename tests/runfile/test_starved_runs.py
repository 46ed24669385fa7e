"""A run without room, on the disk or in memory, ends in a sentence, harms nothing, and can be gone on with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from command_line import command, environment
from peak_memory import peak_of
from run_file_equality import differences
from run_file_samples import made_up_problem

from truncflow_cli import api, resources, runfile
from truncflow_cli.errors import UserError

#: Twenty megabytes, most of them saved states, in a second.
CONFIG = """\
flow: clustered
clusters:
  - {center: [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], shape: gaussian, std: 1.0, size: 20}
  - {center: [0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], shape: gaussian, std: 1.0, size: 30}
integrator: {s_end: 3.0}
save: {count: 30001, checkpoint_every: 0}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "run.yaml").write_text(CONFIG)
    peak_of(folder, "run", "run.yaml", "-o", "whole.h5", "--quiet")
    return folder / "whole.h5"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run.yaml").write_text(CONFIG)
    (tmp_path / "disk").mkdir()
    return tmp_path


def truncflow(*options: str) -> str:
    return " ".join(command("run", "run.yaml", "--quiet", *options))


def shell(folder: Path, script: str, *before: str) -> subprocess.CompletedProcess[str]:
    variables = {**environment(), "OPENBLAS_NUM_THREADS": "1"}
    arguments = [*before, "sh", "-c", script]
    return subprocess.run(arguments, cwd=folder, env=variables, capture_output=True, text=True, timeout=120)


def own_mounts() -> list[str]:
    """Return the command prefix with which a small disk can be mounted; nothing where that is not allowed."""
    prefix = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        return []
    return prefix


def small_disk(size: str) -> str:
    """Return the shell command that makes the folder ``disk`` so small; a file size limit where there are no mounts."""
    return (
        f"mount -t tmpfs -o size={size} tmpfs disk" if own_mounts() else f"ulimit -f {int(size[:-1]) * 2048}"
    )


def larger_disk(size: str) -> str:
    return f"mount -o remount,size={size} disk" if own_mounts() else "ulimit -f unlimited"


def test_a_disk_that_is_full_and_then_larger(folder: Path, whole: Path) -> None:
    """The run is begun although it will not fit, keeps what fits, and goes on when there is room."""
    steps = [
        small_disk("20m"),
        truncflow("-o", "disk/run.h5"),
        "echo refused $?",
        truncflow("-o", "disk/run.h5", "--force"),
        "echo full $?",
        "ls -A disk",
        "cp disk/run.h5 then.h5",
        larger_disk("900m"),
        truncflow("-o", "disk/run.h5", "--resume"),
        "echo again $?",
        "cp disk/run.h5 .",
    ]
    script = (
        "\n".join(steps)
        if own_mounts()
        else "\n".join(f"({step})" if "ulimit" not in step else step for step in steps)
    )
    done = shell(folder, script, *own_mounts())
    lines = done.stdout.splitlines()
    errors = done.stderr.splitlines()
    assert "refused 2" in lines
    assert re.search(r"(of disk|the file takes about) .*--force tries it all the same", errors[0])
    assert "full 2" in lines
    assert re.search(r"cannot write .*run\.h5: (no space left on device|file too large).*", errors[1])
    assert re.search(r"run\.h5 holds the run up to s = ", errors[1])
    assert lines[lines.index("full 2") + 1] == "run.h5", "nothing else is left behind"
    with runfile.open_run(folder / "then.h5") as then:
        assert then.status in ("running", "interrupted")
        assert f"up to s = {then.s[-1]:.6g}" in errors[1]
    assert "again 0" in lines, done.stderr
    assert differences(whole, folder / "run.h5") == []


@pytest.mark.parametrize("kilobytes", [450_000, 600_000])
def test_too_little_memory(folder: Path, whole: Path, kilobytes: int) -> None:
    done = shell(folder, f"ulimit -v {kilobytes}\n{truncflow('-o', 'run.h5', '--force')}")
    assert "Traceback" not in done.stderr
    if done.returncode == 0:
        assert differences(whole, folder / "run.h5") == []
        return
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2
    assert "memory" in done.stderr
    assert [entry.name for entry in folder.iterdir() if entry.name.startswith(".")] == []
    again = shell(folder, truncflow("-o", "run.h5", "--resume"))
    assert again.returncode == 0, again.stderr
    assert differences(whole, folder / "run.h5") == []


def test_a_run_that_cannot_fit_is_refused_with_the_estimate(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_used_memory", lambda: 0)  # that of all tests so far
    problem = made_up_problem()
    taken = resources.needs_of(problem)
    resources.check_needs(problem, folder / "run.h5")
    monkeypatch.setattr(resources, "_free_disk", lambda _: taken.disk - 1)
    with pytest.raises(
        UserError, match=r"run\.h5: the run takes about .* of disk .* are free.*--force tries it"
    ):
        resources.check_needs(problem, folder / "run.h5")
    monkeypatch.setattr(resources, "_free_disk", lambda _: taken.disk)
    monkeypatch.setattr(resources, "_available_memory", lambda: iter([1 << 40, 10]))
    with pytest.raises(UserError, match=r"the run takes about .* of memory, and .* are free"):
        resources.check_needs(problem, folder / "run.h5")


def test_the_estimates_are_right(whole: Path) -> None:
    """Within a factor of two for the file; the memory is not underestimated by more than a fifth."""
    taken = resources.needs_of(api.prepare(api.load(whole.parent / "run.yaml")).built.problem)
    assert 0.5 < taken.file / whole.stat().st_size < 2.0
    assert 0.8 < taken.memory / int((whole.parent / "peak").read_text()) < 2.5


def test_no_permission_is_said(folder: Path) -> None:
    def write() -> None:
        if os.geteuid() == 0:
            os.setuid(65534)
        runfile.RunWriter(folder / "disk/run.h5", made_up_problem(), "")

    with runfile.RunWriter(folder / "run.h5", made_up_problem(), ""):
        (folder / "disk").chmod(0o555)  # everything is imported by now
    child = os.fork()
    if child == 0:
        said = ""
        try:
            write()
        except UserError as error:
            said = str(error)
        finally:
            os._exit(
                0 if re.search(r"cannot write .*permission denied; choose another place with -o", said) else 1
            )
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
