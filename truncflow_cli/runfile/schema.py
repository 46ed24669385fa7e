"""The run file as data: every path, shape, type and description, followed by the writer and the reader alike.

The file is HDF5 in the conventions of netCDF-4: each axis has a name, held by a *dimension scale*, so that
xarray and h5dump show the names. The saved times ``trajectory/s`` and the event times ``events/s`` are scales
with values; the other axes are named by scales in the root group, which hold the 0-based index.

Besides the datasets listed here:

- root attributes: ``ATTRIBUTES``; ``solving_seconds``, the part of ``elapsed_seconds`` in which the flow was solved, up
  to the last sample; and ``switched_at`` where `general` took over from `separated` at that s (from there on
  ``truncated_fraction`` is over all points);
- group ``counters``: an integer attribute for each statistic of the work done (steps, evaluations, ...);
- group ``notes``: attributes, what was found while the problem was built (margins of a construction, ...),
  and ``warnings``, a warning a line;
- ``config``, a string of fixed length, with its check sum in the attribute ``sha256``;
- groups ``certificates/<name>``: ``CERTIFICATE_ATTRIBUTES``, and a dataset along s for each time series.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from truncflow_cli.events import EVENT_DTYPE, Kind
from truncflow_cli.problem import Equations, FlowName

FORMAT: Final = "truncflow-run"
FORMAT_VERSION: Final = 1

#: About how large one stored piece of a dataset is.
CHUNK_BYTES: Final = 1 << 17

Status = Literal["running", "complete", "interrupted", "failed"]

FLOWS: Final[tuple[str, ...]] = get_args(FlowName)
EQUATIONS: Final[tuple[str, ...]] = get_args(Equations)
STATUSES: Final[tuple[str, ...]] = get_args(Status)

#: Names of the values of ``events/kind``.
KIND_NAMES: Final[Mapping[str, int]] = {kind.name.lower(): int(kind) for kind in Kind}

#: Root attributes that every run file has: type and meaning.
ATTRIBUTES: Final[Mapping[str, tuple[type, str]]] = {
    "format": (str, "always truncflow-run"),
    "format_version": (int, "version of this layout"),
    "flow": (str, "separated, general, collapsed or clustered"),
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

CERTIFICATE_ATTRIBUTES: Final[tuple[str, ...]] = (
    "statement",
    "source",
    "hypothesis",
    "verdict",
    "value",
    "bound",
    "margin",
)

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
    """One dataset of the run file.

    Attributes:
        path: where it is.
        axes: names of its axes, in order, from ``AXES``.
        dtype: type of an element; "kind" stands for the enum of ``KIND_NAMES``.
        description: its ``description`` attribute.
        flows: the flows whose files have it.
        required: whether those files always have it.
    """

    path: str
    axes: tuple[str, ...]
    dtype: str
    description: str
    flows: tuple[str, ...] = FLOWS
    required: bool = True

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def streamed(self) -> bool:
        """Whether it grows while the run goes on."""
        return self.axes[0] in ("s", "event")

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return its shape, given the length for each letter of ``AXES``."""
        return tuple(sizes[AXES[axis][0]] for axis in self.axes)


_LAYERED: Final = ("separated", "general")

DATA: Final[tuple[Item, ...]] = (
    Item("data/x", ("point", "input"), "f8", "training inputs x, cluster after cluster"),
    Item("data/cluster", ("point",), "i8", "index of the cluster of each training input"),
    Item("data/y", ("label", "output"), "f8", "labels y_j"),
    Item("data/y_tilde", ("label", "input"), "f8", "pulled-back labels (W^(Q+1))^-1 y_j (1.15)"),
)

TRAJECTORY: Final[tuple[Item, ...]] = (
    Item("trajectory/s", ("s",), "f8", "saved gradient-flow times s (dimensionless)"),
    Item(
        "trajectory/beta",
        ("s", "layer", "input"),
        "f8",
        "cumulative bias beta^(l) of each layer",
        flows=_LAYERED,
    ),
    Item(
        "trajectory/R",
        ("s", "layer", "coordinate", "input"),
        "f8",
        "cumulative weight R_l of each layer, orthogonal",
        flows=_LAYERED,
    ),
    Item(
        "trajectory/B",
        ("s", "input", "cluster"),
        "f8",
        "matrix B whose columns are the cumulative biases beta^(l) (8.6)",
        flows=("collapsed",),
    ),
    Item(
        "trajectory/W",
        ("s", "output", "input"),
        "f8",
        "output weight W_(Q+1) (8.7), (9.7)",
        flows=("collapsed", "clustered"),
    ),
    Item("trajectory/loss", ("s",), "f8", "loss of the flow, the sum over the clusters"),
    Item("trajectory/loss_cluster", ("s", "cluster"), "f8", "contribution of each cluster to the loss"),
    Item(
        "trajectory/energy_balance",
        ("s",),
        "f8",
        "D(s) = C(0) - C(s) - integral of the squared gradient norm, zero if exact (3.27)-(3.29)",
    ),
    Item(
        "trajectory/truncated_fraction",
        ("s", "layer", "coordinate"),
        "f8",
        "mean of 1 - h over the points that the layer acts on, for each coordinate of its frame",
        flows=_LAYERED,
    ),
    Item(
        "trajectory/truncated_fraction",
        ("s", "layer", "coordinate"),
        "f8",
        "mean of 1 - h over the points, for each layer and coordinate of its frame",
        flows=("collapsed", "clustered"),
        required=False,
    ),
)

_EVENT_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "s": "gradient-flow time s of each event (dimensionless), in ascending order",
    "kind": "what happened: " + ", ".join(KIND_NAMES),
    "layer": "index of the layer, -1 where it does not apply",
    "point": "index of the training point, -1 where it does not apply",
    "coordinate": "coordinate of the layer's frame, -1 where it does not apply",
    "cluster": "index of the cluster, -1 where it does not apply",
    "side": "where an unpinned point went: 1 untruncated, 0 truncated; -1 elsewhere",
}

EVENTS: Final[tuple[Item, ...]] = tuple(
    Item(
        f"events/{name}",
        ("event",),
        "kind" if name == "kind" else EVENT_DTYPE[name].str[1:],
        _EVENT_DESCRIPTIONS[name],
    )
    for name in EVENT_DTYPE.names or ()
)

CONFIG_PATH: Final = "config"
CONFIG_DESCRIPTION: Final = "the resolved config as YAML: `truncflow run` on it gives the same run"

#: The scale that an axis hangs on. Event times come first among the events, saved times on the trajectory.
SCALE_PATHS: Final[Mapping[str, str]] = {
    **{axis: axis for axis in INDEX_AXES},
    "s": "trajectory/s",
    "event": "events/s",
}


def items(flow: str) -> tuple[Item, ...]:
    """Return every dataset that the run file of a flow can have, scales before what hangs on them."""
    return tuple(item for item in (*DATA, *TRAJECTORY, *EVENTS) if flow in item.flows)


def element_bytes(item: Item) -> int:
    """Return the size of one element of a dataset."""
    return 1 if item.dtype == "kind" else int(item.dtype[1:])


def chunk_shape(item: Item, shape: tuple[int, ...], rows: int) -> tuple[int, ...]:
    """Return the chunks in which a dataset is stored: whole rows, few enough to be rewritten cheaply.

    Args:
        item: the dataset.
        shape: its shape; the first length of a streamed dataset is ignored.
        rows: the number of rows expected in one piece.
    """
    row_bytes = element_bytes(item) * math.prod(max(1, length) for length in shape[1:])
    return (max(1, min(rows, CHUNK_BYTES // row_bytes)), *(max(1, length) for length in shape[1:]))
