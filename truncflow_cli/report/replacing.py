"""Writing a file in one step: the old one stays until the new one is whole."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from truncflow_cli.errors import UserError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give the path of a hidden file to write, which takes the target's name when the block ends well.

    The target's folder is made if it is missing.

    Raises:
        UserError: the target cannot be written.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(target)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"cannot write {target}: {target.parent} is not a folder") from error
    except OSError as error:
        raise UserError(f"cannot write {target}: {(error.strerror or str(error)).lower()}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
