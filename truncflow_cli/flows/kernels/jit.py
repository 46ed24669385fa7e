"""How the kernels are compiled: no Python objects, the lock released, kept on disk where that is possible."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.compiler import Compiler
from numba.core.runtime import rtsys


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
        rtsys.initialize(target_context)  # what numba's own method does besides is only needed to compile
        try:
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)
        except (EOFError, pickle.UnpicklingError, ValueError, TypeError):
            self.flush()  # what is there cannot be extended either
            return None


class KernelCompiler(Compiler):  # type: ignore[misc]
    """Compiles without a pause for the garbage collector, which would be a seventh of the time."""

    def compile_extra(self, func: Any) -> Any:
        """See numba."""
        enabled = gc.isenabled()
        gc.disable()
        try:
            return super().compile_extra(func)
        finally:
            if enabled:
                gc.enable()


class PartCompiler(Compiler):  # type: ignore[misc]
    """Compiles a function no further than its callers need to take it in, which are then optimised as a whole."""

    def define_pipelines(self) -> Any:
        """See numba: the passes are the usual ones; the library is left as it was lowered."""
        state = self.state
        library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        library.enable_object_caching()
        library._optimize_final_module = lambda: None
        library._finalize_final_module = lambda: _stop_at_bitcode(library)
        state.library = library
        state.targetctx = state.targetctx.subtarget(get_executable=_not_executable)
        return super().define_pipelines()


def _stop_at_bitcode(library: Any) -> None:
    library._finalize_dynamic_globals()
    library._finalized = True


def _not_executable(library: Any, description: Any, environment: Any) -> Callable[..., Any]:
    """Return a stand-in under which numba registers the function for other compiled code.

    It has to be hashable, of its own, and of the type that compiled functions have; nobody calls it.
    """
    return [description.qualname].index


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` on first use and keep the result on disk for the next process.

    Where no folder for the compiled code can be written (numba then refuses to cache), it is compiled anew
    in each process.
    """
    options = {"no_cfunc_wrapper": True, "pipeline_class": KernelCompiler}
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(function)
    with contextlib.suppress(RuntimeError):
        dispatcher._cache = KernelCache(function)
    return dispatcher  # type: ignore[no-any-return]


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` as part of the kernels that call it; Python cannot call it.

    Taking bundles of arrays from Python would be most of what there is to compile in a short function.
    """
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": True}
    return numba.njit(nogil=True, error_model="numpy", pipeline_class=PartCompiler, **options)(function)  # type: ignore[no-any-return]


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` as a part that makes no arrays but views: references are not counted in it.

    Counting them, atomically, would be a fifth of what the kernels do.
    """
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
    return numba.njit(nogil=True, error_model="numpy", pipeline_class=PartCompiler, **options)(function)  # type: ignore[no-any-return]


@cache
def _source_stamp() -> bytes:
    """Return a digest of the source of all kernels."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).digest()
