"""A progress bar on stderr, where that is a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from truncflow_cli.chunk import Chunk


class ProgressBar:
    """Shows s, the events so far and the loss while a run goes on; a context manager."""

    def __init__(self, s_end: float) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("s = {task.completed:.4g} of {task.total:.4g}"),
            TextColumn("{task.fields[events]:,} events"),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._events = 0
        self._loss = ""
        self._task = self._bar.add_task("", total=s_end, events=self._events, loss=self._loss)

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def watch(self, chunk: Chunk) -> None:
        """Show how far a run has come."""
        self._events += len(chunk.events)
        if "loss" in chunk.samples and len(chunk.samples["loss"]):
            self._loss = f"loss {chunk.samples['loss'][-1]:.4g}"
        self._bar.update(self._task, completed=chunk.s, events=self._events, loss=self._loss)


def is_wanted() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()
