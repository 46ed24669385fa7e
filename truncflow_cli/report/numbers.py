"""Numbers as people read them."""

from __future__ import annotations

import math


def short(value: float) -> str:
    """Return a number in at most about ten characters, four significant digits."""
    if math.isnan(value):
        return "-"
    if value == 0.0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        text = f"{value:.4g}"
        return text if "e" not in text else f"{value:.0f}"
    return f"{value:.3g}"


def share(part: float, whole: float) -> str:
    """Return part/whole in percent, with more digits near 100, and as a fraction 1/n where it is small."""
    percent = 100.0 * part / whole
    if 0.0 < percent < 0.1:
        parts = whole / part
        return f"1/{parts:.0f}" if parts < 1e6 else f"1/{parts:.1e}"
    return f"{percent:.6g} %" if 99.9 < percent < 100.1 else f"{percent:.3g} %"


def count(number: int, noun: str) -> str:
    """Return "1 event", "2 events", "2 pairs of gloves"."""
    head, of, rest = noun.partition(" of ")
    return f"{number} {noun}" if number == 1 else f"{number} {head}s{of}{rest}"


def listing(words: list[str], most: int = 6) -> str:
    """Return "a", "a and b", "a, b and c", or "a, b and 9 more"."""
    if len(words) > most:
        return f"{', '.join(words[: most - 1])} and {len(words) - most + 1} more"
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""
