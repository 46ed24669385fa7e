"""What the numbers of a run depend on besides its config: the program, the libraries, the machine, the problem."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

import truncflow_cli
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.kernels import chosen
from truncflow_cli.problem import Problem

#: Packages and modules whose sources decide what a run computes, and the kinds of files that these are.
_COMPUTING = ("flows", "kernels", "solver", "truncation.py")
_SOURCES = (".py", ".so", ".dylib", ".dll")

#: Libraries that take part in the computation.
_LIBRARIES = ("numpy", "scipy")


@dataclass(frozen=True)
class Origin:
    """Where a saved state comes from.

    Attributes:
        version: version of the program.
        program: digest of the sources that compute, and of what is compiled of them.
        libraries: versions of Python and of the libraries that take part.
        machine: the processor.
        problem: digest of the problem's arrays and settings, its length and saved times left out.
        backend: what does the work of the flow's kernels; empty for a flow without.
    """

    version: str
    program: str
    libraries: str
    machine: str
    problem: str
    backend: str = ""


def origin_of(problem: Problem) -> Origin:
    """Return the origin of a state of ``problem`` that is computed here and now."""
    libraries = [f"{name} {installed(name)}" for name in _LIBRARIES]
    python = f"Python {platform.python_version()}"
    return Origin(
        truncflow_cli.__version__,
        _program(),
        ", ".join([python, *libraries]),
        _machine(),
        _digest(problem),
        backend_of(problem),
    )


def backend_of(problem: Problem) -> str:
    """Return what does the work of the flow's kernels, "compiled" or "numpy"; nothing for a flow without."""
    return chosen(problem.settings.backend) if flow_named(problem.flow).kernels else ""


@cache
def installed(package: str) -> str:
    """Return the version of a package; the metadata that say it take a millisecond to be read."""
    return version(package)


def computing_sources() -> list[Path]:
    """Return the files of the program that decide what a run computes, in order."""
    root = Path(__file__).parents[1]
    places = [root / name for name in _COMPUTING]
    files = (path for place in places for path in (place.rglob("*") if place.is_dir() else [place]))
    return sorted(path for path in files if path.suffix in _SOURCES)


@cache
def _program() -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in computing_sources())).hexdigest()


@cache
def _machine() -> str:
    """Return the processor's name as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{platform.machine()} {next(names, platform.processor())}".strip()


def _digest(problem: Problem) -> str:
    digest = hashlib.sha256()
    for item in fields(problem):
        value = getattr(problem, item.name)
        if item.name in ("s_save", "settings"):  # may change when a run is extended; the config tells
            continue
        if isinstance(value, np.ndarray):
            digest.update(f"{item.name} {value.dtype.str} {value.shape}\n".encode())
            digest.update(np.ascontiguousarray(value).data)
        else:
            digest.update(f"{item.name} {value}\n".encode())
    return digest.hexdigest()
