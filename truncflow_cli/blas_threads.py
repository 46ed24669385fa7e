"""Linear algebra on one thread: how many there are must not decide the last digits of a run.

OpenBLAS, with which numpy and scipy come, adds up in another order on another number of threads. The matrices here are
small, so that little is lost; whole runs and whole layers are what there are several cores for.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Beginnings and ends of the names that OpenBLAS's functions have in the builds that there are.
_PREFIXES = ("", "scipy_")
_SUFFIXES = ("", "64_", "_64", "64")

#: Bytes that loading scipy's linear algebra takes, and the buffers of both libraries.
_ROOM = 400 << 20
#: Rows of a matrix that is large enough for the libraries to use their buffers.
_LARGE = 200

Thread = tuple[Callable[[], int], Callable[[int], None]]


def settle() -> None:
    """Have linear algebra take its memory now, where the memory of this process is limited (``ulimit -v``).

    OpenBLAS takes memory when it is loaded and when it is first used, and if it gets none it asks for ever.

    Raises:
        MemoryError: there is not enough.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    try:
        mmap.mmap(-1, _ROOM).close()
    except OSError as error:
        raise MemoryError("no memory for linear algebra") from error
    import numpy as np
    import scipy.linalg

    matrix = 1.0 + np.eye(_LARGE)
    np.linalg.inv(matrix @ matrix)
    scipy.linalg.expm(matrix / _LARGE)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let OpenBLAS work on one thread inside the block, in this whole process.

    Other libraries, and systems without /proc, are left as they are; there, results agree within tolerance.
    """
    if os.environ.get("OPENBLAS_NUM_THREADS") == "1":  # as the command line has it
        yield
        return
    import scipy.linalg  # noqa: F401 - loads its library, so that it is among those that are found

    libraries = [functions for path in _loaded() if (functions := _functions(path)) is not None]
    before = [get() for get, _ in libraries]
    for _, put in libraries:
        put(1)
    try:
        yield
    finally:
        for (_, put), threads in zip(libraries, before, strict=True):
            put(threads)


def _loaded() -> set[str]:
    """Return the paths of the OpenBLAS libraries that this process has loaded."""
    try:
        lines = Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return set()
    paths = (line.split(maxsplit=5)[5] for line in lines if "openblas" in line)
    return {path for path in paths if "openblas" in Path(path).name}


def _functions(path: str) -> Thread | None:
    """Return how to get and set the number of threads of a library that has been loaded."""
    try:
        library = ctypes.CDLL(path)
    except OSError:
        return None
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            names = (f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set"))
            get, put = (getattr(library, name, None) for name in names)
            if get is not None and put is not None:
                put.argtypes, put.restype = [ctypes.c_int], None
                return get, put
    return None
