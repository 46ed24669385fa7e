"""A run with a million events: how long it takes, and that its memory does not grow with them.

``python -m tests.faults.million_events [--points N]`` prints how the memory goes on, and ends with 1 if it grows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py

#: Bytes that the memory may grow by from the first third of the run to its last.
MOST_GROWTH = 32 << 20

CONFIG = """\
flow: separated
clusters:
  - {{center: [1.0, 0.0, 0.0], shape: gaussian, std: 1.0, size: {size}}}
  - {{center: [0.0, 1.0, 0.0], shape: gaussian, std: 1.0, size: {size}}}
labels: [[9.0, -9.0, 5.0], [-9.0, 9.0, 5.0]]
initial: {{rotation: random, bias: {{normal: 0.5}}}}
integrator: {{s_end: 6.0, max_events: 100000000, events: exact}}
save: {{count: 101, checkpoint_every: 5}}
"""


def measure(points: int, folder: Path) -> tuple[int, list[tuple[float, int]]]:
    """Run the config on so many points; return the number of events and, every quarter second, (time, memory)."""
    (folder / "run.yaml").write_text(CONFIG.format(size=points // 2))
    process = subprocess.Popen(
        [sys.executable, "-m", "truncflow_cli", "run", "run.yaml", "-o", "run.h5", "--quiet"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    memory: list[tuple[float, int]] = []
    began = 0.0
    while process.poll() is None:
        if (folder / ".run.h5.part").exists():  # the problem has been made
            began = began or time.monotonic()
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1] or 0)
            memory.append((time.monotonic() - began, pages * os.sysconf("SC_PAGE_SIZE")))
        time.sleep(0.25)
    if process.returncode != 0:
        raise SystemExit(f"the run ended with {process.returncode}")
    with h5py.File(folder / "run.h5", "r") as file:
        solved = float(file.attrs["solving_seconds"])
        events = len(file["events/s"])
    return events, [(t, size) for t, size in memory if t < solved]


def main() -> int:
    """Run and print; 1 if the memory grows."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.million_events", description=__doc__)
    parser.add_argument(
        "--points", type=int, default=500_000, help="points in all; events are some two for each"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="million-events-") as name:
        events, memory = measure(options.points, Path(name))
    for t, size in memory[:: max(1, len(memory) // 12)]:
        print(f"{t:7.1f} s {size / 1e6:9.1f} MB")
    third = len(memory) // 3
    growth = max(size for _, size in memory[2 * third :]) - max(size for _, size in memory[:third])
    print(f"{events:,} events in {memory[-1][0]:.0f} s; the memory grows by {max(growth, 0) / 1e6:.1f} MB")
    return int(growth > MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
