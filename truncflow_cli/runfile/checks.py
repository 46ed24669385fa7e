"""Taking things out of an HDF5 file that may come from anywhere: damaged, hostile, or not a run file at all.

Only hard links are followed, nothing outside the file is read, and nothing is unpacked that is far larger
than the file. Whatever is not as the layout says is a ``UserError`` that names the file, the place and what
is allowed.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from h5py import h5a, h5t

from truncflow_cli.config.errors import shown
from truncflow_cli.errors import UserError, one_line
from truncflow_cli.runfile import schema

#: A file may unpack to this many bytes, or to so many times its own size if that is more.
UNPACKED_BYTES = 1 << 28
UNPACKED_RATIO = 8

Kind = TypeVar("Kind", h5py.Group, h5py.Dataset)

#: Texts as this program writes them.
_TEXT = h5py.string_dtype()

#: A global heap's collection: signature, version and reserved bytes, then its size. An object: its head.
_SIGNATURE = b"GCOL\x01\x00\x00\x00"
_COLLECTION = struct.Struct("<8sQ")
_OBJECT = struct.Struct("<HHLQ")


def open_to_read(path: Path) -> h5py.File:
    """Open an HDF5 file of which nothing is known.

    Raises:
        UserError: there is none, it cannot be read, or HDF5 would never come back from it.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path}: not a file")
    try:
        if not h5py.is_hdf5(path):
            with path.open("rb"):  # tells a file that may not be read from one of another kind
                raise UserError(f"{path}: not an HDF5 file, so not a run file")
        if not _has_sound_heaps(path):
            raise UserError(f"{path}: damaged run file, its strings cannot be read")
        return h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        if error.errno is not None and error.strerror:
            raise UserError(f"{path}: {error.strerror.lower()}") from error
        raise UserError(f"{path}: damaged run file ({str(error).partition(chr(10))[0]})") from error


def _has_sound_heaps(path: Path) -> bool:
    """Whether the objects of every global heap in a file fill it exactly, each moving on to the next.

    Strings of variable length, such as the attributes of a run file, lie in *global heaps*: collections of objects one
    after the other, without check sums. On a damaged length the library does not move on, and never returns. So the
    lengths are checked before it reads them (HDF5 file format specification, section III.E).
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as image:
        start = image.find(_SIGNATURE)
        while start >= 0:
            if not _is_sound(image, start):
                return False
            start = image.find(_SIGNATURE, start + 1)
    return True


def _is_sound(image: mmap.mmap, start: int) -> bool:
    if start + _COLLECTION.size > len(image):
        return False
    end = start + _COLLECTION.unpack_from(image, start)[1]
    if end > len(image):
        return False
    position = start + _COLLECTION.size
    while position + _OBJECT.size <= end:
        index, _, _, size = _OBJECT.unpack_from(image, position)
        # Object 0 is the free space at the end, whose size counts its header too.
        length = _OBJECT.size + -(-size // 8) * 8 if index else size
        if length < _OBJECT.size or position + length > end:
            return False
        position += length
    return True


@contextmanager
def readable(path: Path, place: str) -> Iterator[None]:
    """Turn whatever h5py raises on damaged structures inside the block into a sentence.

    h5py has no exception type of its own: depending on the damage it raises OSError, KeyError, RuntimeError,
    ValueError, TypeError, UnicodeDecodeError, MemoryError and others.

    Raises:
        UserError: in their place.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).partition("\n")[0]
        raise UserError(f"{path}: damaged run file, {place} cannot be read ({reason})") from error


def child(path: Path, parent: h5py.Group, place: str, kind: type[Kind]) -> Kind:
    """Return the group or dataset at a place below a group of the file at ``path``, reached by hard links only.

    Raises:
        UserError: it is missing, is something else, or lies outside the file.
    """
    node: h5py.Group | h5py.Dataset = parent
    here = parent.name.strip("/")
    for name in place.split("/"):
        link = node.get(name, getlink=True) if isinstance(node, h5py.Group) else None
        here = f"{here}/{name}" if here else name
        if link is None:
            raise UserError(f"{path}: not a whole run file, {here} is missing")
        if not isinstance(link, h5py.HardLink):
            raise UserError(f"{path}: {here} is a link to elsewhere; a run file holds its own data")
        node = node[name]
    if not isinstance(node, kind):
        raise UserError(f"{path}: {here} is not a {kind.__name__.lower()}")
    if isinstance(node, h5py.Dataset) and (node.is_virtual or node.external):
        raise UserError(f"{path}: {here} takes its data from other files; a run file holds its own data")
    return node


def root_attributes(path: Path, file: h5py.File) -> dict[str, Any]:
    """Return the root attributes as plain Python values, after checking that this program can read the file.

    Raises:
        UserError: not a run file, of another version, or an attribute is missing or of the wrong type.
    """
    # Others may have left attributes of their own; those that are not plain values mean nothing here.
    values = {name: value for name, value in attributes(file).items() if isinstance(value, str | int | float)}
    if str(values.get("format")) != schema.FORMAT:
        raise UserError(f"{path}: HDF5, but not a run file (attribute format is not {schema.FORMAT!r})")
    version = values.get("format_version")
    if str(version) != str(schema.FORMAT_VERSION):
        raise UserError(
            f"{path}: format_version is {shown(version)}; this program reads version {schema.FORMAT_VERSION}"
        )
    types = {name: kind for name, (kind, _) in schema.ATTRIBUTES.items()}
    if "switched_at" in values:
        types["switched_at"] = float
    for name, kind in types.items():
        value, allowed = values.get(name), schema.ALLOWED.get(name)
        if not isinstance(value, kind):
            raise UserError(f"{path}: attribute {name} is {shown(value)}; it has to be {kind.__name__}")
        if allowed is not None and value not in allowed:
            raise UserError(f"{path}: attribute {name} is {shown(value)}; allowed: {', '.join(allowed)}")
    return values


def attributes(node: h5py.Group) -> dict[str, Any]:
    """Return the attributes of a group as plain Python values."""
    return {one_line(name): attribute(node, name) for name in node.attrs}


def attribute(node: h5py.Group, name: str) -> Any:
    """Return an attribute as a plain Python value, a text in one line that can be shown; an array as it is.

    One text or number is read by HDF5's own calls: they take less time than h5py's.
    """
    found = h5a.open(node.id, name.encode())
    kind, scalar = found.get_type(), found.shape == ()
    value: Any
    if scalar and isinstance(kind, h5t.TypeStringID) and _is_utf8_of_any_length(kind):
        text = np.empty((), dtype=_TEXT)
        found.read(text, mtype=h5t.py_create(_TEXT))
        value = (text.item() or b"").decode("utf-8", "surrogateescape")
    elif scalar and kind == h5t.NATIVE_DOUBLE:
        value = np.empty((), dtype=np.float64)
        found.read(value, mtype=kind)
        value = value.item()
    else:
        value = node.attrs[name]
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if isinstance(value, str):
        return one_line(value)
    return value.item() if isinstance(value, np.generic) else value


def _is_utf8_of_any_length(kind: h5t.TypeStringID) -> bool:
    return kind.is_variable_str() and kind.get_cset() == h5t.CSET_UTF8


def check_unpacked(path: Path, datasets: list[h5py.Dataset]) -> None:
    """Refuse data that unpack to far more than the file holds.

    Raises:
        UserError: they do.
    """
    allowed = max(UNPACKED_BYTES, UNPACKED_RATIO * path.stat().st_size)
    pieces = [math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize for dataset in datasets]
    total = sum((dataset.size or 0) * dataset.dtype.itemsize for dataset in datasets)
    if max(total, *pieces, 0) > allowed:
        raise UserError(
            f"{path}: unpacks to {total:.3g} bytes or more, {allowed:.3g} are allowed for a file of its size "
            "(`h5repack -f NONE` unpacks a good one)"
        )
