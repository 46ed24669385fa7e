"""Progress on stderr, where that is a terminal; where nobody looks, nothing is shown."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID
    from rich.text import Text

    from truncflow_cli.saved_state import Chunk
    from truncflow_cli.sweep.member import Report
    from truncflow_cli.sweep.plan import Sweep

#: At most so many runs of a sweep that are under way, and that went wrong, have a line.
_LINES = 8


def is_wanted() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def solving(s_end: float) -> Iterator[Callable[[Chunk], None]]:
    """Give what shows s, the events so far and the loss as chunks of a run come."""
    from rich.progress import TimeElapsedColumn

    columns = (
        "s = {task.completed:.4g} of {task.total:.4g}",
        "{task.fields[events]:,} events",
        "{task.fields[loss]}",
    )
    with _bar(*columns, TimeElapsedColumn()) as bar:
        task = bar.add_task("", total=s_end, events=0, loss="")
        events = 0

        def watch(chunk: Chunk) -> None:
            nonlocal events
            events += len(chunk.events)
            bar.update(task, completed=chunk.s, events=events)
            if "loss" in chunk.samples and len(chunk.samples["loss"]):
                bar.update(task, loss=f"loss {chunk.samples['loss'][-1]:.4g}")

        yield watch


@contextmanager
def frames() -> Iterator[Callable[[int, int], None]]:
    """Give what shows how many frames of how many are drawn."""
    if not is_wanted():
        yield lambda done, total: None
        return
    from rich.progress import TimeRemainingColumn

    with _bar("{task.completed:.0f} of {task.total:.0f} frames", TimeRemainingColumn()) as bar:
        task = bar.add_task("", total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def sweeping(sweep: Sweep, where: str) -> Iterator[Callable[[Report], None]]:
    """Give what shows how many runs are done, which are under way, what went wrong and the time left, by reports."""
    if not is_wanted():
        yield lambda report: None
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.text import Text

    # Runs end seldom: the time left is told by all that was done in the last hour.
    left = (TimeElapsedColumn(), "so far", TimeRemainingColumn(), "left")
    whole = _bar("{task.description}", *left, speed_estimate_period=3600.0)
    runs = _bar(TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    take, wrong = _reports_taken(sweep, whole, runs)
    title = _line(f"{sweep.name}: {where}, into {sweep.folder}")

    def shown() -> Group:
        more = max(0, len(runs.tasks) - _LINES)
        return Group(
            title, whole, runs, *([Text(f"... and {more} more under way")] if more else []), *list(wrong)
        )

    with Live(get_renderable=shown, console=Console(stderr=True), refresh_per_second=4, transient=True):
        yield take


def _reports_taken(
    sweep: Sweep, whole: Progress, runs: Progress
) -> tuple[Callable[[Report], None], deque[Text]]:
    """Return what takes reports of workers into a bar of all runs and one each, and the lines of what went wrong."""
    from truncflow_cli.sweep.member import Result, Underway

    all_runs = whole.add_task(f"0 of {len(sweep.members):,} runs", total=len(sweep.members))
    tasks: dict[int, TaskID] = {}
    counts: Counter[str] = Counter()
    wrong: deque[Text] = deque(maxlen=_LINES)

    def take(report: Report) -> None:
        if isinstance(report, Underway):
            if report.index not in tasks:
                tasks[report.index] = runs.add_task(sweep.members[report.index].name, total=1.0)
            runs.update(tasks[report.index], completed=report.share)
        elif isinstance(report, Result):
            if report.index in tasks:
                runs.remove_task(tasks.pop(report.index))
            counts.update(["done", report.status, *([] if report.fresh else ["found"])])
            if report.exit_code:
                name = sweep.members[report.index].name
                wrong.append(_line(f"{report.status}: {name}: {report.message}", "red"))
        for place, task in enumerate(runs.tasks):
            runs.update(task.id, visible=place < _LINES)
        found = f" ({counts['found']:,} already there)" if counts["found"] else ""
        bad = "".join(f", {counts[name]:,} {name}" for name in ("failed", "refused") if counts[name])
        whole.update(
            all_runs,
            total=len(sweep.members) - counts["found"],
            completed=counts["done"] - counts["found"] + sum(task.completed for task in runs.tasks),
            description=f"{counts['done']:,} of {len(sweep.members):,} runs, "
            f"{counts['complete']:,} complete{found}{bad}",
        )

    return take, wrong


def _line(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _bar(*columns: str | ProgressColumn, speed_estimate_period: float = 30.0) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress

    return Progress(
        BarColumn(bar_width=24),
        *columns,
        console=Console(stderr=True),
        transient=True,
        speed_estimate_period=speed_estimate_period,
    )
