"""The values of one swept key: lists, ranges, and how each value is told from every other."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from truncflow_cli.config.errors import shown
from truncflow_cli.config.yaml_nodes import is_text, parse_value
from truncflow_cli.errors import UserError

#: A sweep of more runs than this is a slip of the pen.
MOST_MEMBERS = 100_000

_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_RANGE = re.compile(rf"(log:)?({_NUMBER}):({_NUMBER}):([0-9]+)\Z")
#: What was probably meant to be a range.
_LIKE_A_RANGE = re.compile(rf"log:|{_NUMBER}(?::{_NUMBER})+\Z")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
#: Digits with which the points of a geometric range are found before they are rounded to floats.
_LOGARITHMS = Context(prec=40)

_BRACKETS = {"]": "[", "}": "{"}
#: A quote opens a quoted text only where a YAML value can begin.
_BEFORE_A_QUOTE = frozenset(",[{: ")

#: Readable parts of file names: what every file system takes, whatever the case.
_UNSAFE = re.compile(r"[^A-Za-z0-9.+-]+")
_LONGEST_NAME = 40
_HASH_DIGITS = 12


@dataclass(frozen=True)
class Value:
    """One value of a swept key.

    Attributes:
        text: the YAML of it, as ``--set`` takes it.
        plain: what that stands for.
    """

    text: str
    plain: Any

    @property
    def exact(self) -> str:
        """A text that equal values share, and no others: 1e-3, 0.001 and 1.0E-3 are one value."""
        return _exact(self.plain)

    @property
    def name(self) -> str:
        """The value as part of a file name; a hash is added where that does not tell it from every other."""
        readable = self.plain if isinstance(self.plain, str) else self.exact
        safe = _UNSAFE.sub("_", readable).strip("_.")[:_LONGEST_NAME]
        says_it_all = safe == readable and safe == safe.lower()
        if isinstance(self.plain, str):
            says_it_all = says_it_all and is_text(readable)
        return safe if says_it_all else "-".join(filter(None, (safe, digest(self.exact))))


def parse_values(spec: str, option: str) -> tuple[Value, ...]:
    """Return the values that stand in an option after ``key.path=``; ``option`` is what messages call it.

    Values have commas between them and are YAML each: brackets and quotes hold commas together. ``a:b:n`` stands
    for n numbers from a to b, both ends included, evenly spaced; ``log:a:b:n`` for n numbers with constant ratio.
    A quoted value is never a range.

    Raises:
        UserError: an empty value, brackets that do not match, a range that is none, or a value that is not YAML.
    """
    values: list[Value] = []
    for item in _split(spec, option):
        if _LIKE_A_RANGE.match(item):
            values.extend(_range(item, option))
        else:
            values.append(Value(item, parse_value(item, option).plain()))
        if len(values) > MOST_MEMBERS:
            raise UserError(f"{option}: more than {MOST_MEMBERS:,} values")
    return tuple(values)


def digest(text: str) -> str:
    """Return a few characters that no two texts of a sweep share."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]


def number_text(number: float) -> str:
    """Return the shortest text of a number: 1e-6, 0.1, 20."""
    if isinstance(number, int) or (number.is_integer() and abs(number) < 1e16):
        return str(int(number))
    return re.sub(r"e([-+])0*", lambda match: "e" + match[1].replace("+", ""), repr(number))


def _split(spec: str, option: str) -> Iterator[str]:
    """Yield what stands between the commas that are not inside brackets or quotes."""
    brackets: list[str] = []
    quote = ""
    start = 0
    before = ","
    for position, character in enumerate(spec):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and before in _BEFORE_A_QUOTE:
            quote = character
        elif character in "[{":
            brackets.append(character)
        elif character in _BRACKETS:
            if not brackets or brackets.pop() != _BRACKETS[character]:
                raise UserError(f"{option}: {character} closes nothing")
        elif character == "," and not brackets:
            yield _item(spec[start:position], option)
            start = position + 1
        before = character
    if brackets or quote:
        raise UserError(f"{option}: {quote or brackets[-1]} is never closed")
    yield _item(spec[start:], option)


def _item(text: str, option: str) -> str:
    text = text.strip()
    if not text:
        raise UserError(f"{option}: a value is missing; write null or '' if you mean one of these")
    return text


def _range(item: str, option: str) -> Iterator[Value]:
    match = _RANGE.match(item)
    if match is None:
        raise UserError(f"{option}: {shown(item)} is no range; allowed: a:b:n, log:a:b:n (quote a text)")
    logarithmic, first, last, count = match.groups()
    n = int(count) if len(count) < 10 else MOST_MEMBERS + 1
    if not 2 <= n <= MOST_MEMBERS:
        raise UserError(f"{option}: range {shown(item)}: n must be from 2 to {MOST_MEMBERS:,}")
    a, b = float(first), float(last)
    if any(abs(end) > 1e300 or 0.0 < abs(end) < 1e-300 for end in (a, b)):
        raise UserError(f"{option}: range {shown(item)}: its ends must be between 1e-300 and 1e300 in size")
    if logarithmic and min(a, b) <= 0.0:
        raise UserError(f"{option}: range {shown(item)}: both ends of log:a:b:n must be positive")
    numbers = _geometric(a, b, n) if logarithmic else _linear(first, last, n)
    for number in numbers:
        text = number_text(number)
        yield Value(text, int(text) if _INTEGER.match(text) else number)


def _linear(first: str, last: str, n: int) -> Iterator[float]:
    """Yield a + (b - a) k / (n - 1), rounded once, so that 0:1:11 has 0.3 and not 0.30000000000000004."""
    ends = (int(end) if _INTEGER.match(end) else repr(float(end)) for end in (first, last))
    a, b = map(Fraction, ends)
    for k in range(n):
        number = a + (b - a) * k / (n - 1)
        yield int(number) if number.denominator == 1 else float(number)


def _geometric(a: float, b: float, n: int) -> Iterator[float]:
    """Yield a (b/a)^(k / (n - 1)), rounded once, with the ends as they are."""
    low, high = (_LOGARITHMS.ln(Decimal(repr(end))) for end in (a, b))
    yield a
    for k in range(1, n - 1):
        share = _LOGARITHMS.divide(Decimal(k), Decimal(n - 1))
        exponent = _LOGARITHMS.fma(_LOGARITHMS.subtract(high, low), share, low)
        yield float(_LOGARITHMS.exp(exponent))
    yield b


def _exact(plain: Any) -> str:
    if isinstance(plain, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_exact(plain[key])}" for key in sorted(plain)) + "}"
    if isinstance(plain, list):
        return "[" + ",".join(map(_exact, plain)) + "]"
    if isinstance(plain, bool) or plain is None:
        return json.dumps(plain)
    return number_text(plain) if isinstance(plain, (int, float)) else json.dumps(plain)
