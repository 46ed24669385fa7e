"""``python -m tests.benchmarks``: measures speed and memory, and prints tables."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
import tempfile
import time
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from tests.benchmarks.effort import Effort

#: Name on the command line and module, in the order in which they run.
BENCHMARKS = {
    "one-cluster": "one_cluster",
    "general": "general",
    "points": "points",
    "many-points": "many_points",
    "dimension": "dimension",
    "process": "process",
    "cores": "cores",
    "memory": "memory",
    "sweep": "sweep",
}
PACKAGES = ("numpy", "scipy", "jax", "diffrax")


def main() -> None:
    """Run the command."""
    parser = _parser()
    arguments = parser.parse_args()
    names = arguments.names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    runs = arguments.runs if arguments.runs is not None else (3 if arguments.quick else 5)
    if runs < 1:
        parser.error("--runs takes a number from 1")
    peer_seconds = arguments.peer_seconds or (3.0 if arguments.quick else 45.0)
    modules = {name: benchmark_module(name) for name in names}
    machine = _machine()
    out = sys.stderr if arguments.json else sys.stdout
    print("; ".join(f"{key} {value}" for key, value in machine.items()), file=out, flush=True)
    results: dict[str, Any] = {}
    for name, module in modules.items():
        print(f"\n=== {name}: {module.TITLE}", file=out, flush=True)
        start = time.perf_counter()
        tables = []
        with tempfile.TemporaryDirectory(prefix="truncflow-benchmark-") as folder:
            effort = Effort(runs, arguments.quick, peer_seconds, Path(folder))
            for table in module.measure(effort):
                tables.append(table.data())
                print(f"\n{table.text()}", file=out, flush=True)
        seconds = time.perf_counter() - start
        print(f"\n({seconds:.0f} s)", file=out, flush=True)
        results[name] = {"title": module.TITLE, "seconds": seconds, "tables": tables}
    if arguments.json:
        print(json.dumps({"machine": machine, "benchmarks": results}, indent=1))


def benchmark_module(name: str) -> Any:
    """Return the module of a benchmark; leave with a message if a peer that it needs is not installed."""
    try:
        return import_module(f"tests.benchmarks.{BENCHMARKS[name]}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("tests", "truncflow_cli"):
            raise
        sys.exit(f"{name} needs {error.name}: pip install -e '.[bench]'")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measure speed and memory."
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"what to measure: {', '.join(BENCHMARKS)}; all if none is given",
    )
    parser.add_argument("--runs", type=int, help="turns of each measurement (default 5, quick 3)")
    parser.add_argument("--quick", action="store_true", help="small sizes; for a look, not for a statement")
    parser.add_argument(
        "--peer-seconds",
        type=float,
        help="time that a peer has for all its turns; a turn that takes longer is cut off (default 45, quick 3)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON to stdout, and the tables to stderr")
    return parser


def _machine() -> dict[str, str]:
    """Return what the figures depend on."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    versions = {name: metadata.version(name) for name in PACKAGES if importlib.util.find_spec(name)}
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "load at the start": load,
        "Python": platform.python_version(),
        **versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


if __name__ == "__main__":
    main()
