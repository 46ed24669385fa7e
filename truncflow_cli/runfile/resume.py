"""What lies where a run is to be written: nothing, this very run, one to go on with, or something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from truncflow_cli import config, runfile
from truncflow_cli.errors import UserError
from truncflow_cli.problem import Problem
from truncflow_cli.run_data import Run
from truncflow_cli.runfile import Earlier

if TYPE_CHECKING:
    from truncflow_cli.api import Plan

#: How many differing keys a message names.
_NAMED_KEYS = 3

#: The one key that may change when a run is gone on with: a finished run is then extended.
_S_END = "integrator.s_end"

#: Saved times nearer to one another than this, relative to s, are one and the same but for rounding.
_SAME_TIME = 1e-12


@dataclass(frozen=True)
class Resumption:
    """How ``--resume`` goes about it.

    Attributes:
        problem: what to solve: that of the plan; if a run has been extended, with the times that it has saved.
        note: what is done, for the user.
        earlier: the run file to go on with; None to start at the beginning.
        replaces: whether a file that cannot be gone on with is replaced by the same run from the beginning.
    """

    problem: Problem
    note: str
    earlier: Earlier | None = None
    replaces: bool = False


def finished_run(plan: Plan) -> Run | None:
    """Return the finished run file of the same config and data that lies at the target, None if nothing does.

    Raises:
        UserError: something else lies there.
    """
    if not plan.target.exists():
        return None
    advice = "--force replaces it, -o chooses another name"
    try:
        found = runfile.open_run(plan.target)
    except UserError as error:
        raise UserError(f"{error}; {advice}") from error
    difference = _difference(plan, found)
    if not difference and found.status == "complete":
        return found
    with found:
        if not difference:
            difference = f"with status {found.status}, up to s = {found.s[-1]:.6g}"
            advice = f"--resume goes on with it, {advice}"
    raise UserError(f"{plan.target} exists {difference}; {advice}")


def resumption(plan: Plan) -> Resumption | Run:
    """Return how to go on with the run file at the target, or that file itself if there is nothing left to do.

    Raises:
        UserError: what lies there is not this run, or cannot be gone on with.
    """
    problem = plan.built.problem
    if not plan.target.exists():
        return Resumption(problem, "nothing there yet; starting at the beginning")
    found = runfile.open_run(plan.target)
    extended_at = None
    difference = _difference(plan, found)
    if difference:
        extended_at = _extended_at(plan, found, difference)
    elif found.status == "complete":
        return found
    with found:
        checkpoint = runfile.find_checkpoint(plan.target)
        if checkpoint is None and extended_at is None:
            note = "there is no checkpoint in it; starting again at the beginning"
            return Resumption(problem, note, replaces=True)
        if checkpoint is None:
            raise UserError(
                f"{plan.target}: there is no final state in it to extend the run from; --force runs all of it again"
            )
        here = runfile.origin_of(problem)
        runfile.check_origin(plan.target, checkpoint.origin, here)
        was_extended = extended_at if extended_at is not None else found.attrs.get("extended_at")
        if was_extended is not None:
            problem = replace(problem, s_save=_times_after(found, problem, float(was_extended)))
        note = f"going on from s = {checkpoint.s:.6g}"
        if extended_at is not None:
            note = (
                f"extending the finished run from s = {extended_at:.6g}; its {len(found.s)} saved times stay, "
                f"{len(problem.s_save) - len(found.s)} follow"
            )
        note += _what_differs(checkpoint.origin, here)
        return Resumption(problem, note, Earlier(found.config, found.status, extended_at))


def _extended_at(plan: Plan, found: Run, difference: str) -> float:
    """Return where the finished run ended that is to be extended.

    Raises:
        UserError: more differs than that s_end has gone up, or the run is not finished.
    """
    here = float(plan.experiment.config.integrator.s_end)
    there = _settings(found.config, found)
    if there is None or list(_differing_keys(_settings(plan.config, found), there)) != [_S_END]:
        raise UserError(
            f"{plan.target} exists {difference}; --resume goes on with the same run only "
            f"(or extends a finished one, by a larger {_S_END}); -o chooses another name"
        )
    before = float(there["integrator"]["s_end"])
    if here < before:
        raise UserError(
            f"{plan.target} has {_S_END} = {before:g}, more than {here:g}; --resume can only make it larger"
        )
    if found.status != "complete":
        raise UserError(
            f"{plan.target} has {_S_END} = {before:g} and is not finished (s = {found.s[-1]:.6g}); let it end first "
            f"(--resume --set {_S_END}={before:g}), then extend it"
        )
    if found.s[-1] < before:
        raise UserError(
            f"{plan.target} has stopped at s = {found.s[-1]:.6g}, where separation was lost: "
            f"a larger {_S_END} changes nothing"
        )
    return before


def _times_after(found: Run, problem: Problem, end: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the times that a run has saved up to where it once ended, and then those that it would save now."""
    later = problem.s_save[problem.s_save > end * (1 + _SAME_TIME)]
    return np.concatenate([found.s[found.s <= end], later])


def _what_differs(there: runfile.Origin, here: runfile.Origin) -> str:
    """Say what may make the last digits of the rest differ from those of a run that was never stopped."""
    pairs = ((there.libraries, here.libraries), (there.machine, here.machine))
    changes = [f"{now} instead of {then}" for then, now in pairs if then != now]
    if not changes:
        return ""
    return f"; with {', and '.join(changes)}, so that the rest agrees within tolerance and not to the bit"


def _difference(plan: Plan, found: Run) -> str:
    """Say in what a run file is not of the plan; nothing if it is."""
    if found.config != plan.config:
        return f"and was made with another config{_named_difference(plan, found)}"
    problem = plan.built.problem
    for name in ("x", "cluster", "y", "y_tilde"):
        if not np.array_equal(getattr(found, name), getattr(problem, name)):
            return f"and was made from other data (data/{name} differs)"
    return ""


def _named_difference(plan: Plan, found: Run) -> str:
    there = _settings(found.config, found)
    if there is None:
        return ""
    keys = list(_differing_keys(_settings(plan.config, found), there))
    return f" ({', '.join(keys[:_NAMED_KEYS])}{', ...' if len(keys) > _NAMED_KEYS else ''})" if keys else ""


def _settings(text: str, found: Run) -> dict[str, Any] | None:
    """Return the settings of a resolved config; None if it is of another version of the program."""
    try:
        return config.load_text(text, found.path.parent, found.path.name).config.model_dump()
    except UserError:
        return None


def _differing_keys(here: Any, there: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted paths at which two configs differ."""
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        for key in {**here, **there}:
            yield from _differing_keys(here.get(key), there.get(key), f"{path}.{key}" if path else str(key))
    elif here != there:
        yield path
