"""The layout of a run file for its page, made from the schema."""

from __future__ import annotations

from truncflow_cli.events import Kind
from truncflow_cli.runfile.schema import (
    ATTRIBUTES,
    AXES,
    CERTIFICATE_ATTRIBUTES,
    DATA,
    EVENTS,
    INITIAL,
    TRAJECTORY,
    Item,
    of_flows,
)

#: What the letters of shapes count, besides the dimensions.
_COUNTED = {"s": "saved times", "event": "events", "point": "points", "layer": "layers"} | dict.fromkeys(
    ("cluster", "label"), "clusters"
)


def run_file_layout() -> str:
    """Return every dataset with its shape, its type, the flows that have it, and its meaning."""
    letters = dict.fromkeys(
        f"{letter} {_COUNTED.get(axis, 'dimensions')}" for axis, (letter, _) in AXES.items()
    )
    kinds = ", ".join(f"`{kind.name.lower()}` {int(kind)}" for kind in Kind)
    attributes = "".join(f"- `{name}`: {meaning}\n" for name, (_, meaning) in ATTRIBUTES.items())
    certificate = ", ".join(f"`{name}`" for name in CERTIFICATE_ATTRIBUTES)
    return "\n".join(
        [
            f"## Sizes\n\nIn the shapes below: {', '.join(letters)}.\n",
            f"## Attributes of the root\n\n{attributes}"
            "- `solving_seconds`: the part of it in which the flow was solved, up to the last sample\n"
            "- `backend`: compiled or numpy, which has done the work of a flow that has both (not in older files)\n"
            "- `switched_at`: where the flow `general` took over from `separated`, if it did\n",
            f"## data\n\n{_items(DATA)}",
            f"## initial\n\nWhat the run started from; files of older versions lack it.\n\n{_items(INITIAL)}",
            f"## trajectory\n\n{_items((*TRAJECTORY, *of_flows()))}",
            f"## events\n\nOne entry an event. The numbers of `kind`: {kinds}.\n\n{_items(EVENTS)}",
            "## certificates\n\nA group `certificates/<name>` for each statement that was looked at, with the "
            f"attributes {certificate}, and the quantities along s, (T,) each, that it was judged by. `verdict` is "
            "`holds`, `violated`, `hypothesis not met` or `not applicable`; where there is no number it is NaN.\n",
        ]
    )


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
    return f" [{', '.join(item.flows)}]" if item.flows else ""
