"""Loads the compiled code, the build of it that suits the processor, with the functions of ``truncflow.h``."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

from truncflow_cli.errors import UserError
from truncflow_cli.kernels import compiling


def prepare(say: Callable[[str], None]) -> None:
    """Compile the C code if it has not been, or has changed since, as it may have in a checkout.

    Raises:
        UserError: that cannot be done.
    """
    if library.cache_info().currsize > 0 or not compiling.outdated():
        return
    if compiling.compiler() is None:
        say(
            "no C compiler: this run uses numpy, a C compiler would make it many times faster (install gcc or clang)"
        )
        return
    say("compiling the inner loops, once (up to half a minute)")
    try:
        compiling.compile_libraries()
    except (RuntimeError, OSError) as error:
        raise UserError(f"the inner loops cannot be compiled: {error}") from error


@cache
def library() -> ctypes.CDLL:
    """Return the library; the first build that this processor can run.

    Raises:
        UserError: there is none, or it is not of this source.
    """
    from truncflow_cli.kernels.header import header  # it takes numpy, which starting does not wait for

    for level in compiling.levels():
        path = compiling.library_path(level)
        if not path.exists():
            raise UserError(f"{path} is missing: install truncflow again (pip install .), which compiles it")
        loaded = ctypes.CDLL(str(path))
        if level == "base" or _suits(loaded):
            _check_stamp(loaded)
            for name, (gives, takes) in header().functions.items():
                function = getattr(loaded, name)
                function.restype, function.argtypes = gives, takes
            return loaded
    raise AssertionError("the last level asks for nothing")


def _suits(loaded: ctypes.CDLL) -> bool:
    """Return whether the processor can run what this library was compiled to."""
    return bool(loaded.suits_processor())


def _check_stamp(loaded: ctypes.CDLL) -> None:
    """Look whether, in a checkout, the C code is still that which was compiled."""
    loaded.source_stamp.restype = ctypes.c_char_p
    if compiling.sources() and loaded.source_stamp().decode() != compiling.source_stamp():
        raise UserError(
            f"the C code in {compiling.HERE} has changed since it was compiled: python -m {compiling.__name__}"
        )
