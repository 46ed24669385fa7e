"""Runs without room on the disk, in a file or in memory, without permission, and in folders that vanish.

Each is begun all the same, ends in a sentence, and is gone on with as soon as there is room: then the file has to be
that of a run which lacked nothing. ``python -m tests.faults --parts starved``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from command_line import command, environment  # noqa: E402
from run_file_equality import differences  # noqa: E402

from truncflow_cli import runfile  # noqa: E402
from truncflow_cli.errors import UserError  # noqa: E402

#: Twenty megabytes of saved states in a second, with a checkpoint whenever there can be one.
CONFIG = """\
flow: clustered
clusters:
  - {center: [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], shape: gaussian, std: 1.0, size: 20}
  - {center: [0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], shape: gaussian, std: 1.0, size: 30}
integrator: {s_end: 3.0}
save: {count: 30001, checkpoint_every: 0}
"""
#: What lets root write where permissions forbid it.
_RIGHTS = "-dac_override,-dac_read_search"
_PATIENCE = 120.0

Ended = subprocess.CompletedProcess[str]


def cases(seed: int, numbers: range, folder: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each case and what is wrong with how it ended; the folder of one that is lost stays."""
    whole = folder / "whole"
    whole.mkdir(parents=True)
    (whole / "run.yaml").write_text(CONFIG)
    assert truncflow(whole, "run", "run.yaml", "--quiet", "-o", "run.h5").returncode == 0
    for number in numbers:
        chance = Random(f"{seed}/starved/{number}")
        place = folder / f"starved-{seed}-{number}"
        (place / "disk").mkdir(parents=True)
        (place / "run.yaml").write_text(CONFIG)
        faults = KINDS[number % len(KINDS)](place, chance)
        faults += _resumed(place, whole / "run.h5")
        if not faults:
            shutil.rmtree(place)
        yield number, faults


def truncflow(folder: Path, *arguments: str, before: str = "true", prefix: tuple[str, ...] = ()) -> Ended:
    """Run the command in a folder, after a shell command that takes something away from it."""
    script = f'{before} && exec "$@"'
    whole = [*prefix, "sh", "-c", script, "sh", *command(*arguments)]
    variables = {**environment(), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(whole, cwd=folder, env=variables, capture_output=True, text=True, timeout=_PATIENCE)


def run_in(place: Path, before: str, prefix: tuple[str, ...] = ()) -> Ended:
    """Begin the run although it may not fit."""
    return truncflow(
        place, "run", "run.yaml", "--quiet", "--force", "-o", "disk/run.h5", before=before, prefix=prefix
    )


def _full_disk(place: Path, chance: Random) -> list[str]:
    """Run on a disk of 1 to 40 megabytes; what is on it is saved when the run has ended."""
    prefix = own_mounts()
    if not prefix:
        return _file_limit(place, chance)
    mount = f"mount -t tmpfs -o size={chance.randint(1000, 40_000)}k tmpfs disk"
    script = f'{mount} && "$@"; code=$?; cp disk/run.h5 kept.h5 2>/dev/null; exit $code'
    arguments = command("run", "run.yaml", "--quiet", "--force", "-o", "disk/run.h5")
    ended = subprocess.run(
        [*prefix, "sh", "-c", script, "sh", *arguments],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )
    if (place / "kept.h5").exists():
        (place / "kept.h5").rename(place / "disk/run.h5")
    return _faults_of(ended)


def _file_limit(place: Path, chance: Random) -> list[str]:
    """Run with files of at most 50 kilobytes to 30 megabytes."""
    return _faults_of(run_in(place, f"ulimit -f {chance.randint(100, 60_000)}"))


def _memory_limit(place: Path, chance: Random) -> list[str]:
    """Run with 300 to 900 megabytes of address space, of which the libraries take most."""
    return _faults_of(run_in(place, f"ulimit -v {chance.randint(300_000, 900_000)}"))


def _no_permission(place: Path, chance: Random) -> list[str]:
    """Run where nothing may be written; root has to do without its right to do so all the same."""
    (place / "disk").chmod(0o555)
    outside = ("setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}") if os.geteuid() == 0 else ()
    ended = run_in(place, "true", outside)
    (place / "disk").chmod(0o755)
    faults = _faults_of(ended)
    return faults if ended.returncode == 2 else [*faults, f"exit code {ended.returncode}, not 2"]


def _vanishing_folder(place: Path, chance: Random) -> list[str]:
    """Take the folder away while the run goes on."""
    arguments = command("run", "run.yaml", "--quiet", "--force", "-o", "disk/run.h5")
    process = subprocess.Popen(
        arguments, cwd=place, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(chance.uniform(0.2, 1.6))
    shutil.rmtree(place / "disk", ignore_errors=True)
    out, err = process.communicate(timeout=_PATIENCE)
    faults = _faults_of(subprocess.CompletedProcess(arguments, process.returncode, out, err))
    (place / "disk").mkdir(exist_ok=True)
    return faults


KINDS: tuple[Callable[[Path, Random], list[str]], ...] = (
    _full_disk,
    _file_limit,
    _memory_limit,
    _no_permission,
    _vanishing_folder,
)


def own_mounts() -> tuple[str, ...]:
    """Return the command prefix with which a small disk can be mounted; nothing where that is not allowed."""
    prefix = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-rm")
    refused = (
        shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode
    )
    return () if refused else prefix


def _faults_of(ended: Ended) -> list[str]:
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    faults = []
    if ended.returncode not in (0, 2):
        faults.append(f"exit code {ended.returncode}: {ended.stderr[-300:]}")
    if "Traceback" in ended.stderr or "defect of" in ended.stderr:
        faults.append(f"a traceback: {ended.stderr[-300:]}")
    if ended.returncode == 2 and len(errors) != 1:
        faults.append(f"{len(errors)} errors where one has to be: {ended.stderr[-300:]}")
    return faults


def _resumed(place: Path, whole: Path) -> list[str]:
    """Go on with what there is, with room for it, and compare."""
    target = place / "disk/run.h5"
    faults = []
    if target.exists():
        try:
            runfile.open_run(target).close()
        except UserError as error:
            faults.append(f"cannot be read: {error}")
    ended = truncflow(place, "run", "run.yaml", "--quiet", "--resume", "-o", "disk/run.h5")
    if ended.returncode != 0:
        return [*faults, f"not resumed, {ended.returncode}: {ended.stderr[-300:]}"]
    if different := differences(whole, target):
        faults.append(f"differs: {different[:5]}")
    if left := [entry.name for entry in target.parent.iterdir() if entry.name.startswith(".")]:
        faults.append(f"left behind: {left}")
    return faults
