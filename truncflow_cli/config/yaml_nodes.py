"""YAML by the safe loader's parser, composed here: bounded, with line numbers, numbers as one expects.

Only mappings, lists and plain scalars exist: a tag (``!!python/...``) is refused, so no text can make the
reader build anything else. Depth and the number of values, aliases expanded, are bounded while reading.
Scalars are resolved as YAML 1.2 does, with two additions of YAML 1.1, ``yes``/``no`` and ``1_000``: ``1e-9``
is a number, a date and ``12:30`` are texts, and a number that is not finite or does not fit a double is an
error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Any

import yaml

from truncflow_cli.config.errors import shown
from truncflow_cli.errors import UserError

#: Limits of a configuration; large point sets belong into a data file.
MAX_BYTES = 4 * 2**20
MAX_VALUES = 400_000
MAX_DEPTH = 32
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"

INTEGER = re.compile(r"[-+]?(?:[0-9][0-9_]*|0x[0-9a-fA-F]+|0o[0-7]+)\Z")
FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?\Z")
NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
NULLS = frozenset({"", "~", "null", "Null", "NULL"})
BOOLS = {
    spelling: value
    for words, value in ((("true", "yes", "on"), True), (("false", "no", "off"), False))
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}
_LARGEST_INTEGER = 2**63
#: Of more digits than any such integer has, no integer is made.
_MOST_DIGITS = 70
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the configuration and its place.

    Attributes:
        value: a scalar, or the child nodes as a dict or a list, which are shared where the text has aliases.
        place: line of the key (of the item in a list), counted from 1; or the ``--set`` option it came from.
    """

    value: Any
    place: int | str

    def plain(self) -> Any:
        """Return the value without the places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        return [child.plain() for child in self.value] if isinstance(self.value, list) else self.value


def too_large(label: str) -> UserError:
    """Return the error for a text of more than ``MAX_BYTES``."""
    size = f"larger than {MAX_BYTES // 2**20} MiB"
    return UserError(f"{label}: {size}; put large point sets into a data file (file: ...)")


@lru_cache(maxsize=64)
def parse_value(text: str, option: str) -> Node:
    """Return the value of a ``--set`` option; every node has ``option`` as its place.

    The members of a sweep have most options in common.
    """
    return compose(text, option, is_option=True) or Node(None, option)


def compose(text: str, label: str, is_option: bool = False) -> Node | None:
    """Return the tree of nodes in ``text``, None if it holds nothing.

    Raises:
        UserError: not YAML, or beyond the limits.
    """
    if len(text) > MAX_BYTES:
        raise too_large(label)
    composer = _Composer(text, label, is_option)
    if (bad := _FORBIDDEN.search(text)) is not None:
        what = f"character U+{ord(bad.group()):04X} is not allowed in YAML; is this a text file?"
        raise composer.error(text.count("\n", 0, bad.start()) + 1, what)
    try:
        return composer.document()
    except yaml.MarkedYAMLError as error:
        raise composer.error(*_complaint(error, text)) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise composer.error(1, f"not valid YAML: {shown(str(error), 120)}") from error


def _complaint(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """Return the line of PyYAML's complaint, and one sentence of it."""
    mark = error.problem_mark or error.context_mark
    lines = text.splitlines() or [""]
    # What is missing at the end is missed one line after it.
    line = min(mark.line + 1 if mark is not None else 1, len(lines))
    written = lines[line - 1]
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return line, "a tab cannot indent YAML; use spaces"
    what = " ".join(part for part in (error.context, error.problem) if part)
    if "nesting depth" in what:  # newer parsers have a limit of their own, and see it first
        return line, _TOO_DEEP
    return line, f"not valid YAML: {what or 'cannot be read'}"


class _Composer:
    """Makes nodes of the parser's events; no deeper than ``MAX_DEPTH``, so that recursion is safe."""

    def __init__(self, text: str, label: str, is_option: bool) -> None:
        self.label, self.is_option = label, is_option
        self.events = yaml.parse(text, Loader=_LOADER)
        self.depth = self.values = 0
        #: What each anchor stands for, and how many values that has.
        self.anchors: dict[str, tuple[Any, int]] = {}

    def error(self, line: int | str, message: str) -> UserError:
        return UserError(f"{self.label}: {message}" if self.is_option else f"{self.label}:{line}: {message}")

    def document(self) -> Node | None:
        """Return the root of the only document."""
        root = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                what = "a second YAML document starts here; a configuration is one document"
                raise self.error(_line(event), what)
            if isinstance(event, yaml.NodeEvent):
                root = self._node(event)
        return root

    def _node(
        self, event: Any, key_place: int | str | None = None, read: Callable[[str], Any] | None = None
    ) -> Node:
        """Return the node that begins with ``event``.

        Args:
            event: its first event.
            key_place: where its key is, if it has one.
            read: what makes a value of an unquoted scalar; None: ``resolve``.
        """
        line = _line(event)
        place = key_place or (self.label if self.is_option else line)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise self.error(line, f"alias *{event.anchor} stands for nothing that ends before it")
            value, size = self.anchors[event.anchor]
            self._count(size, line)
            return Node(value, place)
        before = self.values
        self._count(1, line)
        if event.tag is not None:
            raise self.error(line, f"tag {shown(event.tag)} is not allowed; write plain values")
        if isinstance(event, yaml.ScalarEvent):
            try:
                value = (read or resolve)(event.value) if event.implicit[0] else event.value
            except ValueError as error:
                raise self.error(line, str(error)) from error
        else:
            if self.depth >= MAX_DEPTH:
                raise self.error(line, _TOO_DEEP)
            self.depth += 1
            value = self._mapping() if isinstance(event, yaml.MappingStartEvent) else self._list()
            self.depth -= 1
        if event.anchor is not None:
            self.anchors[event.anchor] = value, self.values - before
        return Node(value, place)

    def _list(self) -> list[Node]:
        items = takewhile(lambda event: not isinstance(event, yaml.SequenceEndEvent), self.events)
        return [self._node(event) for event in items]

    def _mapping(self) -> dict[str, Node]:
        values: dict[str, Node] = {}
        merged: list[Node] = []
        for event in takewhile(lambda event: not isinstance(event, yaml.MappingEndEvent), self.events):
            line, key_node = _line(event), self._node(event, read=str)  # a key is what is written
            key = key_node.value
            if not isinstance(key, str):
                raise self.error(line, "a key must be a plain word")
            if key in values:
                first = "" if self.is_option else f" (first in line {values[key].place})"
                raise self.error(line, f"key {shown(key)} appears twice{first}")
            child = self._node(next(self.events), key_node.place)
            if key != "<<":
                values[key] = child
            elif getattr(event, "implicit", (False,))[0]:
                merged += self._mappings_to_merge(child)
            else:
                raise self.error(line, "unknown key '<<'")
        for node in merged:
            for key, child in node.value.items():
                values.setdefault(key, child)
        return values

    def _mappings_to_merge(self, node: Node) -> list[Node]:
        candidates: list[Node] = node.value if isinstance(node.value, list) else [node]
        if not all(isinstance(candidate.value, dict) for candidate in candidates):
            raise self.error(node.place, "<< takes a mapping or a list of mappings")
        return candidates

    def _count(self, values: int, line: int) -> None:
        self.values += values
        if self.values > MAX_VALUES:
            what = f"more than {MAX_VALUES} values, aliases expanded; put large point sets into a data file"
            raise self.error(line, f"{what} (file: ...)")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def resolve(text: str) -> str | int | float | bool | None:
    """Return what an unquoted scalar stands for.

    Raises:
        ValueError: a number that is not finite, or does not fit a double.
    """
    if text in NULLS:
        return None
    if text in BOOLS:
        return BOOLS[text]
    if NOT_FINITE.match(text):
        raise ValueError(f"{text} is not allowed; numbers must be finite")
    digits = text.replace("_", "")
    if INTEGER.match(text) and len(digits) <= _MOST_DIGITS:
        integer = int(digits, {"0x": 16, "0o": 8}.get(digits.lstrip("+-")[:2], 10))
        if -_LARGEST_INTEGER <= integer < _LARGEST_INTEGER:
            return integer  # else a double may hold it
    if FLOAT.match(text):
        number = float(digits)
        if math.isinf(number):
            raise ValueError(f"{shown(text)} is too large; numbers reach to 1.8e308")
        return number
    return text


def is_text(text: str) -> bool:
    """Whether a text stays one when it is written without quotes."""
    try:
        return isinstance(resolve(text), str) and text != "<<"
    except ValueError:
        return False
