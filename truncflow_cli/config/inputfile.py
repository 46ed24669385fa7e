"""The bytes of a file that may be a pipe, a device, or of any size."""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path

#: A pipe that nothing is written to for so many seconds has nobody at its other end.
PATIENCE = 8.0


def read_text_file(path: Path, limit: int) -> bytes:
    """Return the first ``limit`` bytes of a file or pipe.

    Raises:
        OSError: it cannot be opened or read, or is neither; ``strerror`` says why.
        ValueError: the name is none that a file can have.
    """
    kind = path.stat().st_mode
    if stat.S_ISDIR(kind):
        raise OSError(0, "it is a folder")
    if not stat.S_ISREG(kind) and not stat.S_ISFIFO(kind):
        raise OSError(0, "it is a device; a file or a pipe is allowed")
    # Opening a pipe that has no writer must not wait for one.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:  # noqa: PTH123
        if stat.S_ISREG(kind):
            with open(file.fileno(), "rb", closefd=False) as buffered:
                return buffered.read(limit)
        return _read_pipe(file.fileno(), limit)


def _read_pipe(pipe: int, limit: int) -> bytes:
    pieces = []
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while limit > 0:
        if not poll.poll(1000 * PATIENCE):
            raise OSError(0, f"nothing was written to this pipe for {PATIENCE:g} s")
        piece = os.read(pipe, min(limit, 1 << 16))
        if not piece:
            break
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)
