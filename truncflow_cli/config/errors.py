"""What is wrong with a setting, told before anyone knows which line it was written on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

#: The word that was meant is looked for among so many.
_LOOKED_THROUGH = 1000


class Fault(Exception):  # noqa: N818 - becomes a UserError once its place is known
    """Something is wrong with the value at hand; the message says what, and what is allowed.

    Functions that know nothing of files and keys raise it; whoever knows where the value was written turns
    it into a :class:`~truncflow_cli.errors.UserError` that begins with ``file:line: key.path:``.

    Attributes:
        inside: keys from the setting at hand down to the part of it that is wrong.
    """

    def __init__(self, message: str, inside: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.inside = inside


def shown(value: object, limit: int = 40) -> str:
    """Return ``value`` as a message quotes it: on one line, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def text_of(data: bytes, where: str) -> str:
    """Return the text in ``data``: UTF-8, or UTF-16 with its byte order mark.

    Raises:
        Fault: it is neither; the message begins with ``where`` and the line.
    """
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Fault(f"{where}{line}: not UTF-8 text (byte 0x{data[error.start]:02x})") from error


def reason(error: OSError | ValueError) -> str:
    """Return why a file cannot be opened or read."""
    return str(error.strerror if isinstance(error, OSError) else error)


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed word that ``word`` was probably meant to be, or None."""
    by_lower_case = {name[:100].lower(): name for name in islice(allowed, _LOOKED_THROUGH)}
    close = difflib.get_close_matches(word[:100].lower(), by_lower_case, n=1, cutoff=0.6)
    return by_lower_case[close[0]] if close else None


def suggestion(word: str, allowed: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" where an allowed word is close to ``word``, else nothing."""
    close = nearest(word, allowed)
    return f" (did you mean '{close}'?)" if close is not None else ""


def listed(words: Iterable[object], limit: int = 12) -> str:
    """Return the words with commas between them, cut after ``limit`` of them."""
    every = [str(word) for word in words]
    more = len(every) - limit
    return ", ".join(every[:limit]) + (f" and {more} more" if more > 0 else "")
