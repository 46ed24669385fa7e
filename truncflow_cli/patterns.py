"""Where a coordinate of a point is: the numbers that stand for it in patterns."""

from __future__ import annotations

TRUNCATED = 0
UNTRUNCATED = 1
PINNED = 2
