"""Says that the solver is being compiled, which takes seconds and happens once for a machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from truncflow_cli.cli.guard import say

if TYPE_CHECKING:
    from numba.core.event import Event

_KEPT = "compiling the solver, once for this machine (about fifteen seconds)"
_NOT_KEPT = (
    "compiling the solver (about fifteen seconds), anew in each process because no folder for the result "
    "can be written; set NUMBA_CACHE_DIR to one that can"
)


@contextmanager
def announced() -> Iterator[None]:
    """Say it on stderr the first time that something is compiled inside this context.

    numba tells when it really compiles; code that it finds on disk goes unmentioned.
    """
    from numba.core.event import Listener, install_listener

    class Announcement(Listener):  # type: ignore[misc]  # no types of numba are used
        """Speaks once."""

        def __init__(self) -> None:
            self._made = False

        def on_start(self, event: Event) -> None:
            if not self._made:
                self._made = True
                say(_KEPT if event.data["dispatcher"].stats.cache_path else _NOT_KEPT)

        def on_end(self, event: Event) -> None:
            pass

    with install_listener("numba:compile", Announcement()):
        yield
