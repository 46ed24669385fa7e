"""What lies where a run is to be written: nothing, this very run, one to go on with, or something else.

Going on is with a copy of the run file, cut back to what it had at its checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from truncflow_cli import config
from truncflow_cli.errors import UserError
from truncflow_cli.problem import Problem
from truncflow_cli.run_data import Run
from truncflow_cli.runfile import checks, contents, schema
from truncflow_cli.runfile.atomic import WorkingFile
from truncflow_cli.runfile.checkpoint import GROUP, Checkpoint, Origin, find_checkpoint, origin_of
from truncflow_cli.runfile.reader import open_run

if TYPE_CHECKING:
    from truncflow_cli.api import Plan

#: How many differing keys a message names.
_NAMED_KEYS = 3

#: The one key that may change when a run is gone on with: a finished run is then extended.
_S_END = "integrator.s_end"

#: Rows that are read at a time when a dataset is checked.
_ROWS = 1 << 16

#: Saved times nearer to one another than this, relative to s, are one and the same but for rounding.
_SAME_TIME = 1e-12


@dataclass(frozen=True)
class Earlier:
    """The run file that is to be gone on with, as it was when this was decided: its resolved config and status."""

    config: str
    status: str
    #: Where it ended, if it is complete and is to be extended.
    extended_at: float | None = None


@dataclass(frozen=True)
class Resumption:
    """How ``--resume`` goes about it."""

    #: What to solve: that of the plan; if a run has been extended, with the times that it has saved.
    problem: Problem
    #: What is done, for the user.
    note: str
    #: The run file to go on with; None to start at the beginning.
    earlier: Earlier | None = None
    #: Whether a file that cannot be gone on with is replaced by the same run from the beginning.
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
        found = open_run(plan.target)
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
    problem, target = plan.built.problem, plan.target
    if not target.exists():
        return Resumption(problem, "nothing there yet; starting at the beginning")
    found = open_run(target)
    difference = _difference(plan, found)
    if not difference and found.status == "complete":
        return found
    with found:
        extended_at = _extended_at(plan, found, difference) if difference else None
        checkpoint = find_checkpoint(target)
        if checkpoint is None and extended_at is None:
            note = "there is no checkpoint in it; starting again at the beginning"
            return Resumption(problem, note, replaces=True)
        if checkpoint is None:
            raise UserError(
                f"{target}: there is no final state in it to extend the run from; --force runs all of it again"
            )
        here = origin_of(problem)
        check_origin(target, checkpoint.origin, here)
        was_extended = extended_at if extended_at is not None else found.attrs.get("extended_at")
        if (
            was_extended is not None
        ):  # the times that it has saved up to there, and then those that it would save now
            end = float(was_extended)
            later = problem.s_save[problem.s_save > end * (1 + _SAME_TIME)]
            problem = replace(problem, s_save=np.concatenate([found.s[found.s <= end], later]))
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
    if _differing_keys(plan, found) != [_S_END]:
        raise UserError(
            f"{plan.target} exists {difference}; --resume goes on with the same run only "
            f"(or extends a finished one, by a larger {_S_END}); -o chooses another name"
        )
    before = float(found.settings["integrator"]["s_end"])
    its = f"{plan.target} has {_S_END} = {before:g}"
    if here < before:
        raise UserError(f"{its}, more than {here:g}; --resume can only make it larger")
    if found.status != "complete":
        raise UserError(
            f"{its} and is not finished (s = {found.s[-1]:.6g}); let it end first "
            f"(--resume --set {_S_END}={before:g}), then extend it"
        )
    if found.s[-1] < before:
        raise UserError(
            f"{plan.target} has stopped at s = {found.s[-1]:.6g}, where separation was lost: "
            f"a larger {_S_END} changes nothing"
        )
    return before


def _what_differs(there: Origin, here: Origin) -> str:
    """Say what may make the last digits of the rest differ from those of a run that was never stopped."""
    pairs = ((there.libraries, here.libraries), (there.machine, here.machine))
    changes = [f"{now} instead of {then}" for then, now in pairs if then != now]
    if not changes:
        return ""
    return f"; with {', and '.join(changes)}, so that the rest agrees within tolerance and not to the bit"


def _difference(plan: Plan, found: Run) -> str:
    """Say in what a run file is not of the plan; nothing if it is."""
    if found.config != plan.config:
        keys = _differing_keys(plan, found)
        named = (
            f" ({', '.join(keys[:_NAMED_KEYS])}{', ...' if len(keys) > _NAMED_KEYS else ''})" if keys else ""
        )
        return f"and was made with another config{named}"
    for name in ("x", "cluster", "y", "y_tilde"):
        if not np.array_equal(getattr(found, name), getattr(plan.built.problem, name)):
            return f"and was made from other data (data/{name} differs)"
    return ""


def _differing_keys(plan: Plan, found: Run) -> list[str]:
    """Return the dotted paths at which two configs differ; none if one is of another version of the program."""
    try:
        here, there = (
            config.load_text(text, found.path.parent, found.path.name).config.model_dump()
            for text in (plan.config, found.config)
        )
    except UserError:
        return []
    return list(_differing(here, there, ""))


def _differing(here: Any, there: Any, path: str) -> Iterator[str]:
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        for key in {**here, **there}:
            yield from _differing(here.get(key), there.get(key), f"{path}.{key}" if path else str(key))
    elif here != there:
        yield path


def reopen(file: WorkingFile, earlier: Earlier, config: str, origin: Origin) -> tuple[Run, Checkpoint]:
    """Make the working file a copy of the target, cut back to its checkpoint, ready to be gone on with.

    ``file`` is locked, and not open; ``earlier`` was looked at without the lock; ``config`` and ``origin`` are those of
    the run that goes on. Returns the run as far as the target has it (its file is closed), and the checkpoint.

    Raises:
        UserError: the target is not what it was, is damaged, or holds a state that this program cannot go on from.
        OSError: it cannot be copied.
    """
    target = file.target
    with open_run(target) as run:
        if run.config != earlier.config or run.status != earlier.status:
            raise UserError(f"{target}: another run has replaced it meanwhile; start this command again")
    found = find_checkpoint(target)
    if found is None:
        raise UserError(f"{target}: there is no checkpoint in it; --force starts again from the beginning")
    check_origin(target, found.origin, origin)
    file.open_copy()
    handles = file.handles
    with checks.readable(target, "its data"):
        handles.remove(GROUP)
        contents.make_certificates(handles)
        _cut_back(target, handles.file, found)
        run.attrs["resumed"] = int(run.attrs.get("resumed", 0)) + 1
        if earlier.extended_at is not None:
            run.attrs["extended_at"] = earlier.extended_at
            handles.remove(schema.CONFIG_PATH)
            contents.write_config(handles, config)
            handles.put("", extended_at=earlier.extended_at)
        handles.put("", resumed=run.attrs["resumed"])
    return run, found


def check_origin(path: Path, there: Origin, here: Origin) -> None:
    """Refuse to go on from a state of another program or another problem.

    Raises:
        UserError: it is one.
    """
    if (there.version, there.program) != (here.version, here.program):
        same = ", but not quite this one (its sources differ)" if there.version == here.version else ""
        raise UserError(
            f"{path}: the run was begun by truncflow {there.version}{same}; only the same program can go on with it "
            "to the bit. Use that one, or --force to start again from the beginning"
        )
    if there.backend != here.backend:
        raise UserError(
            f"{path}: the run was begun with integrator.backend {there.backend}, and this would be {here.backend}; "
            f"only the same goes on with it to the bit. Set integrator.backend={there.backend}, or --force starts again"
        )
    if there.problem != here.problem:
        raise UserError(
            f"{path}: the run was begun with other data or another initial state (a file or a table that the config "
            "names has changed); bring the old one back, or --force starts again from the beginning"
        )


def _cut_back(path: Path, file: h5py.File, found: Checkpoint) -> None:
    """Cut all streamed datasets back to the checkpoint, and read them once: damage has to show now."""
    rows = {"s": found.saved, "event": found.events}
    for item in schema.items(str(file.attrs["flow"])):
        if not item.required and item.path not in file:
            continue
        dataset = checks.child(path, file, item.path, h5py.Dataset)
        if item.streamed:
            if len(dataset) < rows[item.axes[0]]:
                raise UserError(f"{path}: damaged run file, {item.path} ends before the checkpoint")
            dataset.resize(rows[item.axes[0]], axis=0)
        for start in range(0, len(dataset) if dataset.ndim else 0, _ROWS):
            np.asarray(dataset[start : start + _ROWS])
