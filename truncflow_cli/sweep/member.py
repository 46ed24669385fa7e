"""One member of a sweep: run it unless it is there, and say how it ended. The same wherever it is done."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from truncflow_cli import api, runfile
from truncflow_cli.api import Plan, Resumption
from truncflow_cli.errors import RunFailed, UserError
from truncflow_cli.saved_state import Chunk
from truncflow_cli.signals import undisturbed
from truncflow_cli.sweep.grid import Member
from truncflow_cli.sweep.plan import Source
from truncflow_cli.sweep.table import Row, columns_of

#: complete, failed and interrupted are what the run file says; refused is a run that could not start.
MemberStatus = Literal["complete", "failed", "interrupted", "refused"]

#: Seconds that a run may take to end in good order once it has been told to stop.
GRACE = 8.0

#: A worker whose last member took fewer seconds than this has its next one before it asks: it does not wait for the
#: leader then. Once a member takes longer, the next one goes back: none waits behind a long one while a worker is free.
SHORT = 1.0

#: Called with how far a run is, from 0 to 1; may raise KeyboardInterrupt to stop it.
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Result:
    """How a member ended.

    Attributes:
        index: the member's place in the sweep.
        status: see ``MemberStatus``.
        exit_code: what ``truncflow run`` of this member alone would have ended with.
        message: why it is not complete; empty if it is.
        row: columns of its run file, as ``report --csv`` has them; empty if there is no run file.
        fresh: whether it was run now, not found complete.
        seconds: wall time that all of it took here.
    """

    index: int
    status: MemberStatus
    exit_code: int
    message: str = ""
    row: Row | None = None
    fresh: bool = True
    seconds: float = 0.0


@dataclass(frozen=True)
class Underway:
    """How far a member is: its place in the sweep, and the share of its flow time that is behind it, from 0 to 1."""

    index: int
    share: float


@dataclass(frozen=True)
class Returned:
    """A member, by its place, that its worker had ahead and has not begun: the one before it turns out to be long."""

    index: int


#: What there is to say of members.
Report = Underway | Result
#: What a worker has to say to its leader.
Message = Report | Returned


def perform(source: Source, member: Member, progress: Progress = lambda share: None) -> Result:
    """Run a member unless its finished run file is there; whatever goes wrong is in the result.

    A file that an earlier sweep has left unfinished is gone on with, or, where that cannot be, run anew; a file of
    another config or other data is left alone, and the member refused.
    """
    began = time.monotonic()
    plan: Plan | None = None
    fresh = False

    def result(status: MemberStatus, code: int, message: str = "", **more: Any) -> Result:
        return Result(member.index, status, code, message, seconds=time.monotonic() - began, **more)

    try:
        plan = api.prepare(source.experiment(member.overrides), source.folder / member.file_name)
        row, unfinished = _look(plan)
        if row is not None:
            return result("complete", 0, row=row, fresh=False)
        fresh = True
        outcome = api.execute(
            plan,
            force=unfinished,
            command=source.command,
            watch=_watch(plan, progress),
            resume=_resumption(plan) if unfinished else None,
            one_of_many=True,
        )
        if outcome.record is not None:
            row = columns_of(outcome.record)
        elif (written := outcome.open()) is None:
            return result(*_ended(outcome.error))
        else:
            with written:
                row = columns_of(written)
        has_ended = row["status"] == "complete"  # also if it was told to stop while its file was being closed
        return result(*_ended(None if has_ended else outcome.error), row=row)
    except UserError as error:
        return result("refused", 2, _of_a_member(str(error)))
    except MemoryError:
        return result("refused", 2, "out of memory")
    except KeyboardInterrupt:
        with undisturbed():
            with contextlib.suppress(UserError):
                if plan is not None and (row := _look(plan)[0]) is not None:
                    return result("complete", 0, row=row, fresh=fresh)
            return result("interrupted", 130, "interrupted")
    except Exception as defect:
        text = f"{type(defect).__name__}: {defect}".partition("\n")[0]
        return result("failed", 1, f"a defect of truncflow, {text}")


def _of_a_member(message: str) -> str:
    """Return a message of `truncflow run` under the names that things have in a sweep, which lacks some options."""
    message = message.removeprefix("--set ")
    return re.sub(r"(?<![-\w`])--(force|resume)\b", r"`truncflow run --\1`", message)


def _ended(error: RunFailed | KeyboardInterrupt | None) -> tuple[MemberStatus, int, str]:
    if error is None:
        return "complete", 0, ""
    if isinstance(error, RunFailed):
        return "failed", 3, f"failed at s = {error.s:.6g}: {error}"
    return "interrupted", 130, "interrupted"


def _look(plan: Plan) -> tuple[Row | None, bool]:
    """Return the columns of the finished run file if it is there, and whether one of the same config is, unfinished.

    Raises:
        UserError: something else is there.
    """
    try:
        if (found := api.finished_run(plan)) is None:
            return None, False
        with found:
            return columns_of(found), False
    except UserError:
        with contextlib.suppress(UserError), runfile.open_run(plan.target) as found:
            if found.config == plan.config and found.status != "complete":
                return None, True
        raise


def _resumption(plan: Plan) -> Resumption | None:
    """Return how to go on with an unfinished file, None if it has to be run anew."""
    try:
        found = api.resumption(plan)
    except UserError:  # begun by another version, on another machine, from other data, ...
        return None
    return found if isinstance(found, Resumption) else None


def _watch(plan: Plan, progress: Progress) -> Callable[[Chunk], None]:
    s_end = plan.built.problem.settings.s_end
    return lambda chunk: progress(min(1.0, chunk.s / s_end) if s_end else 1.0)
