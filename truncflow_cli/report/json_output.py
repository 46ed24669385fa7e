"""JSON that every parser takes: the one place where values are made ready for it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def clean(value: Any, leaf: Callable[[Any], Any] = lambda value: value) -> Any:
    """Return a value as JSON has it: arrays and tuples as lists, paths as text, null for nan and inf.

    ``leaf`` is applied to each text and each finite number, to round or escape it.
    """
    if isinstance(value, Mapping):
        return {str(key): clean(entry, leaf) for key, entry in value.items()}
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [clean(entry, leaf) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool):
        return value
    return leaf(str(value) if isinstance(value, Path) else value)


def print_json(value: Any) -> None:
    """Print one JSON value on stdout; numbers that JSON does not have (nan, inf) become null."""
    cleaned = clean(value)
    text = json.dumps(cleaned, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:  # not every encoding has ℓ, and no encoding has every file name
        text = json.dumps(cleaned, indent=2, allow_nan=False)
    sys.stdout.write(f"{text}\n")
