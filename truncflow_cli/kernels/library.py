"""Loads the compiled code, the build of it that suits the processor."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

from truncflow_cli.errors import UserError
from truncflow_cli.kernels import compiling

#: What the functions return.
_RESULTS = {
    "truncflow_separated": ctypes.c_int64,
    "truncflow_batch_step": ctypes.c_int64,
    "truncflow_general": ctypes.c_int64,
    "truncflow_evaluate": None,
    "truncflow_losses": None,
    "truncflow_network_losses": None,
    "truncflow_first_exit": ctypes.c_double,
}


def prepare(say: Callable[[str], None]) -> None:
    """Compile the C code if it has not been, or has changed since, as it may have in a checkout.

    Raises:
        UserError: that cannot be done.
    """
    if _is_prepared():
        return
    say("compiling the inner loops, once (up to half a minute)")
    try:
        compiling.compile_libraries()
    except (RuntimeError, OSError) as error:
        raise UserError(f"the inner loops cannot be compiled: {error}") from error


def _is_prepared() -> bool:
    """Return whether there is a library of this source; what this process has loaded is not looked at again."""
    return library.cache_info().currsize > 0 or not compiling.outdated()


@cache
def library() -> ctypes.CDLL:
    """Return the library; the first build that this processor can run.

    Raises:
        UserError: there is none, or it is not of this source.
    """
    for level in compiling.levels():
        path = compiling.library_path(level)
        if not path.exists():
            raise UserError(f"{path} is missing: install truncflow again (pip install .), which compiles it")
        loaded = ctypes.CDLL(str(path))
        if level == "base" or _suits(loaded):
            _check_stamp(loaded)
            for name, result in _RESULTS.items():
                getattr(loaded, name).restype = result
            return loaded
    raise AssertionError("the last level asks for nothing")


def _suits(loaded: ctypes.CDLL) -> bool:
    """Return whether the processor can run what this library was compiled to."""
    return bool(loaded.truncflow_suits_processor())


def _check_stamp(loaded: ctypes.CDLL) -> None:
    """Look whether, in a checkout, the C code is still that which was compiled."""
    if not compiling.SOURCE.exists():
        return
    loaded.truncflow_stamp.restype = ctypes.c_char_p
    if loaded.truncflow_stamp().decode() != compiling.source_stamp():
        raise UserError(
            f"the C code in {compiling.PACKAGE} has changed since it was compiled: python -m {compiling.__name__}"
        )
