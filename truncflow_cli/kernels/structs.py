"""The structs of ``truncflow.h`` with numpy arrays in them, fields by name."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.kernels.header import header

#: A type that fits at the beginning of any array.
_NOTHING = ctypes.c_char * 0


class Struct:
    """A struct: its numbers are those of C, its arrays are kept here, under their names there.

    Compiled code changes arrays in place. Setting a field raises TypeError if an array is not what its pointer says.
    """

    def __init__(self, kind: str, within: Any = None, **fields: Any) -> None:
        """Make a struct of this kind, all zeros, or take one that is within another, which has to outlive this."""
        inside = self.__dict__
        inside["cdata"] = cdata = header().structs[kind]() if within is None else within
        inside["address"], inside["dtypes"] = ctypes.addressof(cdata), header().arrays[kind]
        if fields:
            self.set(**fields)

    def set(self, **fields: Any) -> None:
        """Set these fields."""
        for name, value in fields.items():
            setattr(self, name, value)

    def allocate(self, **shapes: tuple[int, ...]) -> None:
        """Set these fields to arrays of zeros of these shapes."""
        for name, shape in shapes.items():
            self.__dict__[name] = array = np.zeros(shape, self.dtypes[name])
            setattr(self.cdata, name, _address(array))

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, np.ndarray):
            _check(value, self.dtypes[name], name)
            setattr(self.cdata, name, _address(value))
            self.__dict__[name] = value
        else:
            setattr(self.cdata, name, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cdata, name)


def argument(array: NDArray[Any]) -> Any:
    """Return an array as an argument of a function, which keeps it alive."""
    _check(array, array.dtype, "an argument")
    return array.ctypes.data_as(ctypes.c_void_p)


def _address(array: NDArray[Any]) -> int:
    """Return where an array is; where it may be written to, in a third of the time."""
    if array.flags.writeable:
        return ctypes.addressof(_NOTHING.from_buffer(array.data))
    address: int = array.__array_interface__["data"][0]
    return address


def _check(array: NDArray[Any], dtype: np.dtype[Any], name: str) -> None:
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise TypeError(f"{name} has to be a C-contiguous array of {dtype}")
