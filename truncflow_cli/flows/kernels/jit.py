"""How the kernels are compiled: no Python objects, the lock released, kept on disk where that is possible."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile


class KernelCache(FunctionCache):  # type: ignore[misc]  # no types of numba are used
    """numba's cache, but fresh only while the source of every kernel is what it was, and never in the way.

    numba itself looks at the file of the kernel alone, and so would go on using the compiled code of a kernel that
    is called from another file after it has changed. It also stops at an index that a full disk has cut short.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, _source_stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled code, None if there is none that can be read."""
        try:
            return super().load_overload(sig, target_context)
        except (EOFError, pickle.UnpicklingError, ValueError, TypeError):
            self.flush()  # what is there cannot be extended either
            return None


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` on first use and keep the result on disk for the next process.

    Where no folder for the compiled code can be written (numba then refuses to cache), it is compiled anew
    in each process.
    """
    dispatcher = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function)
    with contextlib.suppress(RuntimeError):
        dispatcher._cache = KernelCache(function)
    return dispatcher  # type: ignore[no-any-return]


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` as part of the kernels that call it; Python cannot call it.

    Taking bundles of arrays from Python would be most of what there is to compile in a short function.
    """
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(nogil=True, error_model="numpy", **options)(function)  # type: ignore[no-any-return]


@cache
def _source_stamp() -> bytes:
    """Return a digest of the source of all kernels."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).digest()
