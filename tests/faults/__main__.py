"""The nightly command: faults on purpose, and counts of what was tried, survived, and was lost."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from . import kill_and_resume, samples, starved, together
from .worker import PARTS, cases

#: Number and faults of each case that has been tried.
Outcomes = Iterator[tuple[int, list[str]]]
#: The other parts beside hostile input.
KILLED, STARVED, TOGETHER = "killed", "starved", "together"


def main() -> int:
    """Try everything and print the counts; 1 if anything was lost."""
    options = _options()
    keep = options.keep or Path(tempfile.mkdtemp(prefix="faults-"))
    keep.mkdir(parents=True, exist_ok=True)
    hostile = [part for part in options.parts if part in PARTS]
    tried_at_all = lost_at_all = 0
    print(f"{'part':20} {'tried':>7} {'survived':>9} {'lost':>5}   seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="faults-good-") as folder:
        good = samples.make(Path(folder)) if hostile else None
        for part in options.parts:
            for name, tried, lost in _part(part, options, keep, good, len(hostile)):
                tried_at_all, lost_at_all = tried_at_all + tried, lost_at_all + lost
                print(f"{name:20} {tried:7} {tried - lost:9} {lost:5}", flush=True)
    print(f"{'all':20} {tried_at_all:7} {tried_at_all - lost_at_all:9} {lost_at_all:5}")
    if lost_at_all:
        print(f"what was lost is in {keep}", file=sys.stderr)
    return 1 if lost_at_all else 0


def _options() -> argparse.Namespace:
    parts = [*PARTS, KILLED, STARVED, TOGETHER]
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="how many hostile inputs are tried, in all")
    parser.add_argument("--kills", type=int, default=50, help="how often a run of each kind is stopped")
    parser.add_argument("--starved", type=int, default=50, help="how many runs lack something")
    parser.add_argument(
        "--together", type=int, default=30, help="how many runs are not alone with their file"
    )
    parser.add_argument("--seed", type=int, default=0, help="other cases for another seed")
    parser.add_argument("--keep", type=Path, help="folder for what was lost")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, help="what is tried")
    return parser.parse_args()


def _part(
    part: str, options: argparse.Namespace, keep: Path, good: samples.Samples | None, shares: int
) -> Iterator[tuple[str, int, int]]:
    """Yield the rows of a part: what it is called, how many were tried, how many of these were lost."""
    began = time.monotonic()
    if part == KILLED:
        yield from _killed(options.kills, options.seed, keep)
    elif part == STARVED:
        yield _counted(part, starved.cases(options.seed, range(options.starved), keep))
    elif part == TOGETHER:
        yield _counted(part, together.cases(options.seed, range(options.together), keep))
    else:
        assert good is not None, "made for the parts of hostile input"
        yield _counted(part, cases(part, options.seed, range(options.cases // shares), keep, good))
    print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _counted(part: str, outcomes: Outcomes) -> tuple[str, int, int]:
    tried = lost = 0
    for number, faults in outcomes:
        tried += 1
        if faults:
            lost += 1
            print(f"lost: {part} case {number}: {'; '.join(faults)}", file=sys.stderr, flush=True)
    return part, tried, lost


def _killed(count: int, seed: int, keep: Path) -> Iterator[tuple[str, int, int]]:
    with tempfile.TemporaryDirectory(prefix="killed-", dir=keep) as folder:
        for kind, counts, faults in kill_and_resume.run(count, seed, Path(folder)):
            for fault in faults:
                print(f"lost: killed, {kind}: {fault}", file=sys.stderr, flush=True)
            yield f"killed, {kind}", counts.tried, counts.lost


if __name__ == "__main__":
    sys.exit(main())
