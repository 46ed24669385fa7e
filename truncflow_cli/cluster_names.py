"""What the clusters are called. A run file keeps their names among its notes, as one text."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

#: Names that a run file keeps.
MOST = 1000


def joined_names(names: Sequence[str]) -> str:
    """Return names with commas between them, quoted as in CSV where they hold what would be taken for more than one."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(map(_cell, names[:MOST])) + more


def split_names(text: str) -> list[str]:
    """Return the names that ``joined_names`` has joined."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]


def cluster_names(notes: Mapping[str, str | float], n: int) -> list[str]:
    """Return the names of n clusters, by the notes of a problem or run; each is its index where they give none."""
    names = split_names(str(notes.get("clusters", "")))
    return names if len(names) == n else [str(k) for k in range(n)]


def called(names: Sequence[str]) -> list[str]:
    """Return what a sentence calls clusters of these names, in order.

    That is the name; "cluster 3" where it is the index, and "cluster 2 '3'" where it could be taken for another's.
    """
    return [
        f"cluster {k}" if name in ("", str(k)) else f"cluster {k} '{name}'" if name.isdecimal() else name
        for k, name in enumerate(names)
    ]


def _cell(name: str) -> str:
    if "," not in name and not name.startswith('"'):
        return name
    return '"' + name.replace('"', '""') + '"'
