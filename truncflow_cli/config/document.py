"""A parsed configuration in which every value remembers where it was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from truncflow_cli.config.errors import Fault, one_line
from truncflow_cli.errors import UserError

#: Keys and list indices from the top of a configuration down to a value.
KeyPath = tuple[str | int, ...]
#: Longer keys are cut in messages.
_LONGEST_KEY = 40


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the configuration and its place.

    Attributes:
        value: a scalar, or the child nodes as a dict or a list. Nodes are shared where the text has aliases.
        place: line of the key (of the item in a list), counted from 1; or the ``--set`` option it came from.
    """

    value: Any
    place: int | str


@dataclass(frozen=True)
class Document:
    """A configuration as written.

    Attributes:
        label: what messages call the text: the file as the user named it.
        root: its top node, a mapping.
    """

    label: str
    root: Node

    def plain(self) -> dict[str, Any]:
        """Return the values alone."""
        values: dict[str, Any] = plain(self.root)
        return values

    def place(self, path: Sequence[str | int]) -> str:
        """Return "file:line" or "--set key=value" of the value at ``path``, or of what should hold it."""
        place = self._innermost(path).place
        return place if isinstance(place, str) else f"{self.label}:{place}"

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line of that place, 0 for an option."""
        place = self._innermost(path).place
        return 0 if isinstance(place, str) else place

    def _innermost(self, path: Sequence[str | int]) -> Node:
        node = self.root
        for part in path:
            value = node.value
            is_item = isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value)
            if not is_item and not (isinstance(value, dict) and part in value):
                break
            node = value[part]
        return node

    def error(self, path: Sequence[str | int], message: str) -> UserError:
        """Return the error that says: at ``path``, this is wrong."""
        parts = [
            part if len(part) <= _LONGEST_KEY else f"{part[:_LONGEST_KEY]}..." for part in map(str, path)
        ]
        place = ": ".join([self.place(path), ".".join(parts)] if parts else [self.place(path)])
        return UserError(one_line(f"{place}: {message}"))

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Give every :class:`Fault` raised inside the place of the setting at ``path``."""
        try:
            yield
        except Fault as fault:
            raise self.error((*path, *fault.inside), str(fault)) from fault


def plain(node: Node) -> Any:
    """Return the value of a node without the places."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value
