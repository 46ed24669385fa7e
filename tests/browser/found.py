"""What a worker does: it has a browser, takes pages, and says what it found wrong with each."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from tests.browser.pages import write


@dataclass(frozen=True)
class Found:
    """What the checks of a page came to.

    Attributes:
        name: the page.
        size: bytes of it.
        seconds: time that the checks took.
        checks: how many there were.
        wrong: what failed, a sentence each.
    """

    name: str
    size: int
    seconds: float
    checks: int
    wrong: tuple[str, ...]

    def text(self) -> str:
        """Return it in a line, and one more for each failure."""
        head = f"{self.name}: {self.size / 1e6:.2f} MB, {self.seconds:.1f} s"
        return "\n".join([head, *(f"  {found}" for found in self.wrong)])


def work(tasks: SimpleQueue[str | None], results: Connection, folder: Path, keep: bool) -> None:
    """Check pages, by name, until None comes, and send a ``Found`` for each."""
    from selenium.common.exceptions import WebDriverException

    from tests.browser.chromium import browser

    try:
        with browser() as driver:
            while (name := tasks.get()) is not None:
                results.send(_found(driver, name, write(name, folder), keep))
    except WebDriverException as error:
        sys.exit(f"error: Chromium does not work here: {str(error.msg).partition(chr(10))[0]}")


def _found(driver: object, name: str, page: Path, keep: bool) -> Found:
    from selenium.common.exceptions import WebDriverException

    from tests.browser.checks import CHECKS, DESKTOP, PHONE
    from tests.browser.chromium import screenshot, view

    began = time.monotonic()
    wrong: list[str] = []
    for check in CHECKS:
        try:
            wrong += [f"{check.__name__}: {found}" for found in check(driver, page)]
        except WebDriverException as error:
            wrong.append(f"{check.__name__}: {str(error.msg).partition(chr(10))[0]}")
    seconds = time.monotonic() - began
    if keep:
        for look, width, scheme in (("phone", PHONE, "light"), ("desktop", DESKTOP, "dark")):
            view(driver, page, width, prefers_color_scheme=scheme)
            screenshot(driver, page.with_name(f"{page.stem}-{look}.png"))
    return Found(name, page.stat().st_size, seconds, len(CHECKS), tuple(wrong))
