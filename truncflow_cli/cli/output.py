"""Results on stdout: JSON that every parser takes, and CSV that loses no digit."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any


def print_json(value: Any) -> None:
    """Print one JSON value; numbers that JSON does not have (nan, inf) become null."""
    text = json.dumps(_json_value(value), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:  # not every encoding has ℓ, and no encoding has every file name
        text = json.dumps(_json_value(value), indent=2, allow_nan=False)
    sys.stdout.write(f"{text}\n")


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


def _json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json_value(entry) for key, entry in value.items()}
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return _json_value(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return [_json_value(entry) for entry in value]
