"""New certificates for a run file that is finished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from truncflow_cli.certificate import Certificate
from truncflow_cli.runfile import contents
from truncflow_cli.runfile.atomic import WorkingFile, explained, sync_folder
from truncflow_cli.signals import undisturbed


def write_certificates(path: Path, certificates: Sequence[Certificate]) -> None:
    """Write certificates in place of those that a finished run file has, in one step.

    Args:
        path: a run file that nobody is writing.
        certificates: what it shall have.

    Raises:
        UserError: the file is being written by a run, or the disk does not take it; the file is unchanged.
    """
    with undisturbed(), explained(path):
        file = WorkingFile(path)
        try:
            file.open_copy()
            file.reserve(contents.certificates_bytes(certificates))
            contents.remove_certificates(file.sheet)
            contents.write_certificates(file.sheet, certificates)
            file.close()
            file.publish()
            sync_folder(file.target.parent)
        finally:
            file.discard()
