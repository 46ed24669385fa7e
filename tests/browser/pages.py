"""The pages that are driven: those of the shipped configs, and those of odd runs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import truncflow_cli as truncflow
from truncflow_cli.report.page import write_page
from truncflow_cli.run_data import Run

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import page_samples as samples  # noqa: E402 - tests are not a package
from recorded_runs import Recorded, damaged, solve  # noqa: E402


def out_of_tolerance(run: Recorded) -> Run:
    """Return a run whose D(s) is larger than its tolerances allow."""
    return damaged(run, energy_balance=run.energy_balance + 1e-3 * run.s, certificates={})


def right_to_left(run: Recorded) -> Run:
    """Return a run whose clusters have names that are written from right to left."""
    return damaged(
        run, notes={**run.notes, "clusters": "\u05e9\u05dc\u05d5\u05dd, \u0645\u0631\u062d\u0628\u0627"}
    )


def far_off(run: Recorded) -> Run:
    """Return a run far from the origin, whose loss hardly changes: numbers that differ in their last digits."""
    moved = {"x": run.x, "y": run.y, "y_tilde": run.y_tilde}
    assert run.beta is not None
    away = {key: 1e9 * value + 1e12 for key, value in moved.items() if value is not None}
    return damaged(run, **away, beta=1e9 * run.beta - 1e12, loss=0.25 - 1e-6 * run.s)


ODD: dict[str, Callable[[], Run]] = {
    "a-line": lambda: solve(samples.LINE, "a-line"),
    "a-point": lambda: solve(samples.POINT, "a-point"),
    "one-time": lambda: samples.first_times(samples.solved("separated"), 1, status="interrupted"),
    "one-time-collapsed": lambda: samples.first_times(samples.solved("collapsed"), 1, status="interrupted"),
    "running": lambda: samples.first_times(samples.solved("general"), 5, status="running"),
    "off-balance": lambda: out_of_tolerance(samples.solved("separated")),
    "far-off": lambda: far_off(samples.solved("separated")),
    "right-to-left": lambda: right_to_left(samples.solved("separated")),
    "hostile": lambda: samples.hostile(samples.solved("separated")),
    "lanes": lambda: samples.made_up(72, 50, 300, dim=1, clusters=24),
    "many-points": lambda: samples.made_up(10_000, 2_000, 50_000),
    "many-dimensions": lambda: samples.made_up(500, 300, 4_000, dim=20, clusters=20),
}


#: Every page, those that take longest first, so that no worker has one of them left in the end.
LONGEST = ("many-dimensions", "many-points", "lanes")
NAMES = (
    *LONGEST,
    *(config.stem for config in sorted((ROOT / "configs").glob("*.yaml"))),
    *(name for name in ODD if name not in LONGEST),
)


def write(name: str, folder: Path) -> Path:
    """Write a page into a folder."""
    if name in ODD:
        return write_page(ODD[name](), folder / f"{name}.html")
    with (
        tempfile.TemporaryDirectory() as place,
        truncflow.run(ROOT / "configs" / f"{name}.yaml", out=Path(place) / f"{name}.h5") as run,
    ):
        return write_page(run, folder / f"{name}.html")
