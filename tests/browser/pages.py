"""The pages that are driven: those of the shipped configs, and those of odd runs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import truncflow_cli as truncflow
from truncflow_cli.certify.run_like import RunLike
from truncflow_cli.report.html import write_page

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import page_samples as samples  # noqa: E402 - tests are not a package
from recorded_runs import solve  # noqa: E402

ODD: dict[str, Callable[[], RunLike]] = {
    "a-line": lambda: solve(samples.LINE, "a-line"),
    "a-point": lambda: solve(samples.POINT, "a-point"),
    "one-time": lambda: samples.first_times(samples.solved("separated"), 1, status="interrupted"),
    "one-time-collapsed": lambda: samples.first_times(samples.solved("collapsed"), 1, status="interrupted"),
    "running": lambda: samples.first_times(samples.solved("general"), 5, status="running"),
    "hostile": lambda: samples.hostile(samples.solved("separated")),
    "lanes": lambda: samples.made_up(60, 50, 300, dim=1, clusters=4),
    "many-points": lambda: samples.made_up(10_000, 2_000, 50_000),
    "many-dimensions": lambda: samples.made_up(500, 300, 4_000, dim=20, clusters=20),
}


def write_pages(folder: Path, only: Sequence[str]) -> Iterator[Path]:
    """Write the pages into a folder, those named in ``only`` if it names any, and yield each."""
    for config in sorted((ROOT / "configs").glob("*.yaml")):
        if not only or config.stem in only:
            with (
                tempfile.TemporaryDirectory() as place,
                truncflow.run(config, out=Path(place) / f"{config.stem}.h5") as run,
            ):
                yield write_page(run, folder / f"{config.stem}.html")
    for name, make in ODD.items():
        if not only or name in only:
            yield write_page(make(), folder / f"{name}.html")
