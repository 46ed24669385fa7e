"""The point that a run can go on from, inside its file: the solver's whole state, and how much the file had then.

The state is one row of bytes: the length of a header (8 bytes, little endian), the header (JSON: name, type and shape
of each array), and the arrays one after the other. A digest is over it and over everything that is said about it, so
that a damaged one is never gone on from.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from truncflow_cli.errors import UserError
from truncflow_cli.runfile import checks
from truncflow_cli.runfile.handles import Sheet
from truncflow_cli.runfile.origin import Origin
from truncflow_cli.saved_state import State

GROUP: Final = "checkpoint"

_STATE: Final = f"{GROUP}/state"

_DESCRIPTION: Final = "what `truncflow run --resume` goes on from: the solver's state, for the program itself"
_STATE_DESCRIPTION: Final = "arrays of the solver, packed: length of a header, header (JSON), arrays"

#: Types that a state can have.
_TYPES: Final = frozenset({"<f8", "<i8", "<i4", "|u1"})

_HEADER_LENGTH: Final = 8

#: HDF5's own structures for the group.
_OVERHEAD: Final = 1 << 16


@dataclass(frozen=True)
class Checkpoint:
    """A point to go on from.

    Attributes:
        state: packed, see ``packed``.
        s: flow time.
        saved: saved times that the file had.
        events: events that it had.
        origin: where the state comes from.
    """

    state: NDArray[np.uint8]
    s: float
    saved: int
    events: int
    origin: Origin

    @property
    def room(self) -> int:
        """An upper bound of the bytes that it takes in a file."""
        return int(self.state.nbytes) + _OVERHEAD

    def facts(self) -> dict[str, Any]:
        """Return everything but the state, by name."""
        return {"s": self.s, "saved": self.saved, "events": self.events, **asdict(self.origin)}

    def digest(self) -> str:
        """Return the check sum over all of it."""
        digest = hashlib.sha256(json.dumps(self.facts(), sort_keys=True).encode())
        digest.update(self.state.data)
        return digest.hexdigest()


def packed(state: State) -> NDArray[np.uint8]:
    """Return a state as a row of bytes."""
    arrays = {name: np.asarray(array) for name, array in state.items()}
    for name, array in arrays.items():
        if array.dtype.str not in _TYPES:
            raise ValueError(f"{name}: a state cannot have type {array.dtype}")
    header = json.dumps([(name, array.dtype.str, array.shape) for name, array in arrays.items()]).encode()
    header = len(header).to_bytes(_HEADER_LENGTH, "little") + header
    row = np.empty(len(header) + sum(array.nbytes for array in arrays.values()), dtype=np.uint8)
    row[: len(header)] = np.frombuffer(header, dtype=np.uint8)
    end = len(header)
    for array in arrays.values():  # straight into the row: near lists can be as long as the points are many
        start, end = end, end + array.nbytes
        np.ndarray(array.shape, array.dtype, row, start)[...] = array
    return row


def unpacked(row: NDArray[np.uint8]) -> State:
    """Return the state that ``packed`` has made a row of bytes of.

    Raises:
        ValueError: the row is not one.
    """
    data = row.tobytes()
    start = _HEADER_LENGTH + int.from_bytes(data[:_HEADER_LENGTH], "little")
    state: State = {}
    for name, kind, shape in json.loads(data[_HEADER_LENGTH:start]):
        if kind not in _TYPES or not all(isinstance(length, int) and length >= 0 for length in shape):
            raise ValueError(f"{name} is {kind} {shape}")
        count = math.prod(shape)
        state[str(name)] = np.frombuffer(data, kind, count, start).reshape(shape)
        start += count * np.dtype(kind).itemsize
    if start != len(data):
        raise ValueError("it is not as long as it says")
    return state


def write(sheet: Sheet, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, in a file that has none or has one of the same length."""
    if GROUP not in sheet:
        sheet.make_group(GROUP)
        sheet.make_dataset(_STATE, np.dtype(np.uint8), checkpoint.state.shape)
        sheet.put(_STATE, "description", _STATE_DESCRIPTION)
    facts = {"description": _DESCRIPTION, **checkpoint.facts(), "sha256": checkpoint.digest()}
    sheet.put_all(GROUP, facts.items())
    sheet.write(_STATE, checkpoint.state)


def remove(file: h5py.File) -> None:
    """Take the checkpoint out of a file, if it has one."""
    if GROUP in file:
        del file[GROUP]


def read(path: Path, file: h5py.File) -> Checkpoint | None:
    """Return the checkpoint of a file; None if it has none.

    Raises:
        UserError: it is damaged.
    """
    if GROUP not in file:
        return None
    with checks.readable(path, GROUP):
        group = checks.child(path, file, GROUP, h5py.Group)
        dataset = checks.child(path, file, _STATE, h5py.Dataset)
        facts = {name: checks.plain(value) for name, value in group.attrs.items()}
        checks.check_unpacked(path, [dataset])
        if dataset.ndim != 1 or dataset.dtype != np.uint8:
            raise UserError(f"{path}: {_STATE} has type {dataset.dtype} and shape {dataset.shape}")
        origin = Origin(**{name: str(facts.get(name, "")) for name in Origin.__dataclass_fields__})
        s, saved, events = float(facts["s"]), int(facts["saved"]), int(facts["events"])
        checkpoint = Checkpoint(np.asarray(dataset[()]), s, saved, events, origin)
        if facts["sha256"] != checkpoint.digest():
            raise UserError(
                f"{path}: its checkpoint is damaged (it is not what was written), so that the run cannot go on "
                "from it; --force starts again from the beginning"
            )
        return checkpoint
