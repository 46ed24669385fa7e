"""Compiles the C code of this folder into the shared libraries that ``library`` loads, when the package is installed.

    python -m truncflow_cli.kernels.compiling      # again, after a change of the C code

Runs import this to look whether they are there; what only compiling needs is imported there. The compiler is that of
the environment variable CC, else the machine's own. With TRUNCFLOW_SANITIZE set, the code checks addresses and
undefined behaviour as it runs.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
HEADER = HERE / "truncflow.h"
#: Libraries, with what each asks of the processor beyond what all of its kind have; the most demanding one first.
LEVELS = {"v3": ("-mavx2", "-mfma"), "base": ()}
#: No rule of arithmetic is loosened: a sum is taken in the order in which it is written, a product is rounded.
OPTIONS = (
    "-std=c11", "-O3", "-g0", "-fPIC", "-shared", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math",
    "-fvisibility=hidden", "-Wno-psabi",
)  # fmt: skip
#: What the code has to be free of; asked in a checkout, as other compilers may know of other things.
WARNINGS = ("-Wall", "-Wextra", "-Wvla", "-Wmissing-prototypes", "-Wstrict-prototypes", "-Werror")
SANITIZE = (
    "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer",
)  # fmt: skip
#: Where the machine may have a compiler, in this order.
COMPILERS = ("cc", "gcc", "clang")


def levels() -> dict[str, tuple[str, ...]]:
    """Return the libraries that make sense on this kind of processor, and their options."""
    if platform.machine().lower() in ("x86_64", "amd64"):
        return dict(LEVELS)
    return {"base": ()}


def library_path(level: str) -> Path:
    """Return where the library of a level is."""
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    kind = "-sanitized" if os.environ.get("TRUNCFLOW_SANITIZE") else ""
    return HERE / f"truncflow-{level}{kind}{suffix}"


def sources() -> list[Path]:
    """Return the files that are compiled; none where only what was compiled has been installed."""
    return sorted(HERE.glob("*.c"))


def options() -> tuple[str, ...]:
    """Return the options of the compiler for all levels."""
    return (*OPTIONS, *SANITIZE) if os.environ.get("TRUNCFLOW_SANITIZE") else OPTIONS


def source_stamp() -> str:
    """Return a digest of the C code and the options, which a library remembers."""
    parts = [part.read_bytes() for part in sorted([*sources(), *HERE.glob("*.h")])]
    return hashlib.sha256(b"\0".join([*parts, " ".join(options()).encode()])).hexdigest()[:16]


def compiler() -> list[str] | None:
    """Return the command of a C compiler; None if there is none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    return next(([name] for name in COMPILERS if shutil.which(name)), None)


def outdated() -> bool:
    """Return whether something is missing, or of another source than there is."""
    stamp = source_stamp().encode() if sources() else b""
    paths = [library_path(level) for level in levels()]
    return not all(path.exists() and stamp in path.read_bytes() for path in paths)


def compile_libraries(*more: str) -> list[Path]:
    """Compile all libraries, side by side, with ``more`` options, and return where they are.

    Raises:
        RuntimeError: there is no compiler, or it fails.
        OSError: the folder cannot be written.
    """
    command = compiler()
    if command is None:
        raise RuntimeError("no C compiler: install gcc or clang, or set CC")
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as threads:
        return list(threads.map(partial(_compile, command, more), levels()))


def _compile(command: list[str], more: tuple[str, ...], level: str) -> Path:
    """Compile the library of a level, and put it in its place when it is whole."""
    import subprocess
    from tempfile import TemporaryDirectory

    path = library_path(level)
    stamp = f'-DSTAMP="{source_stamp()}"'
    with TemporaryDirectory(prefix=".compiling-", dir=HERE) as folder:
        fresh = Path(folder) / path.name
        asked = [*options(), *levels()[level], *more]
        arguments = [*asked, stamp, "-o", str(fresh), *map(str, sources()), "-lm"]
        try:
            subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{' '.join(command)} cannot compile the C code:\n{error.stderr}") from None
        fresh.replace(path)
    return path


if __name__ == "__main__":
    compile_libraries(*WARNINGS)
