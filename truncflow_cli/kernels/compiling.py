"""Compiles ``truncflow.c`` into the shared libraries that ``library`` loads; done when the package is installed.

    python -m truncflow_cli.kernels.compiling      # again, after a change of the C code

Runs import this to look whether their libraries are there; what only compiling needs is imported there.

The compiler is that of the environment variable CC, else the machine's own, else the one of the package ``ziglang``,
which pip installs for the occasion where there is no other.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "truncflow.c"
PACKAGE = HERE.parent
#: Where the headers are.
HEADERS = (HERE,)
#: Libraries, with what each asks of the processor beyond what all of its kind have; the most demanding one first.
LEVELS = {"v3": ("-mavx2", "-mfma"), "base": ()}
#: No rule of arithmetic is loosened: a sum is taken in the order in which it is written, a product is rounded.
OPTIONS = (
    "-std=c11",
    "-O3",
    "-g0",
    "-fPIC",
    "-shared",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wno-psabi",
)
#: Where the machine may have a compiler, in this order.
COMPILERS = ("cc", "gcc", "clang")
PACKAGED = "ziglang"


def levels() -> dict[str, tuple[str, ...]]:
    """Return the libraries that make sense on this kind of processor, and their options."""
    if platform.machine().lower() in ("x86_64", "amd64"):
        return dict(LEVELS)
    return {"base": ()}


def library_path(level: str) -> Path:
    """Return where the library of a level is."""
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    return HERE / f"truncflow-{level}{suffix}"


def source_stamp() -> str:
    """Return a digest of the C code, which a library remembers."""
    parts = [SOURCE, *(header for folder in HEADERS for header in sorted(folder.glob("*.h")))]
    return hashlib.sha256(b"\0".join(part.read_bytes() for part in parts)).hexdigest()[:16]


def compiler() -> list[str] | None:
    """Return the command of a C compiler; None if there is none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    for name in COMPILERS:
        if shutil.which(name):
            return [name]
    if importlib.util.find_spec(PACKAGED):
        return [sys.executable, "-m", PACKAGED, "cc"]
    return None


def outdated() -> bool:
    """Return whether a library is missing, or of another source than there is."""
    if not SOURCE.exists():
        return False
    stamp = source_stamp().encode()
    paths = [library_path(level) for level in levels()]
    return not all(path.exists() and stamp in path.read_bytes() for path in paths)


def compile_libraries() -> list[Path]:
    """Compile all libraries, side by side, and return where they are.

    Raises:
        RuntimeError: there is no compiler, or it fails.
        OSError: the folder cannot be written.
    """
    command = compiler()
    if command is None:
        raise RuntimeError(f"no C compiler: set CC, or pip install {PACKAGED}")
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as threads:
        return list(threads.map(partial(_compile, command), levels()))


def _compile(command: list[str], level: str) -> Path:
    """Compile the library of a level, and put it in its place when it is whole."""
    import subprocess
    from tempfile import TemporaryDirectory

    path = library_path(level)
    stamp = f'-DSTAMP="{source_stamp()}"'
    with TemporaryDirectory(prefix=".compiling-", dir=HERE) as folder:
        fresh = Path(folder) / path.name
        arguments = [*OPTIONS, *levels()[level], stamp, "-o", str(fresh), str(SOURCE), "-lm"]
        try:
            subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{' '.join(command)} cannot compile {SOURCE.name}:\n{error.stderr}") from None
        fresh.replace(path)
    return path


if __name__ == "__main__":
    compile_libraries()
