"""A parsed configuration in which every value remembers where it was written; ``--set`` puts others over them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from truncflow_cli.config.errors import Fault, shown
from truncflow_cli.config.yaml_nodes import MAX_DEPTH, Node, compose, parse_value
from truncflow_cli.errors import UserError, one_line

#: Keys and list indices from the top of a configuration down to a value.
KeyPath = Sequence[str | int]
#: Longer keys are cut in messages.
_LONGEST_KEY = 40
_INDEX = re.compile(r"[0-9]{1,9}\Z")
#: Numbers of the section integrator that certificates and reports go by.
_NUMBERS = ("rtol", "atol")


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
        values: dict[str, Any] = self.root.plain()
        return values

    def line(self, path: KeyPath) -> int:
        """Return the line of the value at ``path``, or of what should hold it; 0 for an option."""
        place = self._place(path)
        return 0 if isinstance(place, str) else place

    def place(self, path: KeyPath) -> str:
        """Return "file:line" or "--set key=value" of the value at ``path``, or of what should hold it."""
        place = self._place(path)
        return place if isinstance(place, str) else f"{self.label}:{place}"

    def _place(self, path: KeyPath) -> int | str:
        node = self.root
        for part in path:
            value = node.value
            is_item = isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value)
            if not is_item and not (isinstance(value, dict) and part in value):
                break
            node = value[part]
        return node.place

    def error(self, path: KeyPath, message: str) -> UserError:
        """Return the error that says: at ``path``, this is wrong."""
        parts = [part[:_LONGEST_KEY] + "..." * (len(part) > _LONGEST_KEY) for part in map(str, path)]
        return UserError(": ".join(filter(None, (self.place(path), ".".join(parts), message))))

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Give every :class:`Fault` raised inside the place of the setting at ``path``."""
        try:
            yield
        except Fault as fault:
            raise self.error((*path, *fault.inside), str(fault)) from fault

    def override(self, options: Iterable[str]) -> Document:
        """Return a copy with the value of each option, "key.path=value", in place; later options win.

        Values are YAML; list items are addressed by index; a mapping that is missing on the way is made, so that
        unknown keys are met by the same check as those in the file.

        Raises:
            UserError: an option of another form, or a path that leads through something that has no keys.
        """
        root = self.root
        for option in options:
            dotted, equals, text = option.partition("=")
            is_short = len(option) <= 80 and option.isprintable()
            place = f"--set {option}" if is_short else f"--set {dotted[:60].strip()}=..."
            keys = dotted.strip().split(".")
            if not equals or not all(keys) or len(keys) > MAX_DEPTH:
                what = "write it as key.path=value, such as integrator.s_end=20"
                raise UserError(f"--set {shown(option, 80)}: {what}")
            if not text.strip():
                raise UserError(f"{place}: no value; write null for the default, '' for an empty text")
            root = _put(root, keys, 0, replace(parse_value(text, place), place=place))
        return replace(self, root=root)


def _put(node: Node, keys: list[str], depth: int, new: Node) -> Node:
    """Return a copy of ``node`` in which the node at ``keys[depth:]`` is ``new``."""
    if depth == len(keys):
        return new
    key, here = keys[depth], ".".join(keys[:depth])
    if node.value is None:
        node = Node({}, new.place)
    if isinstance(node.value, dict):
        child = node.value.get(key, Node(None, new.place))
        return replace(node, value=node.value | {key: _put(child, keys, depth + 1, new)})
    if isinstance(node.value, list):
        if not _INDEX.match(key) or int(key) >= len(node.value):
            allowed = f"an index from 0 to {len(node.value) - 1}" if node.value else "nothing, it is empty"
            raise UserError(f"{new.place}: {here} is a list; after it comes {allowed}, not {shown(key)}")
        items = list(node.value)
        items[int(key)] = _put(items[int(key)], keys, depth + 1, new)
        return replace(node, value=items)
    what = f"{here} is {shown(node.value)}, which has no key {shown(key)}; set {here} as a whole"
    raise UserError(f"{new.place}: {what}")


def parse(text: str, label: str) -> Document:
    """Return the configuration in ``text``.

    Raises:
        UserError: not YAML, or not a mapping, or beyond the limits of ``yaml_nodes``.
    """
    root = compose(text, label)
    if root is None or root.value is None:
        raise UserError(f"{label}:1: the configuration is empty; it needs at least clusters:")
    if not isinstance(root.value, dict):
        what = "a configuration is a mapping of keys such as flow: and clusters:"
        raise UserError(f"{label}:{root.place}: {what}")
    return Document(label, root)


@lru_cache(maxsize=4)
def recorded_settings(text: str, label: str) -> Mapping[str, Any]:
    """Return the settings in the configuration that a run file keeps, fit to be shown; nothing for no text.

    The file may come from anywhere and from another version of the program: only the settings that certificates and
    reports read again have to be what they should be. ``label`` is what messages call it.

    Raises:
        UserError: not a configuration within the limits, or a tolerance that is not a number.
    """
    if not text:
        return {}
    document = parse(text, label)
    settings: Mapping[str, Any] = fit_to_show(document.plain())
    section = settings.get("integrator")
    if section is not None and not isinstance(section, dict):
        raise document.error(("integrator",), f"must be a mapping of keys, not {shown(section)}")
    for name in _NUMBERS:
        value = (section or {}).get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise document.error(("integrator", name), f"must be a number, not {shown(value)}")
    return settings


def fit_to_show(value: Any) -> Any:
    """Return settings in which every text can be shown: a terminal obeys what quoted YAML can hold."""
    if isinstance(value, dict):
        return {one_line(key): fit_to_show(item) for key, item in value.items()}
    if isinstance(value, list):
        return [fit_to_show(item) for item in value]
    return one_line(value) if isinstance(value, str) else value
