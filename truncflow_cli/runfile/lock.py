"""One writer for each run file: a lock that dies with the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

from truncflow_cli.errors import UserError

#: A lock file may be removed between opening and locking it, by the run that has just ended.
_ATTEMPTS = 100

#: How often, and how many seconds apart, a lock is tried that somebody else has: who only asks (``writer_of``) has it
#: for a moment.
_TRIES, _PAUSE = 3, 0.02

#: What flock answers on file systems that do not have locks; there the run goes on without.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}


class OutputLock:
    """An exclusive ``flock`` on a hidden file beside a run file, held until ``release`` or the process's end.

    The kernel drops the lock when the process dies, however it dies; what a killed process leaves is an empty
    file that locks nobody out.
    """

    def __init__(self, path: Path, target: Path) -> None:
        """Take the lock, a file at ``path``, which stands for the run file ``target``.

        Raises:
            UserError: another process holds it.
            OSError: the file cannot be made.
        """
        self._path = path
        self._descriptor = _acquire(path, target)

    def release(self) -> None:
        """Remove the lock file and let go of it; a second call does nothing."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = None


def lock_path(target: Path) -> Path:
    """Return the lock file of a run file whose symbolic links are resolved."""
    return target.parent / f".{target.name}.lock"


def writer_of(target: Path) -> str | None:
    """Return the id of the process that is writing a run file; "" if there is none, None if that cannot be told."""
    try:
        descriptor = os.open(lock_path(Path(os.path.realpath(target))), os.O_RDONLY)
    except FileNotFoundError:
        return ""
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, 32).decode("ascii", "replace").strip() or None
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return ""


def _acquire(path: Path, target: Path) -> int | None:
    refused = 0
    for _ in range(_ATTEMPTS):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            refused += 1
            if refused < _TRIES:
                time.sleep(_PAUSE)
                continue
            raise UserError(
                f"{target}: another run{f' (process {holder})' if holder else ''} is writing this file; "
                "wait for it, stop it, or choose another output with -o"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            return descriptor
        if _still_there(descriptor, path):
            os.truncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            return descriptor
        os.close(descriptor)
    raise UserError(f"{target}: the lock file {path} keeps disappearing; choose another output with -o")


def _still_there(descriptor: int, path: Path) -> bool:
    """Whether the file that was locked is the one that has the name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
