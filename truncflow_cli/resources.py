"""What a run takes of the machine: estimated before it starts, so that it is not begun in vain; memory and threads."""

from __future__ import annotations

import mmap
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from truncflow_cli.errors import UserError
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Problem
from truncflow_cli.runfile import estimate_bytes

#: Bytes of the program itself, with its libraries.
_PROGRAM = 120 << 20
#: Bytes of memory for each byte of the trajectory, when it is certified, for a flow that does not say.
_CERTIFYING = 9
#: The file is there twice while it is written: as it was at the last checkpoint, and as it grows.
_COPIES = 2
#: Bytes that loading scipy's linear algebra takes, and the buffers of both libraries.
_LINEAR_ALGEBRA = 400 << 20
#: Rows of a matrix that is large enough for the libraries to use their buffers.
_LARGE = 200


@dataclass(frozen=True)
class Needs:
    """Bytes of memory and of the run file that a run takes, without what its events add (30 bytes each in the file)."""

    memory: int
    file: int

    @property
    def disk(self) -> int:
        """Bytes on the disk while the run goes on."""
        return _COPIES * self.file


def needs_of(problem: Problem) -> Needs:
    """Return about what a run of ``problem`` takes; its flow's part "memory" says how much besides the program."""
    file, data = estimate_bytes(problem), problem.x.nbytes + problem.cluster.nbytes
    trajectory = max(file - data, 0)
    memory = flow_named(problem.flow).part("memory")
    held = memory(problem, trajectory) if memory is not None else 2 * data + _CERTIFYING * trajectory
    return Needs(_PROGRAM + held, file)


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


@contextmanager
def one_thread() -> Iterator[None]:
    """Let linear algebra work on one thread inside the block: how many there are must not decide a run's last digits.

    Libraries add up in another order on another number of threads. The matrices here are small, so that little is
    lost; whole runs and whole layers are what there are several cores for.
    """
    if os.environ.get("OPENBLAS_NUM_THREADS") == "1":  # as the command line has it
        yield
        return
    import scipy.linalg  # noqa: F401 - loads its library, so that it is among those that are found
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


def claim_memory_of_linear_algebra() -> None:
    """Have linear algebra take its memory now, where the memory of this process is limited (``ulimit -v``).

    OpenBLAS takes memory when it is loaded and when it is first used, and if it gets none it asks for ever.

    Raises:
        MemoryError: there is not enough.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    try:
        mmap.mmap(-1, _LINEAR_ALGEBRA).close()
    except OSError as error:
        raise MemoryError("no memory for linear algebra") from error
    import numpy as np
    import scipy.linalg

    matrix = 1.0 + np.eye(_LARGE)
    np.linalg.inv(matrix @ matrix)
    scipy.linalg.expm(matrix / _LARGE)


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
