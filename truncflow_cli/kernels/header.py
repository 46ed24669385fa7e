"""Reads ``truncflow.h``, so that what Python and the compiled code share is written once.

The header keeps to a few forms, which are all that is understood here: ``enum { A, B = 7 };``,
``typedef struct { double x, *y; Other z; } Name;`` and ``EXPORT type name(type a, const type *b);``.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from truncflow_cli.kernels.compiling import HEADER

#: Types of numbers in C, for ctypes and in numpy.
_NUMBERS = {
    "double": (ctypes.c_double, "f8"),
    "int64_t": (ctypes.c_int64, "i8"),
    "int32_t": (ctypes.c_int32, "i4"),
    "uint32_t": (ctypes.c_uint32, "u4"),
    "int8_t": (ctypes.c_int8, "i1"),
    "int": (ctypes.c_int, "i4"),
}


@dataclass(frozen=True)
class Header:
    """What the header declares.

    Attributes:
        constants: of the enums.
        structs: a type for each; pointers in it are addresses.
        dtypes: of the numbers, and of structs of numbers.
        arrays: for each struct, the dtype of the array that each of its pointers may point to.
        functions: what each returns and takes.
    """

    constants: dict[str, int]
    structs: dict[str, type[ctypes.Structure]]
    dtypes: dict[str, np.dtype[Any]]
    arrays: dict[str, dict[str, np.dtype[Any]]]
    functions: dict[str, tuple[Any, list[Any]]]


@cache
def header() -> Header:
    """Return what ``truncflow.h`` declares."""
    text = re.sub(
        r"^#.*$", "", re.sub(r"(?s)/\*.*?\*/", "", HEADER.read_text(encoding="utf-8")), flags=re.MULTILINE
    )
    dtypes = {name: np.dtype(code) for name, (_, code) in _NUMBERS.items()}
    result = Header({}, {}, dtypes, {}, {})
    for body in re.findall(r"(?s)\benum \{(.*?)\};", text):
        value = -1
        for item in body.split(","):
            name, _, given = item.partition("=")
            value = int(given) if given else value + 1
            result.constants[name.strip()] = value
    for body, name in re.findall(r"(?s)typedef struct \{(.*?)\} (\w+);", text):
        _add_struct(result, name, [part.strip() for part in body.split(";") if part.strip()])
    types: dict[str, Any] = {name: kind for name, (kind, _) in _NUMBERS.items()}
    for returned, name, body in re.findall(r"(?s)EXPORT (\w+|const char \*) ?(\w+)\((.*?)\);", text):
        takes = [part.split()[-2] for part in body.split(",") if part != "void"]
        arguments = [
            ctypes.c_void_p if "*" in part else types[kind]
            for part, kind in zip(body.split(","), takes, strict=False)
        ]
        gives = ctypes.c_char_p if "char" in returned else types.get(returned)
        result.functions[name] = (gives, arguments)
    return result


def _add_struct(header: Header, name: str, declarations: list[str]) -> None:
    """Add a struct with these fields."""
    fields: list[tuple[str, Any]] = []
    header.arrays[name] = {}
    for declaration in declarations:
        kind, _, names = declaration.partition(" ")
        for field in (part.strip() for part in names.split(",")):
            if field.startswith("*"):
                header.arrays[name][field[1:]] = header.dtypes[kind]
                fields.append((field[1:], ctypes.c_void_p))
            else:
                fields.append((field, _NUMBERS[kind][0] if kind in _NUMBERS else header.structs[kind]))
    header.structs[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    if all(type_ is not ctypes.c_void_p for _, type_ in fields):
        header.dtypes[name] = np.dtype(header.structs[name])
