"""The run file as data: every path, shape, type and description, followed by the writer and the reader alike.

The file is HDF5 in the conventions of netCDF-4: each axis has a name, held by a *dimension scale*, so that
xarray and h5dump show the names. The saved times ``trajectory/s`` and the event times ``events/s`` are scales
with values; the other axes are named by scales in the root group, which hold the 0-based index.

Besides the datasets listed here:

- root attributes: ``ATTRIBUTES``; ``solving_seconds``, the part of ``elapsed_seconds`` in which the flow was solved, up
  to the last sample; ``backend``, compiled or numpy, which has done the work of a flow that has both (not in older
  files); and ``switched_at`` where `general` took over from `separated` at that s (from there on
  ``truncated_fraction`` is over all points);
- group ``counters``: an integer attribute for each statistic of the work done (steps, Taylor orders, ...);
- group ``notes``: attributes, what was found while the problem was built (margins of a construction, ...),
  and ``warnings``, a warning a line;
- ``config``, a string of fixed length, with its check sum in the attribute ``sha256``;
- groups ``certificates/<name>``: ``CERTIFICATE_ATTRIBUTES``, and a dataset along s for each time series.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, get_args

import h5py
import numpy as np

from truncflow_cli.events import EVENT_DTYPE, Kind
from truncflow_cli.flows import registry
from truncflow_cli.problem import Equations, Problem

FORMAT: Final = "truncflow-run"
FORMAT_VERSION: Final = 1

#: About how large one stored piece of a dataset is.
CHUNK_BYTES: Final = 1 << 17

#: Events expected in one piece of the event log.
EVENT_ROWS: Final = 1024

Status = Literal["running", "complete", "interrupted", "failed"]

#: Names of the values of ``events/kind``.
KIND_NAMES: Final[Mapping[str, int]] = {kind.name.lower(): int(kind) for kind in Kind}

#: Root attributes that every run file has: type and meaning.
ATTRIBUTES: Final[Mapping[str, tuple[type, str]]] = {
    "format": (str, "always truncflow-run"),
    "format_version": (int, "version of this layout"),
    "flow": (str, " or ".join(", ".join(registry.FLOWS).rsplit(", ", 1))),
    "equations": (str, "exact, or printed for the paper's (3.25) as it stands in print"),
    "rotation_frozen": (bool, "whether R was kept fixed (section 4.3)"),
    "events_mode": (str, "exact, or batched where crossings were stepped over and located afterwards"),
    "status": (str, "running, complete, interrupted or failed"),
    "message": (str, "why the run failed; empty otherwise"),
    "seed": (int, "the seed from which every random choice derives"),
    "truncflow_version": (str, "version of the program"),
    "python_version": (str, "version of Python"),
    "numpy_version": (str, "version of numpy"),
    "scipy_version": (str, "version of scipy"),
    "h5py_version": (str, "version of h5py"),
    "created": (str, "when the run began (ISO 8601, UTC)"),
    "elapsed_seconds": (
        float,
        "wall time of the run: the problem built, solved, certified, put into its file",
    ),
    "command": (str, "the command that made the file"),
}

#: What some of them may say.
ALLOWED: Final[Mapping[str, Collection[str]]] = {
    "flow": registry.FLOWS,
    "equations": get_args(Equations),
    "status": get_args(Status),
}

CERTIFICATE_ATTRIBUTES: Final = ("statement", "source", "hypothesis", "verdict", "value", "bound", "margin")

#: Axes: the letter for their length, and what they count.
AXES: Final[Mapping[str, tuple[str, str]]] = {
    "s": ("T", "saved times"),
    "event": ("E", "events"),
    "point": ("N", "index of a training point"),
    "cluster": ("C", "index of a cluster"),
    "label": ("C", "index of a label: one a cluster"),
    "layer": ("L", "index of a hidden layer"),
    "coordinate": ("Q", "coordinate r in a layer's co-moving frame"),
    "input": ("Q", "coordinate in input space"),
    "output": ("Q", "coordinate in output space"),
}

#: Axes whose scale is an index in the root group (those of s and of the events are datasets with values).
INDEX_AXES: Final[tuple[str, ...]] = tuple(axis for axis in AXES if axis not in ("s", "event"))


@dataclass(frozen=True)
class Item:
    """One dataset of the run file."""

    path: str
    #: Names of its axes, in order, from ``AXES``.
    axes: tuple[str, ...]
    #: Type of an element; "kind" stands for the enum of ``KIND_NAMES``.
    dtype: str
    description: str
    #: The array of ``Problem`` that it is; empty for what the solver hands out.
    field: str = ""
    #: The least value that an index may have, and the first that it may not (or the letter of that length).
    bounds: tuple[int, int | str] | None = None
    #: The flows whose files have it; all if there is none.
    flows: tuple[str, ...] = ()
    #: Whether those files always have it (older ones may lack it).
    required: bool = True

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def streamed(self) -> bool:
        """Whether it grows while the run goes on."""
        return self.axes[0] in ("s", "event")

    @property
    def numpy_type(self) -> np.dtype[Any]:
        """The type of an element, to numpy and h5py."""
        return h5py.enum_dtype(KIND_NAMES, basetype="i1") if self.dtype == "kind" else np.dtype(self.dtype)

    @property
    def element_bytes(self) -> int:
        """The size of an element."""
        return 1 if self.dtype == "kind" else int(self.dtype[1:])

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return its shape, given the length for each letter of ``AXES``."""
        return tuple(sizes[AXES[axis][0]] for axis in self.axes)

    def chunks(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the pieces in which it is stored: whole rows, few enough to be rewritten cheaply."""
        length, *rest = (max(1, length) for length in self.shape(sizes))
        rows = EVENT_ROWS if self.axes[0] == "event" else length
        return (max(1, min(rows, CHUNK_BYTES // (self.element_bytes * math.prod(rest)))), *rest)

    def padded_bytes(self, sizes: Mapping[str, int], rows: int) -> int:
        """Return the room that so many rows take on disk: whole pieces, and one that is begun."""
        pieces = self.chunks(sizes)
        return (-(-rows // pieces[0]) + 1) * math.prod(pieces) * self.element_bytes


DATA: Final[tuple[Item, ...]] = (
    Item("data/x", ("point", "input"), "f8", "training inputs x, cluster after cluster", "x"),
    Item(
        "data/cluster", ("point",), "i8", "index of the cluster of each training input", "cluster", (0, "C")
    ),
    Item("data/y", ("label", "output"), "f8", "labels y_j", "y"),
    Item("data/y_tilde", ("label", "input"), "f8", "pulled-back labels (W^(Q+1))^-1 y_j (1.15)", "y_tilde"),
)

#: What the run started from; files of older versions lack it.
INITIAL: Final[tuple[Item, ...]] = tuple(
    Item(f"initial/{name}", axes, "f8", description, f"{name}0", required=False)
    for name, axes, description in (
        ("R", ("layer", "coordinate", "input"), "cumulative weight R_l of each layer at s = 0, orthogonal"),
        ("beta", ("layer", "input"), "cumulative bias beta^(l) of each layer at s = 0"),
        ("W", ("output", "input"), "output weight W_(Q+1) at s = 0"),
    )
)


def of_flows() -> tuple[Item, ...]:
    """Return what only some flows have along the trajectory, a row a dataset."""
    arrays = dict.fromkeys(array for flow in registry.FLOWS.values() for array in flow.arrays)
    having = {
        array: [flow.name for flow in registry.FLOWS.values() if array in flow.arrays] for array in arrays
    }
    return tuple(_of_flow(array, *names) for array, names in having.items())


def _of_flow(array: registry.StateArray, *flows: str) -> Item:
    return Item(f"trajectory/{array.name}", array.axes, "f8", array.description, flows=flows)


TRAJECTORY: Final[tuple[Item, ...]] = (
    Item("trajectory/s", ("s",), "f8", "saved gradient-flow times s (dimensionless)"),
    Item("trajectory/loss", ("s",), "f8", "loss of the flow, the sum over the clusters"),
    Item("trajectory/loss_cluster", ("s", "cluster"), "f8", "contribution of each cluster to the loss"),
    Item(
        "trajectory/energy_balance",
        ("s",),
        "f8",
        "D(s) = C(0) - C(s) - integral of the squared gradient norm, zero if exact (3.27)-(3.29)",
    ),
)

EVENTS: Final[tuple[Item, ...]] = tuple(
    Item(
        f"events/{name}",
        ("event",),
        "kind" if name == "kind" else EVENT_DTYPE[name].str[1:],
        description,
        bounds=bounds,
    )
    for name, bounds, description in (
        ("s", None, "gradient-flow time s of each event (dimensionless), in ascending order"),
        ("kind", (0, len(KIND_NAMES)), "what happened: " + ", ".join(KIND_NAMES)),
        ("layer", (-1, "L"), "index of the layer, -1 where it does not apply"),
        ("point", (-1, "N"), "index of the training point, -1 where it does not apply"),
        ("coordinate", (-1, "Q"), "coordinate of the layer's frame, -1 where it does not apply"),
        ("cluster", (-1, "C"), "index of the cluster, -1 where it does not apply"),
        ("side", (-1, 2), "where an unpinned point went: 1 untruncated, 0 truncated; -1 elsewhere"),
    )
)

#: What an event has that is a crossing, of a point through a surface: no index is -1.
CROSSING_INDICES: Final = ("events/layer", "events/point", "events/coordinate")

#: What the run files of all flows have.
ITEMS: Final[tuple[Item, ...]] = (*DATA, *INITIAL, *TRAJECTORY, *EVENTS)

CONFIG_PATH: Final = "config"
CONFIG_DESCRIPTION: Final = "the resolved config as YAML: `truncflow run` on it gives the same run"

#: The scale that an axis hangs on. Event times come first among the events, saved times on the trajectory.
SCALE_PATHS: Final[Mapping[str, str]] = {
    **{axis: axis for axis in INDEX_AXES},
    "s": "trajectory/s",
    "event": "events/s",
}


def items(flow: str) -> tuple[Item, ...]:
    """Return every dataset that the run file of a flow can have, scales before what hangs on them.

    Raises:
        UserError: there is no such flow.
    """
    return _items(registry.flow_named(flow))


@cache
def _items(flow: registry.Flow) -> tuple[Item, ...]:
    return (*ITEMS, *(_of_flow(array, flow.name) for array in flow.arrays))


def sizes_of(problem: Problem) -> dict[str, int]:
    """Return the length for each letter of ``AXES``; T as planned, E as zero."""
    return {
        "N": len(problem.x),
        "C": problem.n_clusters,
        "L": problem.n_layers,
        "Q": problem.dim,
        "T": len(problem.s_save),
        "E": 0,
    }
