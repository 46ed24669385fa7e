"""What the `general` flow goes on from: its pins as arrays, and back."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.general_groups import Group
from truncflow_cli.model.problem import Array
from truncflow_cli.model.state import Saved, State


def pins_state(pins: list[Group], weight: Array) -> State:
    """Return the pinned surfaces: all members, a row each, how many each pin has, and the pins' weights."""
    members = np.array([key for group in pins for key in group], dtype=np.int64).reshape(-1, 3)
    return {
        "member": members,
        "members": np.array([len(group) for group in pins], dtype=np.int64),
        "weight": weight,
    }


def restored_pins(shape: tuple[int, ...], saved: Saved) -> tuple[list[Group], Array]:
    """Return pins and weights as ``pins_state`` has given them, for a pattern of this shape (M, L, Q).

    Raises:
        UserError: they do not fit.
    """
    members = saved.array("member", "i8", (None, 3), (0, max(shape)))
    size = saved.array("members", "i8", (None,), (1, len(members) + 1))
    weight = saved.array("weight", "f8", size.shape)
    if size.sum() != len(members) or (members >= np.array(shape)).any():
        raise saved.misfit("member")
    keys = [(int(i), int(layer), int(r)) for i, layer, r in members]
    ends = np.cumsum(size).tolist()
    return [tuple(keys[end - n : end]) for end, n in zip(ends, size.tolist(), strict=True)], weight
