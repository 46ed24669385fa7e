"""The nightly command: faults on purpose, and counts of what was tried, survived, and was lost."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from . import samples
from .worker import PARTS, cases


def main() -> int:
    """Try everything and print the counts; 1 if anything was lost."""
    options = _options()
    keep = options.keep or Path(tempfile.mkdtemp(prefix="faults-"))
    lost_at_all = 0
    print(f"{'part':18} {'tried':>7} {'survived':>9} {'lost':>5}   seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="faults-good-") as folder:
        good = samples.make(Path(folder))
        for part in options.parts:
            tried, lost = _part(part, options.seed, options.cases // len(options.parts), keep, good)
            lost_at_all += lost
            print(f"{part:18} {tried:7} {tried - lost:9} {lost:5}", flush=True)
    if lost_at_all:
        print(f"what was lost is in {keep}", file=sys.stderr)
    return 1 if lost_at_all else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="how many hostile inputs are tried, in all")
    parser.add_argument("--seed", type=int, default=0, help="other cases for another seed")
    parser.add_argument("--keep", type=Path, help="folder for the input that was lost")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="what is tried")
    return parser.parse_args()


def _part(part: str, seed: int, count: int, keep: Path, good: samples.Samples) -> tuple[int, int]:
    """Return how many cases of a part were tried and lost."""
    lost = 0
    began = time.monotonic()
    for number, faults in cases(part, seed, range(count), keep, good):
        if faults:
            lost += 1
            print(f"lost: {part} case {number}: {'; '.join(faults)}", file=sys.stderr, flush=True)
    print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return count, lost


if __name__ == "__main__":
    sys.exit(main())
