"""What the `general` flow goes on from: its pins, the sums of its cells and its deadlines as arrays, and back."""

from __future__ import annotations

import numpy as np

from truncflow_cli.flows.general_cells import CellSums
from truncflow_cli.flows.general_groups import Group
from truncflow_cli.kernels import network as compiled
from truncflow_cli.kernels.network import Watch
from truncflow_cli.problem import Array
from truncflow_cli.saved_state import Saved, State, integer


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


def cells_state(sums: CellSums) -> State:
    """Return the sums of the cells as they have been summed up, in their order."""
    cells = sums.cells
    leaves, updates = (int(cells.tally[k]) for k in (compiled.LEAVES, compiled.UPDATES))
    return {"S": cells.S[..., :leaves].copy(), "Y": cells.Y[..., :leaves].copy(), "updates": integer(updates)}


def restore_cells(sums: CellSums, pins: list[Group], saved: Saved) -> None:
    """Find the cells of all points, and take back their sums as ``cells_state`` has given them.

    Raises:
        UserError: they do not fit.
    """
    dim = sums.cloud.x.shape[1]
    S = saved.array("S", "f8", (None, None, None))
    sums.gather(pins, together=S.shape[0] > 1)
    leaves = int(sums.cells.tally[compiled.LEAVES])
    frame = int(sums.cells.tally[compiled.FRAME])
    if S.shape != (frame, frame, leaves):
        raise saved.misfit("S", str(S.shape))
    sums.cells.S[..., :leaves] = S
    sums.cells.Y[..., :leaves] = saved.array("Y", "f8", (dim, frame, leaves))
    sums.cells.tally[compiled.UPDATES] = saved.integer("updates")


def deadlines_state(watch: Watch) -> State:
    """Return the deadlines: where a step is cut depends on them in its last bits."""
    return {"due": watch.due, "way": watch.way}


def restore_deadlines(watch: Watch, saved: Saved) -> None:
    """Take back what ``deadlines_state`` has given.

    Raises:
        UserError: it does not fit.
    """
    watch.due[:] = saved.array("due", "f8", watch.due.shape)
    watch.way[:] = saved.array("way", "f8", watch.way.shape)
    for layer in range(watch.size.size):
        soon = np.flatnonzero(watch.due[layer] <= watch.way[layer, compiled.HORIZON])
        watch.size[layer] = soon.size
        watch.soon[layer, : soon.size] = soon
