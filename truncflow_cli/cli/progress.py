"""Progress bars on stderr, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

    from truncflow_cli.saved_state import Chunk


def is_wanted() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def solving(s_end: float) -> Iterator[Callable[[Chunk], None]]:
    """Give what shows s, the events so far and the loss as chunks of a run come."""
    from rich.progress import TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("s = {task.completed:.4g} of {task.total:.4g}"),
        TextColumn("{task.fields[events]:,} events"),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
    )
    with _bar(*columns) as bar:
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
    """Give what shows how many frames of how many are drawn; nothing is shown where nobody looks."""
    if not is_wanted():
        yield lambda done, total: None
        return
    from rich.progress import TextColumn, TimeRemainingColumn

    counted = TextColumn("{task.completed:.0f} of {task.total:.0f} frames")
    with _bar(counted, TimeRemainingColumn()) as bar:
        task = bar.add_task("", total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _bar(*columns: ProgressColumn) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress

    return Progress(BarColumn(bar_width=24), *columns, console=Console(stderr=True), transient=True)
