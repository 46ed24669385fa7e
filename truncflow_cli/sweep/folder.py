"""The folder of a sweep: one sweep at a time, and none while the workers of a killed one are still there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from truncflow_cli.errors import UserError
from truncflow_cli.runfile.atomic import explained
from truncflow_cli.runfile.lock import OutputLock

#: Held exclusively by the process that leads the sweep.
LOCK = ".sweep.lock"
#: Held jointly by its local workers, for as long as they live.
WORKERS = ".sweep.workers"
#: Workers whose leader was killed end within about this many seconds.
PATIENCE = 15.0


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and keep other sweeps out of it inside the block.

    Raises:
        UserError: another sweep is running there, or the folder cannot be made or written to.
    """
    with explained(folder / LOCK):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = OutputLock(folder / LOCK, folder)
        except UserError:
            holder = ""
            with contextlib.suppress(OSError, ValueError):
                holder = f" (process {int((folder / LOCK).read_text())})"
            raise _refusal(folder, f"another sweep{holder} is running in this folder") from None
    try:
        _wait_for_workers(folder)
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / WORKERS).unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):  # it is not empty, as a rule
            folder.rmdir()


def join(folder: Path) -> int:
    """Count this process among the workers in a folder, until it ends; return the descriptor that does it."""
    descriptor = os.open(folder / WORKERS, os.O_RDWR | os.O_CREAT, 0o666)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor


def is_led(folder: Path) -> bool:
    """Whether a sweep is going on in a folder, as far as this process can see."""
    return (folder / LOCK).exists()


def _wait_for_workers(folder: Path) -> None:
    """Return once no worker of an earlier sweep lives, or refuse if one does not end."""
    limit = time.monotonic() + PATIENCE
    while _has_workers(folder):
        if time.monotonic() > limit:
            raise _refusal(folder, "workers of a sweep that was killed are still busy in this folder")
        time.sleep(0.05)


def _has_workers(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / WORKERS, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EAGAIN)
    finally:
        os.close(descriptor)
    return False


def _refusal(folder: Path, why: str) -> UserError:
    return UserError(f"{folder}: {why}; wait for it, stop it, or choose another folder with -o")
