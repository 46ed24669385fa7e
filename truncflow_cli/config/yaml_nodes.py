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
from functools import lru_cache
from typing import Any

import yaml

from truncflow_cli.config.document import Document, Node
from truncflow_cli.config.errors import Fault, one_line, shown, text_of
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
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def decode(data: bytes, label: str) -> str:
    """Return the text in ``data``: UTF-8, or UTF-16 with its byte order mark.

    Raises:
        UserError: it is neither, or larger than ``MAX_BYTES``.
    """
    if len(data) > MAX_BYTES:
        size = f"larger than {MAX_BYTES // 2**20} MiB"
        raise UserError(f"{label}: {size}; put large point sets into a data file (file: ...)")
    try:
        return text_of(data, lambda line: f"{label}:{line}")
    except Fault as fault:
        raise UserError(str(fault)) from fault


def parse(text: str, label: str) -> Document:
    """Return the configuration in ``text``.

    Raises:
        UserError: not YAML, or not a mapping, or beyond the limits above.
    """
    root = compose(text, label)
    if root is None or root.value is None:
        raise UserError(f"{label}:1: the configuration is empty; it needs at least clusters:")
    if not isinstance(root.value, dict):
        what = "a configuration is a mapping of keys such as flow: and clusters:"
        raise UserError(f"{label}:{root.place}: {what}")
    return Document(label, root)


@lru_cache(maxsize=64)
def parse_value(text: str, option: str) -> Node:
    """Return the value of a ``--set`` option; every node has ``option`` as its place.

    The members of a sweep have most options in common.
    """
    root = compose(text, option, is_option=True)
    return Node(None, option) if root is None else root


def compose(text: str, label: str, is_option: bool = False) -> Node | None:
    """Return the tree of nodes in ``text``, None if it holds nothing.

    Raises:
        UserError: not YAML, or beyond the limits.
    """
    if len(text) > MAX_BYTES:
        raise UserError(f"{label}: larger than {MAX_BYTES // 2**20} MiB")
    composer = _Composer(text, label, is_option)
    if (bad := _FORBIDDEN.search(text)) is not None:
        line = text.count("\n", 0, bad.start()) + 1
        raise composer.error(
            line, f"character U+{ord(bad.group()):04X} is not allowed in YAML; is this a text file?"
        )
    try:
        return composer.document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, composer, text) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise composer.error(1, f"not valid YAML: {shown(str(error), 120)}") from error


def _syntax_error(error: yaml.MarkedYAMLError, composer: _Composer, text: str) -> UserError:
    """Return PyYAML's complaint in one sentence."""
    mark = error.problem_mark or error.context_mark
    lines = text.splitlines() or [""]
    # What is missing at the end is missed one line after it.
    line = min(mark.line + 1 if mark is not None else 1, len(lines))
    written = lines[line - 1]
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return composer.error(line, "a tab cannot indent YAML; use spaces")
    what = " ".join(part for part in (error.context, error.problem) if part)
    if "nesting depth" in what:  # newer parsers have a limit of their own, and see it first
        return composer.error(line, _TOO_DEEP)
    return composer.error(line, f"not valid YAML: {what or 'cannot be read'}")


class _Composer:
    """Makes nodes of the parser's events; no deeper than ``MAX_DEPTH``, so that recursion is safe."""

    def __init__(self, text: str, label: str, is_option: bool) -> None:
        self.label = label
        self.is_option = is_option
        self.events = yaml.parse(text, Loader=_LOADER)
        self.depth = 0
        self.values = 0
        #: Node of each anchor, and how many values it has.
        self.anchors: dict[str, tuple[Node, int]] = {}

    def error(self, line: int | str, message: str) -> UserError:
        place = self.label if self.is_option else f"{self.label}:{line}"
        return UserError(one_line(f"{place}: {message}"))

    def document(self) -> Node | None:
        """Return the root of the only document."""
        root = None
        n_documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                n_documents += 1
                if n_documents > 1:
                    what = "a second YAML document starts here; a configuration is one document"
                    raise self.error(_line(event), what)
            elif isinstance(event, yaml.NodeEvent):
                root = self._node(event)
        return root

    def _node(self, event: Any, key_place: int | str | None = None) -> Node:
        """Return the node that begins with ``event``; its place is that of its key, where it has one."""
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            return Node(self._alias(event, line).value, self._place(line) if key_place is None else key_place)
        before = self.values
        self._admit(event, line)
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, line)
        else:
            if self.depth >= MAX_DEPTH:
                raise self.error(line, _TOO_DEEP)
            self.depth += 1
            value = self._mapping() if isinstance(event, yaml.MappingStartEvent) else self._list()
            self.depth -= 1
        node = Node(value, self._place(line) if key_place is None else key_place)
        self._keep(event, node, before)
        return node

    def _alias(self, event: Any, line: int) -> Node:
        if event.anchor not in self.anchors:
            raise self.error(line, f"alias *{event.anchor} stands for nothing that ends before it")
        node, size = self.anchors[event.anchor]
        self._count(size, line)
        return node

    def _scalar(self, event: Any, line: int) -> Any:
        try:
            return resolve(event.value) if event.implicit[0] else event.value
        except ValueError as error:
            raise self.error(line, str(error)) from error

    def _list(self) -> list[Node]:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event))
        return items

    def _mapping(self) -> dict[str, Node]:
        values: dict[str, Node] = {}
        merged: list[Node] = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = _line(event)
            key = self._key(event, line)
            if key == "<<":
                if not getattr(event, "implicit", (False,))[0]:
                    raise self.error(line, "unknown key '<<'")
                merged.extend(self._mappings_to_merge(self._node(next(self.events), self._place(line))))
                continue
            if key in values:
                first = "" if self.is_option else f" (first in line {values[key].place})"
                raise self.error(line, f"key {shown(key)} appears twice{first}")
            values[key] = self._node(next(self.events), self._place(line))
        for node in merged:
            for key, child in node.value.items():
                values.setdefault(key, child)
        return values

    def _key(self, event: Any, line: int) -> str:
        """Return the key that ``event`` is: the text as it is written, whatever it would be as a value."""
        if isinstance(event, yaml.AliasEvent):
            text = self._alias(event, line).value
        else:
            before = self.values
            self._admit(event, line)
            text = event.value if isinstance(event, yaml.ScalarEvent) else None
            self._keep(event, Node(text, self._place(line)), before)
        if not isinstance(text, str):
            raise self.error(line, "a key must be a plain word")
        return text

    def _mappings_to_merge(self, node: Node) -> list[Node]:
        candidates = node.value if isinstance(node.value, list) else [node]
        if not all(isinstance(candidate.value, dict) for candidate in candidates):
            raise self.error(node.place, "<< takes a mapping or a list of mappings")
        return list(candidates)

    def _admit(self, event: Any, line: int) -> None:
        """Count a node that is not an alias, and refuse its tag."""
        self._count(1, line)
        if event.tag is not None:
            raise self.error(line, f"tag {shown(event.tag)} is not allowed; write plain values")

    def _keep(self, event: Any, node: Node, before: int) -> None:
        """Remember a finished node by its anchor, if it has one."""
        if event.anchor is not None:
            self.anchors[event.anchor] = (node, self.values - before)

    def _count(self, values: int, line: int) -> None:
        self.values += values
        if self.values > MAX_VALUES:
            what = f"more than {MAX_VALUES} values, aliases expanded; put large point sets into a data file"
            raise self.error(line, f"{what} (file: ...)")

    def _place(self, line: int) -> int | str:
        return self.label if self.is_option else line


def _line(event: yaml.Event) -> int:
    return int(event.start_mark.line) + 1 if event.start_mark is not None else 1


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
    if INTEGER.match(text) and (integer := _integer(text)) is not None:
        return integer
    if FLOAT.match(text):
        number = float(text.replace("_", ""))
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


def _integer(text: str) -> int | None:
    """Return the integer, or None if 64 bits do not hold it (it is taken as a floating-point number then)."""
    digits = text.replace("_", "")
    if len(digits) > 70:
        return None
    base = {"0x": 16, "0o": 8}.get(digits.lstrip("+-")[:2].lower(), 10)
    value = int(digits, base)
    return value if -_LARGEST_INTEGER <= value < _LARGEST_INTEGER else None
