"""CSV on stdout that loses no digit."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any


def print_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table with a header; floats with as many digits as give them back exactly.

    Nothing is printed if already the first row cannot be had.
    """
    rows = iter(rows)
    first = list(islice(rows, 1))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(header)
    table.writerows(first)
    table.writerows(rows)
