"""The page on the run file, made from its layout."""

from __future__ import annotations

from truncflow_cli.events import Kind
from truncflow_cli.runfile.schema import (
    ATTRIBUTES,
    AXES,
    CERTIFICATE_ATTRIBUTES,
    DATA,
    EVENTS,
    FLOWS,
    INITIAL,
    TRAJECTORY,
    Item,
)

_HEAD = """\
# The run file

A run file is HDF5, in the conventions of netCDF-4: it opens with h5py, `h5dump` and xarray with nothing of truncflow
installed. Every dataset says in its attribute `description` what it holds, and its axes are named by dimension scales.
Indices count from 0; arrays are in C order. The file appears with its first saved times and is only ever replaced as a
whole, so that a run that is killed leaves nothing, or a file that opens.

## With xarray, in five lines

```python
import xarray as xr  # with h5netcdf

trajectory = xr.open_dataset("runs/iris.h5", engine="h5netcdf", group="trajectory")
print(trajectory.loss.sel(s=2.0, method="nearest").item())
print(trajectory.truncated_fraction.isel(layer=0, s=-1).values)
```

## With h5py

```python
import h5py

with h5py.File("runs/iris.h5") as run:
    s, loss = run["trajectory/s"][:], run["trajectory/loss"][:]
    kinds = h5py.check_enum_dtype(run["events/kind"].dtype)  # name: number
    truncations = run["events/s"][run["events/kind"][:] == kinds["truncate"]]
    print(run.attrs["status"], loss[-1], len(truncations))
```

## With truncflow

```python
import truncflow_cli as truncflow

with truncflow.open_run("runs/iris.h5") as run:
    print(run.status, run.loss[-1], run.R.shape)
    print({name: certificate.verdict for name, certificate in run.certificates.items()})
```

At the shell, `truncflow trajectory RUN.h5` and `truncflow events RUN.h5` print the same as CSV.
"""

_TAIL = """\
## Config, notes, counters

- `config`: the resolved config as YAML, every default written out; its check sum is in the attribute `sha256`.
  `h5dump -d /config RUN.h5` shows it, and `truncflow run` on it gives the same run.
- `counters`: attributes, how much work was done (steps, evaluations, ...).
- `notes`: attributes, what was found while the problem was built, such as the margin of a construction, and `warnings`.
"""


def run_file_page() -> str:
    """Return the page: every dataset with its shape, its type, the flows that have it, and its meaning."""
    letters = ", ".join(dict.fromkeys(f"{letter} {_counted(axis)}" for axis, (letter, _) in AXES.items()))
    kinds = ", ".join(f"`{kind.name.lower()}` {int(kind)}" for kind in Kind)
    attributes = "".join(f"- `{name}`: {meaning}\n" for name, (_, meaning) in ATTRIBUTES.items())
    certificate = ", ".join(f"`{name}`" for name in CERTIFICATE_ATTRIBUTES)
    return "\n".join(
        [
            _HEAD,
            f"## Sizes\n\nIn the shapes below: {letters}.\n",
            f"## Attributes of the root\n\n{attributes}",
            "- `solving_seconds`: the part of it in which the flow was solved, up to the last sample\n"
            "- `backend`: compiled or numpy, which has done the work of a flow that has both (not in older files)\n"
            "- `switched_at`: where the flow `general` took over from `separated`, if it did\n",
            f"## data\n\n{_items(DATA)}",
            f"## initial\n\nWhat the run started from; files of older versions lack it.\n\n{_items(INITIAL)}",
            f"## trajectory\n\n{_items(TRAJECTORY)}",
            f"## events\n\nOne entry an event. The numbers of `kind`: {kinds}.\n\n{_items(EVENTS)}",
            "## certificates\n\nA group `certificates/<name>` for each statement that was looked at, with the "
            f"attributes {certificate}, and the quantities along s, (T,) each, that it was judged by. `verdict` is "
            "`holds`, `violated`, `hypothesis not met` or `not applicable`; where there is no number it is NaN.\n",
            _TAIL,
        ]
    ).replace("\n\n- `solving_seconds`", "\n- `solving_seconds`")


def _counted(axis: str) -> str:
    return {
        "s": "saved times",
        "event": "events",
        "point": "points",
        "cluster": "clusters",
        "label": "clusters",
        "layer": "layers",
    }.get(axis, "dimensions")


def _items(items: tuple[Item, ...]) -> str:
    return "".join(
        f"- `{item.path}` ({', '.join(AXES[axis][0] for axis in item.axes)}"
        f"{',' if len(item.axes) == 1 else ''}) {_type(item)}{_flows(item)}: {item.description}\n"
        for item in items
    )


def _type(item: Item) -> str:
    names = {"f": "float", "i": "int"}
    return "enum" if item.dtype == "kind" else f"{names[item.dtype[0]]}{8 * int(item.dtype[1:])}"


def _flows(item: Item) -> str:
    if item.flows == FLOWS:
        return ""
    return f" [{', '.join(item.flows)}]"
