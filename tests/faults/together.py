"""Several commands on one run file: writers beside one another, readers beside a writer, and after one that was killed.

``python -m tests.faults --parts together``.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from .starved import CONFIG, command, differences, environment, truncflow

_PATIENCE = 120.0


def cases(seed: int, numbers: range, folder: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each case and what is wrong with how it ended; the folder of one that is lost stays."""
    whole = folder / "alone"
    whole.mkdir(parents=True)
    (whole / "run.yaml").write_text(CONFIG)
    assert truncflow(whole, "run", "run.yaml", "--quiet", "-o", "run.h5").returncode == 0
    for number in numbers:
        chance = Random(f"{seed}/together/{number}")
        place = folder / f"together-{seed}-{number}"
        place.mkdir()
        (place / "run.yaml").write_text(CONFIG)
        faults = (_writers, _readers, _after_a_kill)[number % 3](place, chance)
        if different := differences(whole / "run.h5", place / "run.h5"):
            faults.append(f"differs: {different[:5]}")
        if left := [entry.name for entry in place.iterdir() if entry.name.startswith(".")]:
            faults.append(f"left behind: {left}")
        if not faults:
            shutil.rmtree(place)
        yield number, faults


def _start(place: Path, *options: str) -> subprocess.Popen[str]:
    arguments = command("run", "run.yaml", "--quiet", "-o", "run.h5", *options)
    return subprocess.Popen(
        arguments, cwd=place, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _writers(place: Path, chance: Random) -> list[str]:
    """Start two or three runs on one file: one writes it, the others are refused or find it done."""
    processes = []
    for _ in range(chance.choice((2, 2, 3))):
        processes.append(_start(place))
        time.sleep(chance.choice((0.0, chance.uniform(0.0, 0.5))))
    said = [process.communicate(timeout=_PATIENCE)[1] for process in processes]
    codes = [process.returncode for process in processes]
    faults = [f"exit codes {codes}: {said}"] if 0 not in codes or not set(codes) <= {0, 2} else []
    for code, text in zip(codes, said, strict=True):
        if code == 2 and (text.count("error:") != 1 or text.count("\n") != 1):
            faults.append(f"refused with {text[-300:]!r}")
    return faults


def _readers(place: Path, chance: Random) -> list[str]:
    """Read the file again and again while it is written."""
    process = _start(place)
    faults = []
    while process.poll() is None:
        form = chance.choice((("report", "run.h5"), ("report", "run.h5", "--json"), ("events", "run.h5")))
        ended = truncflow(place, *form)
        there = "no such file" not in ended.stderr
        if "Traceback" in ended.stderr or (there and ended.returncode != 0):
            faults.append(f"{' '.join(form)} ended with {ended.returncode}: {ended.stderr[-300:]}")
    if process.returncode != 0:
        faults.append(f"the run ended with {process.returncode}")
    process.communicate()
    return faults


def _after_a_kill(place: Path, chance: Random) -> list[str]:
    """Kill the writer: what it has locked is free at once."""
    process = _start(place)
    time.sleep(chance.uniform(0.1, 1.5))
    process.kill()
    process.communicate()
    ended = truncflow(place, "run", "run.yaml", "--quiet", "--resume", "-o", "run.h5")
    return [] if ended.returncode == 0 else [f"not resumed, {ended.returncode}: {ended.stderr[-300:]}"]
