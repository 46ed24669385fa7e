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
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from truncflow_cli.config.document import Document, Node
from truncflow_cli.config.errors import one_line, shown
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
    for word, value in (
        ("true", True),
        ("yes", True),
        ("on", True),
        ("false", False),
        ("no", False),
        ("off", False),
    )
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
        raise UserError(
            f"{label}: larger than {MAX_BYTES // 2**20} MiB; put large point sets into a data file (file: "
            f"...)"
        )
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{label}:{line}: not UTF-8 text (byte 0x{data[error.start]:02x})") from error


def parse(text: str, label: str) -> Document:
    """Return the configuration in ``text``.

    Raises:
        UserError: not YAML, or not a mapping, or beyond the limits above.
    """
    root = compose(text, label)
    if root is None or root.value is None:
        raise UserError(f"{label}:1: the configuration is empty; it needs at least clusters:")
    if not isinstance(root.value, dict):
        raise UserError(
            f"{label}:{root.place}: a configuration is a mapping of keys such as flow: and clusters:"
        )
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
    composer = _Composer(label, is_option)
    if len(text) > MAX_BYTES:
        raise UserError(f"{label}: larger than {MAX_BYTES // 2**20} MiB")
    if (bad := _FORBIDDEN.search(text)) is not None:
        line = text.count("\n", 0, bad.start()) + 1
        raise composer.error(
            line, f"character U+{ord(bad.group()):04X} is not allowed in YAML; is this a text file?"
        )
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, composer, text) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise composer.error(1, f"not valid YAML: {shown(str(error), 120)}") from error
    return composer.root


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


@dataclass
class _Frame:
    """A mapping or list that is being read."""

    node: Node
    anchor: str | None
    values_before: int
    key: str | None = None
    key_place: int | str = 0
    merged: list[Node] = field(default_factory=list)


class _Composer:
    """Takes parser events one by one and builds nodes, on a stack of its own instead of by recursion."""

    def __init__(self, label: str, is_option: bool) -> None:
        self.label = label
        self.is_option = is_option
        self.root: Node | None = None
        self.documents = 0
        self.values = 0
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Node, int]] = {}

    def error(self, line: int | str, message: str) -> UserError:
        place = self.label if self.is_option else f"{self.label}:{line}"
        return UserError(one_line(f"{place}: {message}"))

    def take(self, event: yaml.Event) -> None:
        """Add what ``event`` says to the tree."""
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.error(
                    self._line(event), "a second YAML document starts here; a configuration is one document"
                )
        elif isinstance(event, yaml.NodeEvent):
            self._take_node(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()

    def _take_node(self, event: yaml.NodeEvent) -> None:
        line = self._line(event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise self.error(line, f"alias *{event.anchor} stands for nothing that ends before it")
            node, size = self.anchors[event.anchor]
            self._count(size, line)
            self._attach(Node(node.value, self._place(line)))
            return
        self._count(1, line)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self.error(line, f"tag {shown(tag)} is not allowed; write plain values")
        if isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event, line)
            return
        if len(self.stack) >= MAX_DEPTH:
            raise self.error(line, _TOO_DEEP)
        empty: dict[str, Node] | list[Node] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.stack.append(_Frame(Node(empty, self._child_place(line)), event.anchor, self.values - 1))

    def _take_scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        text = event.value
        is_plain = event.implicit[0]
        if self._wants_key():
            if event.anchor is not None:
                self.anchors[event.anchor] = (Node(text, self._place(line)), 1)
            self._take_key(text, is_merge=is_plain and text == "<<", line=line)
            return
        try:
            value = resolve(text) if is_plain else text
        except ValueError as error:
            raise self.error(line, str(error)) from error
        node = Node(value, self._child_place(line))
        if event.anchor is not None:
            self.anchors[event.anchor] = (node, 1)
        self._attach(node)

    def _take_key(self, text: str, is_merge: bool, line: int) -> None:
        frame = self.stack[-1]
        if is_merge:
            frame.key = "<<"
        elif text in frame.node.value:
            first = frame.node.value[text].place
            raise self.error(
                line,
                f"key {shown(text)} appears twice" + ("" if self.is_option else f" (first in line {first})"),
            )
        else:
            frame.key = text
        frame.key_place = self._place(line)
        if not is_merge and text == "<<":
            raise self.error(line, "unknown key '<<'")

    def _attach(self, node: Node) -> None:
        """Put a finished node where it belongs: root, open list, or the open mapping's current key."""
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if isinstance(frame.node.value, list):
            frame.node.value.append(node)
        elif frame.key is None:
            if not isinstance(node.value, str):
                raise self.error(node.place, "a key must be a plain word")
            self._take_key(node.value, is_merge=False, line=node.place if isinstance(node.place, int) else 0)
        elif frame.key == "<<":
            frame.merged.extend(self._mappings_to_merge(node))
            frame.key = None
        else:
            frame.node.value[frame.key] = Node(node.value, frame.key_place)
            frame.key = None

    def _mappings_to_merge(self, node: Node) -> list[Node]:
        candidates = node.value if isinstance(node.value, list) else [node]
        if not all(isinstance(candidate.value, dict) for candidate in candidates):
            raise self.error(node.place, "<< takes a mapping or a list of mappings")
        return list(candidates)

    def _close(self) -> None:
        """End the open mapping or list."""
        frame = self.stack.pop()
        for merged in frame.merged:
            for key, child in merged.value.items():
                frame.node.value.setdefault(key, child)
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (frame.node, self.values - frame.values_before)
        if self._wants_key():
            raise self.error(frame.node.place, "a key must be a plain word")
        self._attach(frame.node)

    def _wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].node.value, dict) and self.stack[-1].key is None

    def _count(self, values: int, line: int) -> None:
        self.values += values
        if self.values > MAX_VALUES:
            raise self.error(
                line,
                f"more than {MAX_VALUES} values, aliases expanded; put large point sets into a data file "
                f"(file: ...)",
            )

    def _line(self, event: yaml.Event) -> int:
        return int(event.start_mark.line) + 1 if event.start_mark is not None else 1

    def _place(self, line: int) -> int | str:
        return self.label if self.is_option else line

    def _child_place(self, line: int) -> int | str:
        """Return the place of a value that starts in ``line``: that of its key where it has one."""
        if self.stack and isinstance(self.stack[-1].node.value, dict) and not self._wants_key():
            return self.stack[-1].key_place
        return self._place(line)


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


def _integer(text: str) -> int | None:
    """Return the integer, or None if 64 bits do not hold it (it is taken as a floating-point number then)."""
    digits = text.replace("_", "")
    if len(digits) > 70:
        return None
    base = {"0x": 16, "0o": 8}.get(digits.lstrip("+-")[:2].lower(), 10)
    value = int(digits, base)
    return value if -_LARGEST_INTEGER <= value < _LARGEST_INTEGER else None
