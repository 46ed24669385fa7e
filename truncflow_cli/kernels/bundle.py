"""Bundles of arrays as the compiled code takes them: a struct of addresses and lengths, see ``arrays.h``."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Most axes an array of a bundle may have.
AXES = 4
#: What an array of so many axes has in place of the others.
_NO_AXES = tuple((1,) * (AXES - n) for n in range(AXES + 1))
_ARRAY, _WHOLE, _REAL = (struct.Struct(f"={code}").pack for code in ("q" * (1 + AXES), "q", "d"))
#: A type that fits at the beginning of any array.
_NOTHING = ctypes.c_char * 0


@dataclass(frozen=True)
class Bundle:
    """Arrays, and numbers, that belong together; a subclass names them in the order of its struct in ``arrays.h``.

    The arrays are changed in place, by Python and by the compiled code; they are never exchanged for others, so that
    their addresses are taken once.
    """

    @cached_property
    def struct(self) -> ctypes.Array[ctypes.c_char]:
        """The struct, to be passed to the compiled code.

        Raises:
            TypeError: a field is something else, or its memory is not in the order of its indices.
        """
        words = b"".join([_words(getattr(self, name), name) for name in self.__dataclass_fields__])
        return ctypes.create_string_buffer(words, len(words))


def _words(value: Any, name: str) -> bytes:
    """Return a field as the struct has it."""
    if isinstance(value, np.ndarray):
        flags = value.flags
        if flags.c_contiguous and value.ndim <= AXES:
            return _ARRAY(_address(value, flags.writeable), *value.shape, *_NO_AXES[value.ndim])
    elif isinstance(value, float):
        return _REAL(value)
    elif isinstance(value, int):
        return _WHOLE(value)
    raise TypeError(f"{name} has to be a number, or a C-contiguous array of at most {AXES} axes")


def _address(array: NDArray[Any], writeable: bool) -> int:
    """Return where an array is; where it may be written to, in a third of the time."""
    if writeable:
        return ctypes.addressof(_NOTHING.from_buffer(array.data))
    address: int = array.__array_interface__["data"][0]
    return address
