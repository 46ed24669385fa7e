"""The point that a run can go on from, in its file: the solver's state, how much the file had, what made it.

The state is one row of bytes: the length of a header (8 bytes, little endian), the header (JSON: name, type and shape
of each array), and the arrays one after the other. A digest is over it and over everything that is said about it, so
that a damaged one is never gone on from.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from truncflow_cli import __version__
from truncflow_cli.errors import UserError
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.kernels import chosen
from truncflow_cli.problem import Problem
from truncflow_cli.runfile import checks
from truncflow_cli.runfile.handles import Handles
from truncflow_cli.saved_state import State

GROUP: Final = "checkpoint"

_STATE: Final = f"{GROUP}/state"

_DESCRIPTION: Final = "what `truncflow run --resume` goes on from: the solver's state, for the program itself"
_STATE_DESCRIPTION: Final = "arrays of the solver, packed: length of a header, header (JSON), arrays"

#: Packages and modules whose sources decide what a run computes, and the kinds of files that these are.
_COMPUTING = ("flows", "kernels", "solver", "truncation.py")
_SOURCES = (".py", ".so", ".dylib", ".dll")

#: Libraries that take part in the computation.
_LIBRARIES = ("numpy", "scipy")

#: Types that a state can have.
_TYPES: Final = frozenset({"<f8", "<i8", "<i4", "|u1"})

_HEADER_LENGTH: Final = 8

#: HDF5's own structures for the group.
_OVERHEAD: Final = 1 << 16


@dataclass(frozen=True)
class Origin:
    """Where a saved state comes from."""

    #: Version of the program.
    version: str
    #: Digest of the sources that compute, and of what is compiled of them.
    program: str
    #: Versions of Python and of the libraries that take part.
    libraries: str
    #: The processor.
    machine: str
    #: Digest of the problem's arrays and settings, its length and saved times left out.
    problem: str
    #: What does the work of the flow's kernels; empty for a flow without.
    backend: str = ""


def origin_of(problem: Problem) -> Origin:
    """Return the origin of a state of ``problem`` that is computed here and now."""
    libraries = [f"Python {platform.python_version()}", *(f"{name} {installed(name)}" for name in _LIBRARIES)]
    program, machine, digest = _program(), _machine(), _digest(problem)
    return Origin(__version__, program, ", ".join(libraries), machine, digest, backend_of(problem))


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


@dataclass(frozen=True)
class Checkpoint:
    """A point to go on from: a state, ``packed``, at flow time s, and how many saved times and events the file had."""

    state: NDArray[np.uint8]
    s: float
    saved: int
    events: int
    origin: Origin

    @property
    def room(self) -> int:
        """An upper bound of the bytes that it takes in a file."""
        return int(self.state.nbytes) + _OVERHEAD

    def facts(self) -> dict[str, Any]:
        """Return everything but the state, by name."""
        origin = {name: text for name, text in asdict(self.origin).items() if text}  # older files lack some
        return {"s": self.s, "saved": self.saved, "events": self.events, **origin}

    def write(self, handles: Handles) -> None:
        """Write it, in a file that has none or has one of the same length."""
        if GROUP not in handles:
            handles.make_group(GROUP)
            handles.make_dataset(_STATE, np.dtype(np.uint8), self.state.shape)
            handles.put(_STATE, description=_STATE_DESCRIPTION)
        handles.put(GROUP, description=_DESCRIPTION, **self.facts(), sha256=self.digest())
        handles.write(_STATE, self.state)

    def digest(self) -> str:
        """Return the check sum over all of it."""
        digest = hashlib.sha256(json.dumps(self.facts(), sort_keys=True).encode())
        digest.update(self.state.data)
        return digest.hexdigest()


def packed(state: State) -> NDArray[np.uint8]:
    """Return a state as a row of bytes."""
    arrays = {name: np.asarray(array) for name, array in state.items()}
    for name, array in arrays.items():
        if array.dtype.str not in _TYPES:
            raise ValueError(f"{name}: a state cannot have type {array.dtype}")
    header = json.dumps([(name, array.dtype.str, array.shape) for name, array in arrays.items()]).encode()
    header = len(header).to_bytes(_HEADER_LENGTH, "little") + header
    row = np.empty(len(header) + sum(array.nbytes for array in arrays.values()), dtype=np.uint8)
    row[: len(header)] = np.frombuffer(header, dtype=np.uint8)
    end = len(header)
    for array in arrays.values():  # straight into the row: near lists can be as long as the points are many
        start, end = end, end + array.nbytes
        np.ndarray(array.shape, array.dtype, row, start)[...] = array
    return row


def unpacked(row: NDArray[np.uint8]) -> State:
    """Return the state that ``packed`` has made a row of bytes of.

    Raises:
        ValueError: the row is not one.
    """
    data = row.tobytes()
    start = _HEADER_LENGTH + int.from_bytes(data[:_HEADER_LENGTH], "little")
    state: State = {}
    for name, kind, shape in json.loads(data[_HEADER_LENGTH:start]):
        if kind not in _TYPES or not all(isinstance(length, int) and length >= 0 for length in shape):
            raise ValueError(f"{name} is {kind} {shape}")
        count = math.prod(shape)
        state[str(name)] = np.frombuffer(data, kind, count, start).reshape(shape)
        start += count * np.dtype(kind).itemsize
    if start != len(data):
        raise ValueError("it is not as long as it says")
    return state


def find_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint of a run file; None if it has none.

    Raises:
        UserError: the file cannot be read, or its checkpoint is damaged.
    """
    with checks.readable(path, GROUP), h5py.File(path, "r", locking="best-effort") as file:
        if GROUP not in file:
            return None
        group = checks.child(path, file, GROUP, h5py.Group)
        dataset = checks.child(path, file, _STATE, h5py.Dataset)
        facts = checks.attributes(group)
        checks.check_unpacked(path, [dataset])
        if dataset.ndim != 1 or dataset.dtype != np.uint8:
            raise UserError(f"{path}: {_STATE} has type {dataset.dtype} and shape {dataset.shape}")
        origin = Origin(**{item.name: str(facts.get(item.name, "")) for item in fields(Origin)})
        s, saved, events = float(facts["s"]), int(facts["saved"]), int(facts["events"])
        checkpoint = Checkpoint(np.asarray(dataset[()]), s, saved, events, origin)
        if facts["sha256"] != checkpoint.digest():
            raise UserError(
                f"{path}: its checkpoint is damaged (it is not what was written), so that the run cannot go on "
                "from it; --force starts again from the beginning"
            )
        return checkpoint
