"""A look at the one structure of an HDF5 file that the library itself reads without care.

Strings of variable length, such as the attributes of a run file, lie in *global heaps*: collections of
objects one after the other, without check sums. On a damaged length the library does not move on, and never
returns. So the lengths are checked before it reads them (HDF5 file format specification, section III.E).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

#: Signature, version and reserved bytes of a collection.
_SIGNATURE = b"GCOL\x01\x00\x00\x00"

_COLLECTION = struct.Struct("<8sQ")
_OBJECT = struct.Struct("<HHLQ")


def has_sound_heaps(path: Path) -> bool:
    """Whether the objects of every global heap in a file fill it exactly, each moving on to the next."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as image:
        return all(_is_sound(image, start) for start in _collections(image))


def _collections(image: mmap.mmap) -> Iterator[int]:
    start = image.find(_SIGNATURE)
    while start >= 0:
        yield start
        start = image.find(_SIGNATURE, start + 1)


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
