"""The names of the clusters as one text, which a run file keeps among its notes."""

from __future__ import annotations

import csv
from collections.abc import Sequence

#: Names that a run file keeps.
MOST = 1000


def joined_names(names: Sequence[str]) -> str:
    """Return names with commas between them, quoted as in CSV where they hold what would be taken for more than one."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(map(_cell, names[:MOST])) + more


def split_names(text: str) -> list[str]:
    """Return the names that ``joined_names`` has joined."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]


def _cell(name: str) -> str:
    if "," not in name and not name.startswith('"'):
        return name
    return '"' + name.replace('"', '""') + '"'
