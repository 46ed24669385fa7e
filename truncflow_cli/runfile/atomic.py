"""Where a run file is written before it has its name, so that nobody ever sees half of one.

A file that HDF5 has open for writing cannot be read if the process dies. So the run is written into a hidden
working file beside the target. A checkpoint closes it, copies it, and renames the copy onto the target in one
step; at the end the working file itself is renamed. Whenever the process is killed, the target is either what
was there before or a whole, closed file.

A run that is small, and over before its first checkpoint, has its file made in memory (``template``); the working file
gets it as a whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py

from truncflow_cli.errors import UserError
from truncflow_cli.run_data import Certificate
from truncflow_cli.runfile import contents
from truncflow_cli.runfile.checkpoint import Checkpoint
from truncflow_cli.runfile.handles import LIBVER, Handles
from truncflow_cli.runfile.lock import OutputLock, lock_path

#: What helps against a system's refusal.
_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "; free some space, or choose another place with -o"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "; choose another place with -o"),
    errno.EFBIG: "; the file size limit (ulimit -f) is reached",
}


class WorkingFile:
    """The hidden file a run is written into, and its publication under the target's name.

    Attributes:
        target: the name the run file will have, symbolic links resolved.
        path: the hidden working file.
        published: whether the target holds this run already, up to some checkpoint.
        handles: the open HDF5 file, between ``open`` and ``close``.
    """

    handles: Handles

    def __init__(self, target: Path) -> None:
        """Lock the target against other runs and remove what a killed run has left behind.

        Raises:
            UserError: another run is writing the same target.
            OSError: the folder cannot be made or written to.
        """
        self.target = Path(os.path.realpath(target))
        self.published = False
        folder, name = self.target.parent, self.target.name
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f".{name}.part"
        self._snapshot = folder / f".{name}.snapshot"
        self._lock = OutputLock(lock_path(self.target), self.target)
        self._remove_hidden()

    def open(self) -> None:
        """Open the working file for writing, unless it is open."""
        if not self._is_open():
            self.handles = Handles(h5py.File(self.path, "r+", libver=LIBVER))

    def open_copy(self) -> None:
        """Make the working file a copy of the target, and open it."""
        shutil.copyfile(self.target, self.path)
        self.open()

    def close(self) -> None:
        """Close the HDF5 file if it is open; it is whole from then on."""
        if self._is_open():
            self.handles.file.close()

    def reserve(self, extra_bytes: int) -> None:
        """Claim disk space for what is about to be written.

        HDF5 does not survive a write that fails (it crashes when the file is closed), so a full disk, a quota
        or a size limit has to show before it. What is not used is given back when the file is closed.

        Raises:
            OSError: there is no room.
        """
        _reserve(self.path, extra_bytes)

    def add_certificates(self, certificates: Sequence[Certificate]) -> None:
        """Write certificates, in place of any that the open file has; raises as ``reserve`` does."""
        self.reserve(contents.certificates_bytes(certificates))
        contents.make_certificates(self.handles)
        contents.write_certificates(self.handles, certificates)

    def add_checkpoint(self, checkpoint: Checkpoint | None) -> None:
        """Write a checkpoint, if there is one, into the open file; raises as ``reserve`` does."""
        if checkpoint is not None:
            self.reserve(checkpoint.room)
            checkpoint.write(self.handles)

    def publish_copy(self, checkpoint: Checkpoint | None) -> None:
        """Put a copy of the closed working file under the target's name; the copy alone has the checkpoint."""
        try:
            shutil.copyfile(self.path, self._snapshot)
            if checkpoint is not None:
                _reserve(self._snapshot, checkpoint.room)
                with h5py.File(self._snapshot, "r+", libver=LIBVER) as copy:
                    checkpoint.write(Handles(copy))
            _sync(self._snapshot)
            self._snapshot.replace(self.target)
        finally:
            self._snapshot.unlink(missing_ok=True)
        self.published = True

    def publish(self) -> None:
        """Give the closed working file the target's name."""
        _sync(self.path)
        self.path.replace(self.target)
        self.published = True

    def discard(self) -> None:
        """Remove everything hidden and unlock; what has been published stays."""
        try:
            self.close()
        finally:
            with contextlib.suppress(OSError):
                self._remove_hidden()
            self._lock.release()

    def _is_open(self) -> bool:
        return hasattr(self, "handles") and bool(self.handles.file)

    def _remove_hidden(self) -> None:
        self.path.unlink(missing_ok=True)
        self._snapshot.unlink(missing_ok=True)


def _reserve(path: Path, extra_bytes: int) -> None:
    with path.open("r+b") as stream:
        size = os.fstat(stream.fileno()).st_size
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size + extra_bytes)


def sync_folder(folder: Path) -> None:
    """Have the names of the files in a folder outlast a power cut; the files themselves are whole in any case."""
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explained(target: Path, kept: Callable[[], str] = str) -> Iterator[None]:
    """Turn what the operating system refuses inside the block into a sentence, ended by what ``kept`` says.

    Raises:
        UserError: in place of an OSError, or of the RuntimeError by which h5py passes some of them on.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot write {target}: {_reason(error)}{kept()}") from error


def _reason(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        return str(error).partition("\n")[0]
    return os.strerror(number).lower() + _ADVICE.get(number, "")
