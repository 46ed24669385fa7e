"""``--set key.path=value``: a value put over the one in the file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from truncflow_cli.config.document import Document, Node
from truncflow_cli.config.errors import one_line, shown
from truncflow_cli.config.yaml_nodes import MAX_DEPTH, parse_value
from truncflow_cli.errors import UserError

_INDEX = re.compile(r"[0-9]{1,9}\Z")


def override(document: Document, options: Iterable[str]) -> Document:
    """Return a copy of ``document`` with the value of each option, "key.path=value", in place; later options win.

    Values are YAML; list items are addressed by index; a mapping that is missing on the way is made, so that unknown
    keys are met by the same check as those in the file.

    Raises:
        UserError: an option of another form, or a path that leads through something that has no keys.
    """
    for option in options:
        document = replace(document, root=_override(document.root, option))
    return document


def _override(root: Node, option: str) -> Node:
    dotted, equals, text = option.partition("=")
    place = (
        f"--set {option}"
        if len(option) <= 80 and option.isprintable()
        else f"--set {dotted[:60].strip()}=..."
    )
    keys = dotted.strip().split(".")
    if not equals or not all(keys) or len(keys) > MAX_DEPTH:
        raise UserError(f"--set {shown(option, 80)}: write it as key.path=value, such as integrator.s_end=20")
    if not text.strip():
        raise UserError(f"{place}: no value; write null for the default, '' for an empty text")
    value = parse_value(text, place)
    return _put(root, keys, 0, Node(value.value, place), place)


def _put(node: Node, keys: list[str], depth: int, value: Node, place: str) -> Node:
    """Return a copy of ``node`` in which the value at ``keys[depth:]`` is ``value``."""
    if depth == len(keys):
        return value
    key = keys[depth]
    here = ".".join(keys[:depth])
    if node.value is None:
        node = Node({}, place)
    if isinstance(node.value, dict):
        child = node.value.get(key, Node(None, place))
        return Node(node.value | {key: _put(child, keys, depth + 1, value, place)}, node.place)
    if isinstance(node.value, list):
        if not _INDEX.match(key) or int(key) >= len(node.value):
            allowed = f"an index from 0 to {len(node.value) - 1}" if node.value else "nothing, it is empty"
            message = f"{place}: {here} is a list; after it comes {allowed}, not {shown(key)}"
            raise UserError(one_line(message))
        items = list(node.value)
        items[int(key)] = _put(items[int(key)], keys, depth + 1, value, place)
        return Node(items, node.place)
    what = f"{here} is {shown(node.value)}, which has no key {shown(key)}; set {here} as a whole"
    raise UserError(one_line(f"{place}: {what}"))
