"""What is read from files: texts from a file or pipe of any size, numbers from .npy, .npz:key, .csv and .h5:dataset.

Nothing in them is executed, and sizes are checked first.
"""

from __future__ import annotations

import math
import os
import re
import select
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from truncflow_cli.config.csvtable import read_csv
from truncflow_cli.config.errors import Fault, listed, reason, shown, suggestion
from truncflow_cli.problem import Array

if TYPE_CHECKING:
    import h5py

_CONTAINER = re.compile(r"(?P<path>.*?\.(?:npz|h5|hdf5|hdf))(?::(?P<key>.*))?\Z", re.IGNORECASE | re.DOTALL)
_CSV = (".csv", ".tsv", ".txt", ".dat", ".data")
#: Beyond this, squares and products of the equations overflow or lose all meaning.
LARGEST = 1e100
#: A file may unpack to this many bytes, or to so many times its own size if that is more.
UNPACKED_BYTES = 1 << 26
UNPACKED_RATIO = 100

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


def check_size(shape: tuple[int, ...], what: str, *inside: str | int) -> None:
    """Raise a Fault for an array that would take more than half of the machine's memory."""
    need = 8 * math.prod(shape)
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if need > have // 2:
        size = "×".join(str(length) for length in shape)
        needs = f"{what} ({size} numbers) would take {_bytes(need)} of memory"
        raise Fault(f"{needs}; this machine has {_bytes(have)}", inside)


def _bytes(number: int) -> str:
    step = min(max(number.bit_length() - 1, 20) // 10, 6)
    return f"{number / 2 ** (10 * step):.3g} {'KMGTPE'[step - 1]}iB"


def absolute(file: str, base_dir: Path) -> str:
    """Return a file setting, with its ``:key``, as an absolute path."""
    path, key = _split(file)
    full = os.path.normpath(base_dir / path)
    return full if key is None else f"{full}:{key}"


def read_array(file: str, base_dir: Path) -> Array:
    """Return the numbers in a data file, doubles in the shape that they have there; a CSV file gives two dimensions.

    ``file`` is relative to ``base_dir``, with ``:key`` for an array of an .npz or a dataset of an .h5 file.

    Raises:
        Fault: the file cannot be read, does not hold finite numbers, or is too large.
    """
    name, key = _split(file)
    path = base_dir / name
    suffix = path.suffix.lower()
    readers = {".npy": _read_npy, ".npz": _read_npz} | dict.fromkeys((".h5", ".hdf5", ".hdf"), _read_h5)
    readable(path)
    with reading(path.name):
        if suffix in _CSV:
            return read_csv(path).matrix()
        if suffix not in readers:
            allowed = "allowed: .npy, .npz:key, .csv, .h5:dataset"
            raise Fault(f"{path.name}: no known kind of data file; {allowed}")
        return _finite(readers[suffix](path, key), path.name)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into a fault that names the file.

    What that is has no end: numpy's reader of headers alone can fail in Python's tokenizer and compiler.
    """
    try:
        yield
    except Fault:
        raise
    except Exception as error:
        raise Fault(f"{name}: cannot be read: {shown(str(error) or type(error).__name__, 120)}") from error


def readable(path: Path) -> None:
    """Raise a Fault for a path that is not a file one can open."""
    try:
        if path.is_file():
            path.open("rb").close()
            return
        what = "not a file" if path.exists() else "no such file"
    except (OSError, ValueError) as error:
        raise Fault(f"{shown(str(path), 200)}: cannot be opened: {reason(error)}") from error
    raise Fault(f"{path}: {what}; paths are relative to the configuration")


def _split(file: str) -> tuple[str, str | None]:
    match = _CONTAINER.match(file)
    return (file, None) if match is None else (match["path"], match["key"] or None)


def _finite(array: np.ndarray[Any, Any], name: str) -> Array:
    """Return the array as doubles, or say which is not finite."""
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(array, dtype=np.float64)
    if not np.isfinite(numbers).all():
        index = [int(i) for i in np.argwhere(~np.isfinite(numbers))[0]]
        raise Fault(f"{name}: the number at index {index} is not finite")
    return numbers


def _read_npy(path: Path, key: str | None) -> np.ndarray[Any, Any]:
    with path.open("rb") as file:
        shape, dtype = _npy_header(file)
        _admit(path, shape, dtype)
        if dtype.itemsize * math.prod(shape) > path.stat().st_size - file.tell():
            raise Fault(f"{path.name}: is cut short; its header promises {shape}")
    array: np.ndarray[Any, Any] = np.load(path, allow_pickle=False)
    return array


def _npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _admit(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], unpacks_to: int = 0) -> None:
    """Raise a Fault for what holds no numbers, too many, or unpacks to far more bytes than the file has."""
    if dtype.kind not in "iuf":
        what = "real or integer arrays are allowed, no pickles"
        raise Fault(f"{path.name}: holds {dtype}, not numbers; {what}")
    check_size(shape, path.name)
    allowed = max(UNPACKED_BYTES, UNPACKED_RATIO * path.stat().st_size)
    if unpacks_to > allowed:
        what = f"unpacks to {_bytes(unpacks_to)}, {_bytes(allowed)} are allowed for a file of its size"
        raise Fault(f"{path.name}: {what}; give such an array as .npy")


def _read_npz(path: Path, key: str | None) -> np.ndarray[Any, Any]:
    with zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        member = members[_chosen(key, list(members), path.name, "array")]
        with archive.open(member) as file:
            shape, dtype = _npy_header(file)
            _admit(path, shape, dtype, unpacks_to=dtype.itemsize * math.prod(shape))
        with archive.open(member) as file:
            array: np.ndarray[Any, Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _chosen(key: str | None, names: list[str], file: str, what: str) -> str:
    """Return the array that is meant: the one named, or the only one there is."""
    there = f"it has: {listed(names) or 'none'}"
    if key is None and len(names) != 1:
        raise Fault(f"{file}: say which {what} after a colon; {there}")
    if key is not None and key not in names:
        raise Fault(f"{file}: has no {what} {shown(key)}{suggestion(key, names)}; {there}")
    return names[0] if key is None else key


def _read_h5(path: Path, key: str | None) -> np.ndarray[Any, Any]:
    import h5py

    with h5py.File(path, "r") as file:
        own = _h5_datasets(file)
        dataset = own[_chosen(key.strip("/") if key else None, list(own), path.name, "dataset")]
        shape, size = dataset.shape or (), dataset.size or 0
        n_unpacked = max(size, math.prod(dataset.chunks or (0,)))
        _admit(path, shape, dataset.dtype, unpacks_to=dataset.dtype.itemsize * n_unpacked)
        array: np.ndarray[Any, Any] = dataset[()]
    return np.asarray(array)


def _h5_datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return the datasets stored in the file itself (visititems follows no soft or external links), by name.

    Those without a dataspace have no shape, and so nothing to read.
    """
    import h5py

    found: dict[str, h5py.Dataset] = {}

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and not (item.is_virtual or item.external or item.shape is None):
            found[name] = item

    file.visititems(note)
    return found
