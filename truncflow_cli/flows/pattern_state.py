"""Which coordinates are untruncated, as a run goes on from it: eight in a byte."""

from __future__ import annotations

import numpy as np

from truncflow_cli.patterns import TRUNCATED, UNTRUNCATED
from truncflow_cli.problem import Pattern
from truncflow_cli.saved_state import Saved, State

#: Coordinates that are packed together: whole bytes.
PACKED = 1 << 16


def pattern_state(pattern: Pattern) -> State:
    """Return which coordinates are untruncated, eight in a byte; those that are pinned are known otherwise."""
    flat = pattern.reshape(-1)
    parts = [np.packbits(flat[k : k + PACKED] == UNTRUNCATED) for k in range(0, max(flat.size, 1), PACKED)]
    return {"untruncated": np.concatenate(parts)}


def restore_pattern(pattern: Pattern, saved: Saved) -> None:
    """Fill ``pattern`` with what ``pattern_state`` has given, pinned coordinates as truncated ones.

    Raises:
        UserError: it does not fit.
    """
    packed = saved.array("untruncated", "u1", (-(-pattern.size // 8),))
    bits = np.unpackbits(packed, count=pattern.size).reshape(pattern.shape)
    pattern[:] = np.where(bits == 1, UNTRUNCATED, TRUNCATED)
