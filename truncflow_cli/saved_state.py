"""What a solver hands out: a stretch of the run, and the state that it can go on from.

A state is named arrays, given by whatever computes and taken back by it later, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.errors import UserError
from truncflow_cli.events import EventLog
from truncflow_cli.problem import Array

#: Arrays by name; a name is a path, "part 0/solver/flow/R".
State = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Chunk:
    """What a solver hands out while it runs: the run from where the last chunk ended up to flow time ``s``."""

    s: float
    #: Arrays with the saved times along the first axis, by their name in the run file's ``trajectory`` group: always
    #: "s", "loss", "loss_cluster", "energy_balance", and the state ("beta", "R", "truncated_fraction" or "B", "W").
    samples: dict[str, Array]
    #: Events in order of s, ``EVENT_DTYPE``; none lies at or before the last chunk's events.
    events: EventLog
    #: Running totals of work done (steps, Taylor orders, located roots, ...).
    counters: dict[str, int] = field(default_factory=dict)
    #: When the flow `general` took over from `separated`; None if it has not.
    switched_at: float | None = None
    #: Returns what ``solver.solve`` can go on from after this chunk. Its arrays may be the solver's own: they are good
    #: until the next chunk is asked for. None if the run fails after this chunk.
    state: Callable[[], State] | None = None

    @property
    def n_saved(self) -> int:
        """The number of saved times in it."""
        return len(self.samples.get("s", ()))


def under(name: str, state: Mapping[str, NDArray[Any]]) -> State:
    """Return the arrays of ``state`` under names that begin with ``name``."""
    return {f"{name}/{key}": array for key, array in state.items()}


class StateError(UserError):
    """A saved state that is not one of the run that it is to be taken back by."""


class Saved:
    """A state that has been read back: what is taken from it is of the type and shape that is asked for.

    It comes from a file, which may be anyone's, and goes into compiled code, which looks at no bounds.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], place: str = "") -> None:
        self._arrays = arrays
        self._place = place

    def __contains__(self, name: str) -> bool:
        return self._path(name) in self._arrays

    def part(self, name: str) -> Saved:
        """Return what has been saved ``under`` this name."""
        return Saved(self._arrays, self._path(name))

    def has_part(self, name: str) -> bool:
        """Return whether anything has been saved ``under`` this name."""
        return any(key.startswith(f"{self._path(name)}/") for key in self._arrays)

    def names(self) -> list[str]:
        """Return the names of the arrays here, those of parts left out."""
        start = self._path("")
        here = [key.removeprefix(start) for key in self._arrays if key.startswith(start)]
        return [name for name in here if "/" not in name]

    def array(
        self,
        name: str,
        dtype: str,
        shape: Sequence[int | None],
        bounds: tuple[int, int] | None = None,
    ) -> NDArray[Any]:
        """Return a copy of one array.

        Args:
            name, dtype: which, and its type, such as "f8".
            shape: its shape; None where any length will do.
            bounds: the least value that it may have, and the first that it may not.

        Raises:
            StateError: there is no such array.
        """
        found = self._arrays.get(self._path(name))
        if found is None:
            raise self.misfit(name, "missing")
        fits = len(shape) == found.ndim and all(
            a in (None, b) for a, b in zip(shape, found.shape, strict=True)
        )
        if not fits or found.dtype != np.dtype(dtype):
            raise self.misfit(name, f"{found.dtype} {found.shape}")
        if bounds is not None and found.size and not (bounds[0] <= found.min() and found.max() < bounds[1]):
            raise self.misfit(name)
        return np.array(found, order="C")

    def misfit(self, name: str, why: str = "out of range") -> StateError:
        """Return the error that says that an array is not what this run can have saved."""
        return StateError(f"the state saved in the file does not fit this run ({self._path(name)} is {why})")

    def number(self, name: str) -> float:
        """Return one number; raises as ``array`` does."""
        return float(self.array(name, "f8", ())[()])

    def integer(self, name: str, bounds: tuple[int, int] | None = None) -> int:
        """Return one integer; bounds and errors as in ``array``."""
        return int(self.array(name, "i8", (), bounds)[()])

    def _path(self, name: str) -> str:
        return f"{self._place}/{name}" if self._place else name


def number(value: float) -> NDArray[np.float64]:
    """Return a number as an array of one."""
    return np.array(value, dtype=np.float64)


def integer(value: int) -> NDArray[np.int64]:
    """Return an integer as an array of one."""
    return np.array(value, dtype=np.int64)


def counts(values: Mapping[str, int]) -> State:
    """Return counters as a state."""
    return {name: integer(value) for name, value in values.items()}


def restore_counts(counters: Any, saved: Saved) -> None:
    """Set the fields of a dataclass of counters to what ``counts`` has given of them (StateError if one is missing)."""
    for name in asdict(counters):
        setattr(counters, name, saved.integer(name))
