"""Drives the pages in headless Chromium: ``python -m tests.browser``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from tests.browser.found import Found, work
from tests.browser.pages import NAMES

#: What has to be installed besides the program.
MODULES = ("selenium", "axe_selenium_python")


def main() -> int:
    """Check every page; return the exit code: 0 all is well, 1 something failed, 2 nothing could be checked."""
    options = _options()
    if (missing := _missing()) is not None:
        print(f"error: {missing}", file=sys.stderr)
        return 2
    names = [name for name in NAMES if not options.only or name in options.only]
    if unknown := set(options.only) - set(NAMES):
        print(f"error: no page {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        found = _checked(names, options.keep or Path(place), options.keep is not None, options.workers)
    checks, failures = sum(each.checks for each in found), sum(len(each.wrong) for each in found)
    if len(found) < len(names):
        print(f"error: {len(names) - len(found)} pages could not be checked", file=sys.stderr)
    print(f"{len(found)} pages, {checks} checks, {failures} failures, {time.monotonic() - began:.0f} s")
    return 0 if len(found) == len(names) and not failures else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.browser", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="PAGE", help="check this page only")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the pages, with screenshots")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="browsers; default: one a core"
    )
    return parser.parse_args()


def _missing() -> str | None:
    """Say what is not installed, if anything is not."""
    modules = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if modules:
        return f"{', '.join(modules)} is not installed: pip install -e '.[browser]'"
    from tests.browser.chromium import CHROMEDRIVER, CHROMIUM

    programs = [path for path in (CHROMIUM, CHROMEDRIVER) if not os.access(path, os.X_OK)]
    if programs:
        return (
            f"{', '.join(programs)} is not there: apt-get install chromium chromium-driver, or name them in CHROMIUM "
            "and CHROMEDRIVER"
        )
    return None


def _checked(names: list[str], folder: Path, keep: bool, workers: int) -> list[Found]:
    """Have the pages checked, each worker with a browser of its own, and print what comes back."""
    context = get_context("spawn")
    tasks: SimpleQueue[str | None] = context.SimpleQueue()
    workers = max(1, min(workers, len(names)))
    for name in [*names, *[None] * workers]:
        tasks.put(name)
    connections: list[Connection] = []
    for _ in range(workers):
        here, there = context.Pipe(duplex=False)
        context.Process(target=work, args=(tasks, there, folder, keep)).start()
        there.close()
        connections.append(here)
    found: list[Found] = []
    while connections:
        for connection in wait(connections):
            assert isinstance(connection, Connection)
            try:
                result = connection.recv()
            except EOFError:  # the worker has ended, in whatever way
                connections.remove(connection)
                continue
            print(result.text(), flush=True)
            found.append(result)
    return found


if __name__ == "__main__":
    sys.exit(main())
