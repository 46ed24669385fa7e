"""The live table of a sweep on stderr, where that is a terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from truncflow_cli.cli.progress import is_wanted
from truncflow_cli.sweep.member import Report, Result, Underway

if TYPE_CHECKING:
    from rich.console import RenderableType

    from truncflow_cli.sweep.plan import Sweep

#: At most so many runs that are under way, and runs that went wrong, have a line.
_LINES = 8
_BAR = 16


@contextmanager
def shown(sweep: Sweep, workers: int, where: str) -> Iterator[Callable[[Report], None]]:
    """Show how many runs are done, which are under way, what went wrong, and the time left.

    Gives what is to be called with each report of a worker; nothing is shown where nobody looks.
    """
    if not is_wanted():
        yield lambda report: None
        return
    from rich.console import Console
    from rich.live import Live

    state = _State(sweep, workers, where)
    with Live(
        get_renderable=state.render, console=Console(stderr=True), refresh_per_second=4, transient=True
    ):
        yield state.take


class _State:
    """How far a sweep is."""

    def __init__(self, sweep: Sweep, workers: int, where: str) -> None:
        self._sweep, self._workers, self._where = sweep, workers, where
        self._began = time.monotonic()
        self._underway: dict[int, float] = {}
        self._results = {"complete": 0, "failed": 0, "refused": 0, "interrupted": 0}
        self._found = 0
        self._seconds = 0.0
        self._wrong: deque[str] = deque(maxlen=_LINES)

    def take(self, report: Report) -> None:
        """Note a report of a worker."""
        if isinstance(report, Underway):
            self._underway[report.index] = report.share
        elif isinstance(report, Result):
            self._underway.pop(report.index, None)
            self._results[report.status] += 1
            self._found += not report.fresh
            self._seconds += report.seconds if report.fresh else 0.0
            if report.exit_code:
                self._wrong.append(
                    f"{report.status}: {self._sweep.members[report.index].name}: {report.message}"
                )

    def _seconds_left(self) -> float | None:
        """Return about how long the rest takes, None before the first run has ended."""
        done = sum(self._results.values())
        fresh = done - self._found
        if not fresh:
            return None
        rest = len(self._sweep.members) - done - sum(dict(self._underway).values())
        return max(0.0, rest) * self._seconds / fresh / self._workers

    def render(self) -> RenderableType:
        """Return what is shown."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        done, total = sum(self._results.values()), len(self._sweep.members)
        left = self._seconds_left()
        counts = [f"{self._results['complete']:,} complete"]
        if self._found:
            counts[0] += f" ({self._found:,} already there)"
        counts += [f"{self._results[name]:,} {name}" for name in ("failed", "refused") if self._results[name]]
        head = Table.grid(padding=(0, 2))
        head.add_row(
            _bar(done / total),
            f"{done:,} of {total:,} runs",
            ", ".join(counts),
            f"{_clock(time.monotonic() - self._began)} so far",
            f"{_clock(left)} left" if left is not None else "",
        )
        lines = Table.grid(padding=(0, 2))
        underway = sorted(dict(self._underway).items())
        for index, share in underway[:_LINES]:
            lines.add_row("  " + _bar(share), f"{share:4.0%}", Text(self._sweep.members[index].name))
        more = f"  ... and {len(underway) - _LINES} more under way" if len(underway) > _LINES else ""
        wrong = [Text(line, style="red", no_wrap=True, overflow="ellipsis") for line in list(self._wrong)]
        title = Text(
            f"{self._sweep.name}: {self._where}, into {self._sweep.folder}", no_wrap=True, overflow="ellipsis"
        )
        return Group(title, head, lines, *([Text(more)] if more else []), *wrong)


def _bar(share: float) -> str:
    filled = round(_BAR * share)
    return "━" * filled + "─" * (_BAR - filled)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
