"""From exceptions to exit codes and one sentence on stderr; the same for every command."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import typer

from truncflow_cli.errors import RunFailed, UserError
from truncflow_cli.signals import Terminated


class ExitCode(IntEnum):
    """What scripts can rely on."""

    DONE = 0
    DEFECT = 1
    USAGE = 2
    FAILED = 3
    VIOLATED = 4
    INTERRUPTED = 130
    TERMINATED = 143


#: What the dynamic linker and the system say when there is no memory for a library.
_SHORTAGES = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory")


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command end with the right exit code, and without a traceback unless its ``debug`` is true."""

    @functools.wraps(command)
    def guarded_command(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except (typer.Exit, SystemExit):
            raise
        except BrokenPipeError:
            drop_stdout()
            raise typer.Exit(ExitCode.DONE) from None
        except BaseException as error:
            if kwargs.get("debug"):
                import traceback  # takes time, and is seldom wanted

                traceback.print_exc()
            raise typer.Exit(explain(error)) from None

    return guarded_command


def explain(error: BaseException) -> ExitCode:
    """Say on stderr what went wrong, and return the exit code for it."""
    if isinstance(error, UserError):
        say(f"error: {error}")
        return ExitCode.USAGE
    if isinstance(error, RunFailed):
        say(f"error: the run failed at s = {error.s:.6g}: {error}")
        return ExitCode.FAILED
    if isinstance(error, Terminated):
        say("terminated")
        return ExitCode.TERMINATED
    if isinstance(error, KeyboardInterrupt):
        say("interrupted")
        return ExitCode.INTERRUPTED
    if _is_shortage(error):
        say("error: out of memory")
        return ExitCode.USAGE
    if isinstance(error, OSError) and error.strerror:
        say(f"error: {error.filename or 'stdout'}: {error.strerror.lower()}")
        return ExitCode.USAGE
    defect = f"{type(error).__name__}: {error}".partition("\n")[0]
    say(f"error: a defect of truncflow, {defect} (the same command with --debug shows where)")
    return ExitCode.DEFECT


def _is_shortage(error: BaseException | None) -> bool:
    """Whether memory has run out, also while a library was loaded, which the libraries say in their own ways."""
    while error is not None:
        if isinstance(error, MemoryError) or any(words in str(error) for words in _SHORTAGES):
            return True
        error = error.__cause__ or error.__context__
    return False


def say(message: str) -> None:
    """Print a line for the user, on stderr; above the progress bar while there is one.

    That nobody can read it (a full disk, a closed pipe) is no reason to end a run.
    """
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()


def drop_stdout() -> None:
    """Let what is still buffered go nowhere, once nobody reads stdout any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
