"""Commands as whole processes, measured from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024**2


class CommandFailedError(Exception):
    """A measured command did not end as it should."""


@dataclass(frozen=True)
class Usage:
    """What a process took.

    Attributes:
        wall: seconds from its start to its end.
        cpu: processor seconds.
        peak: greatest resident memory, bytes.
        output: what it wrote to stdout.
        errors: what it wrote to stderr.
    """

    wall: float
    cpu: float
    peak: int
    output: str
    errors: str


def python(
    arguments: Sequence[str | Path],
    folder: Path,
    cpus: Sequence[int] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Usage:
    """Run this Python with these arguments, and with this checkout as what it imports.

    Bytecode is kept in ``folder``, as pip keeps it with what it installs: without, every process would compile the
    modules of a checkout again where PYTHONDONTWRITEBYTECODE is set.

    Args:
        arguments: what follows ``python``.
        folder: where its output and its bytecode go.
        cpus: the processors it may use.
        variables: further environment variables.

    Raises:
        CommandFailedError: its exit code is not 0.
    """
    output, errors = folder / "stdout.txt", folder / "stderr.txt"
    command = [sys.executable, *map(str, arguments)]
    wanted = {
        "command": command,
        "output": str(output),
        "errors": str(errors),
        "cpus": None if cpus is None else list(cpus),
    }
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "NO_COLOR": "1"}
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")), json.dumps(wanted)]
    done = subprocess.run(
        launcher, check=True, capture_output=True, cwd=folder, env=environment | dict(variables or {})
    )
    result = json.loads(done.stdout)
    if result["code"] != 0:
        raise CommandFailedError(
            f"{' '.join(command)} ended with {result['code']}: {errors.read_text().strip()[-500:]}"
        )
    return Usage(result["wall"], result["cpu"], result["peak"], output.read_text(), errors.read_text())


def truncflow(
    arguments: Sequence[str | Path],
    folder: Path,
    cpus: Sequence[int] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Usage:
    """Run ``truncflow`` with these arguments; see ``python``."""
    return python(["-m", "truncflow_cli", *arguments], folder, cpus, variables)
