"""Going on with a run file: from a copy of it, cut back to what it had at its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from truncflow_cli.errors import UserError
from truncflow_cli.runfile import checkpoint, checks, contents, schema
from truncflow_cli.runfile.atomic import WorkingFile
from truncflow_cli.runfile.checkpoint import Checkpoint
from truncflow_cli.runfile.contents import Provenance
from truncflow_cli.runfile.origin import Origin
from truncflow_cli.runfile.reader import open_run

#: Rows that are read at a time when a dataset is checked.
_ROWS = 1 << 16


@dataclass(frozen=True)
class Earlier:
    """The run file that is to be gone on with, as it was when this was decided.

    Attributes:
        config: its resolved config.
        status: its status.
        extended_at: where it ended, if it is complete and is to be extended; else None.
    """

    config: str
    status: str
    extended_at: float | None = None


def reopen(file: WorkingFile, earlier: Earlier, config: str, origin: Origin) -> Checkpoint:
    """Make the working file a copy of the target, ready to be gone on with, and return where it stands.

    Args:
        file: locked, and not open.
        earlier: what the target was when it was looked at without the lock.
        config: the resolved config of the run that goes on.
        origin: where its numbers will come from.

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
    with checks.readable(target, "its data"):
        checkpoint.remove(file.h5)
        contents.remove_certificates(file.sheet)
        _cut_back(target, file.h5, found)
        if earlier.extended_at is not None:
            file.sheet.put("", "extended_at", earlier.extended_at)
            file.sheet.remove(schema.CONFIG_PATH)
            contents.write_config(file.sheet, config)
        file.sheet.put("", "resumed", int(file.h5.attrs.get("resumed", 0)) + 1)
    return found


def provenance_in(path: Path, file: h5py.File, config: str, attributes: Mapping[str, Any]) -> Provenance:
    """Return what a run file says of its run, which is kept when it is gone on with.

    Args:
        path: the file, for messages.
        file: it, open.
        config: the resolved config of the run that goes on.
        attributes: its root attributes.

    Raises:
        UserError: its notes cannot be read.
    """
    notes = checks.texts_and_numbers(path, file["notes"])
    warnings = str(notes.pop("warnings", "")).splitlines()
    return Provenance(config, attributes["seed"], attributes["command"], notes, warnings)


def find_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint of a run file; None if it has none.

    Raises:
        UserError: the file cannot be read, or its checkpoint is damaged.
    """
    with checks.readable(path, checkpoint.GROUP), h5py.File(path, "r", locking="best-effort") as file:
        return checkpoint.read(path, file)


def check_origin(path: Path, there: Origin, here: Origin) -> None:
    """Refuse to go on from a state of another program or another problem.

    Raises:
        UserError: it is one.
    """
    if (there.version, there.program) != (here.version, here.program):
        which = f"truncflow {there.version}"
        if there.version == here.version:
            which += ", but not quite this one (its sources differ)"
        raise UserError(
            f"{path}: the run was begun by {which}; only the same program can go on with it to the bit. "
            "Use that one, or --force to start again from the beginning"
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
        if item.path not in file:
            continue
        dataset = file[item.path]
        if item.streamed:
            if len(dataset) < rows[item.axes[0]]:
                raise UserError(f"{path}: damaged run file, {item.path} ends before the checkpoint")
            dataset.resize(rows[item.axes[0]], axis=0)
        for start in range(0, len(dataset) if dataset.ndim else 0, _ROWS):
            np.asarray(dataset[start : start + _ROWS])
