"""What a run takes of the machine, estimated before it starts, so that it is not begun in vain."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from truncflow_cli.errors import UserError
from truncflow_cli.problem import Problem
from truncflow_cli.runfile import estimate_bytes

#: Bytes of the program itself, with its libraries.
_PROGRAM = 120 << 20
#: Bytes for each point that a layer sees, and for each coordinate of it besides its position, as measured: indices,
#: patterns, near lists.
_POINT, _COORDINATE = 70, 10
#: The same for a coordinate in closed form, and for one of the `general` flow, which keeps its series.
_FROZEN_COORDINATE, _GENERAL_COORDINATE = 54, 380
#: Bytes of memory for each byte of the trajectory, when it is certified, as measured.
_CERTIFYING = {"separated": 9, "general": 9, "collapsed": 4, "clustered": 3}
#: Numbers for each entry of B that a step of the `collapsed` flow has: its 16 nodes seen from one another, three times.
_COLLAPSED_ENTRY = 3 * 16 * 16
#: The file is there twice while it is written: as it was at the last checkpoint, and as it grows.
_COPIES = 2


@dataclass(frozen=True)
class Needs:
    """What a run takes, without what its events add (30 bytes each in the file).

    Attributes:
        memory: bytes of memory.
        file: bytes of the run file.
    """

    memory: int
    file: int

    @property
    def disk(self) -> int:
        """Bytes on the disk while the run goes on."""
        return _COPIES * self.file


def needs_of(problem: Problem) -> Needs:
    """Return about what a run of ``problem`` takes."""
    size, dim, layers = len(problem.x), problem.dim, problem.n_layers
    file = estimate_bytes(problem)
    data = held = size * (dim + 1) * 8
    if problem.flow == "general":
        solver = size * layers * dim * _GENERAL_COORDINATE
        held *= 2
    elif problem.flow == "separated":
        frozen = problem.settings.freeze_rotation
        solver = size * layers * (_POINT + dim * (_FROZEN_COORDINATE if frozen else _COORDINATE))
        held *= 1 if layers == 1 else 1 + layers  # a single layer has the points themselves
    else:
        solver = dim * max(dim, problem.n_clusters) * _COLLAPSED_ENTRY * 8
        held *= 2
    return Needs(_PROGRAM + held + solver + _CERTIFYING[problem.flow] * max(file - data, 0), file)


def check_needs(problem: Problem, target: Path) -> None:
    """Refuse a run that the machine has no room for.

    Raises:
        UserError: memory, the disk or the file size limit do not suffice.
    """
    needs = needs_of(problem)
    memory = min(_available_memory(), default=None)
    if memory is not None and needs.memory - _used_memory() > memory:
        raise UserError(
            f"the run takes about {in_units(needs.memory)} of memory, and {in_units(memory)} are free; fewer points, "
            "layers or saved times take less, --force tries it all the same"
        )
    free = _free_disk(target)
    if free is not None and needs.disk > free:
        raise UserError(
            f"{target}: the run takes about {in_units(needs.disk)} of disk (the file, and a copy for checkpoints), "
            f"and {in_units(free)} are free; save fewer times or choose another place with -o, --force tries it all "
            "the same"
        )
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit != resource.RLIM_INFINITY and needs.file > limit:
        raise UserError(
            f"{target}: the file takes about {in_units(needs.file)}, and the file size limit (ulimit -f) is "
            f"{in_units(limit)}; --force tries it all the same"
        )


def _available_memory() -> Iterator[int]:
    """Yield how much more memory this process may take, by everything that limits it."""
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        yield max(limit - _statm(0), 0)
    most, used = (_lines(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    if most and used and most[0].isdigit() and used[0].isdigit():
        yield max(int(most[0]) - int(used[0]), 0)


def _used_memory() -> int:
    """Return how much of the memory this process has already."""
    return _statm(1)


def _statm(field: int) -> int:
    lines = _lines(Path("/proc/self/statm"))
    return int(lines[0].split()[field]) * os.sysconf("SC_PAGE_SIZE") if lines else 0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _free_disk(target: Path) -> int | None:
    """Return the free bytes where the target will be; None if that cannot be told."""
    folder = Path(os.path.realpath(target)).parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def in_units(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
