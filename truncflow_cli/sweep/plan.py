"""A sweep that is ready to start: its config, its members, its folder, everything validated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from truncflow_cli import config
from truncflow_cli.config import Experiment
from truncflow_cli.config.document import Document
from truncflow_cli.config.experiment import parsed
from truncflow_cli.errors import UserError
from truncflow_cli.sweep.grid import Axis, Member, members, normal_key, parse_axes


@dataclass(frozen=True)
class Source:
    """What all members share, as it is sent to every worker.

    Attributes:
        document: what the config file says; read once, so that editing it meanwhile does not split a sweep in two.
        base_dir: folder that its data files are relative to, absolute.
        settings: ``--set`` options for all members.
        folder: where the run files go, absolute.
        command: the command, for the run files.
    """

    document: Document
    base_dir: Path
    settings: tuple[str, ...]
    folder: Path
    command: str

    def experiment(self, overrides: Sequence[str]) -> Experiment:
        """Return the validated config of a member; the same as ``truncflow run`` with these overrides has.

        Raises:
            UserError: it is not valid.
        """
        return config.of_document(self.document, self.base_dir, (*self.settings, *overrides))


@dataclass(frozen=True)
class Sweep:
    """What is to be run.

    Attributes:
        name: the name that all runs share.
        source: what all members share.
        folder: where the run files go, as the user named it.
        axes: what changes.
        members: the runs, in order.
    """

    name: str
    source: Source
    folder: Path
    axes: tuple[Axis, ...]
    members: tuple[Member, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Every swept key, in the order of the options."""
        return tuple(key for axis in self.axes for key in axis.keys)

    @property
    def table_path(self) -> Path:
        """The table of the sweep."""
        return self.folder / "sweep.csv"


def plan_sweep(
    path: Path,
    grids: Sequence[str],
    zips: Sequence[str] = (),
    settings: Sequence[str] = (),
    folder: Path | None = None,
    command: str = "",
) -> Sweep:
    """Read a config, span the members and validate each of them.

    Args:
        path: the config.
        grids, zips: ``--grid`` and ``--zip`` options, "key.path=values" each.
        settings: ``--set`` options, the same for all members.
        folder: where the run files go; default runs/{name}-sweep.
        command: the command, for the run files.

    Raises:
        UserError: an option or a member is not valid; the message is that of ``--set``, under the option's name.
    """
    axes = parse_axes(grids, zips)
    _check_settings(settings, [key for axis in axes for key in axis.keys])
    document = parsed(path)
    given = document.override(settings).plain().get("name")
    name = given if isinstance(given, str) else path.stem
    if given is None:
        settings = (*settings, f"name={json.dumps(name, ensure_ascii=False)}")
    folder = folder if folder is not None else Path("runs") / f"{name}-sweep"
    source = Source(document, path.absolute().parent, tuple(settings), folder.absolute(), command)
    sweep = Sweep(name, source, folder, axes, tuple(members(axes)))
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: not a folder; -o takes the folder that the run files go to")
    _validate(sweep, len(grids))
    return sweep


def _check_settings(settings: Sequence[str], keys: Sequence[str]) -> None:
    """Refuse a --set that the sweep would silently overrule."""
    for setting in settings:
        key = normal_key(setting.partition("=")[0])
        if swept := [other for other in keys if f"{key}.".startswith(f"{other}.")]:
            raise UserError(f"--set {key}: {swept[0]} is swept, which would overrule it")


def _validate(sweep: Sweep, n_grids: int) -> None:
    """Validate every member, so that nothing runs if one of them cannot.

    The values along each axis are met first, with everything else as in the first member: a slip in a long range is
    then told at once.
    """
    for member in sorted(sweep.members, key=lambda member: sum(map(bool, member.place)) > 1):
        try:
            sweep.source.experiment(member.overrides)
        except UserError as error:
            raise _as_of_the_sweep(error, sweep, member, n_grids) from error


def _as_of_the_sweep(error: UserError, sweep: Sweep, member: Member, n_grids: int) -> UserError:
    """Return the error under the name of the option that the user gave, or with the member it is about."""
    where = f" (in the run {member.name})" if len(sweep.keys) > 1 else ""
    options = ["--grid"] * n_grids + ["--zip"]
    for axis, option in zip(sweep.axes, options, strict=False):
        for key in axis.keys:
            if str(error).startswith(f"--set {key}="):
                return UserError(f"{option} {str(error).removeprefix('--set ')}{where}")
    if member.index == 0:  # then it is probably nothing that the sweep changes
        return error
    return UserError(f"{error} (in the run {member.name})")
