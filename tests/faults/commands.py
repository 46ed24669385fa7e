"""The command line, run in this process, and what may come of it whatever its input is."""

from __future__ import annotations

import os
import resource
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from truncflow_cli.cli.app import app

#: Drawing takes this long of good input too.
_MOST_SECONDS_OF_DRAWING = 30.0

#: Done; bad input; failed numerically; a certificate is violated (``--strict``).
PROPER = (0, 2, 3, 4)
#: Seconds of processor time and bytes of memory that no input may cost.
MOST_SECONDS = 10.0
MOST_BYTES = 3 << 30
#: Characters of an error, of which a path may take many.
LONGEST_ERROR = 900


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        arguments: the command.
        code: its exit code.
        stdout: what it printed.
        stderr: what it said.
        seconds: processor time it took.
    """

    arguments: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float


def truncflow(arguments: Sequence[str]) -> Ending:
    """Run the command line."""
    began = time.process_time()
    with warnings.catch_warnings():
        for kind in (RuntimeWarning, UserWarning):
            warnings.simplefilter("always", kind)
        result = CliRunner().invoke(app, list(arguments), prog_name="truncflow")
    seconds = time.process_time() - began
    stderr = result.stderr
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        stderr += f"Traceback: {result.exception!r}"
    return Ending(tuple(arguments), result.exit_code, result.stdout, stderr, seconds)


def faults_of(ending: Ending) -> list[str]:
    """Return what is wrong with an ending: nothing, if the input did no harm."""
    faults = []
    errors = [line for line in ending.stderr.splitlines() if line.startswith(("error:", "Error:"))]
    if ending.code not in PROPER:
        faults.append(f"exit code {ending.code}: {ending.stderr[-300:]}")
    if any(word in ending.stderr for word in ("Traceback", "defect of", "Warning:")):
        faults.append(f"a traceback or warning: {ending.stderr[-300:]}")
    if ending.code in (2, 3) and len(errors) != 1 and "Usage:" not in ending.stderr:
        faults.append(f"{len(errors)} errors where one has to be: {ending.stderr[-300:]}")
    if any(len(line) > LONGEST_ERROR for line in errors):
        faults.append(f"an error of {max(map(len, errors))} characters")
    if ending.code == 2 and ending.stdout:
        faults.append(f"refused, and still printed {ending.stdout[:80]!r}")
    for stream in (ending.stdout, ending.stderr):
        if any(not (c.isprintable() or c == "\n") for c in stream):
            faults.append(
                f"characters that terminals obey: {next(c for c in stream if not (c.isprintable() or c == chr(10)))!r}"
            )
    if ending.seconds > (_MOST_SECONDS_OF_DRAWING if "--figures" in ending.arguments else MOST_SECONDS):
        faults.append(f"{ending.seconds:.0f} s")
    if (peak := 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) > MOST_BYTES:
        faults.append(f"{peak / 2**30:.1f} GiB of memory")
    return faults


def files_in(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the size and the time of every file in a folder, by name."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            status = (Path(parent) / name).lstat()
            found[os.path.join(parent, name)] = (status.st_size, status.st_mtime_ns)  # noqa: PTH118
    return found
