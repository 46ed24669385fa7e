"""The two ways a run can end badly without the program being at fault."""

from __future__ import annotations


def one_line(text: str) -> str:
    """Return ``text`` with everything escaped that would not show as it is, line ends and terminal codes included."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return text if text.isprintable() else "".join(escaped)


class UserError(Exception):
    """Bad usage, configuration or input file (exit code 2).

    The message says what is wrong, where (``file:line`` of the YAML key where there is one) and what is
    allowed, in a sentence or two. It is printed as it stands, without a traceback. What it quotes may come from
    anywhere: it is kept to one line of printable characters.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class RunFailed(Exception):  # noqa: N818 - a run fails; it is the outcome, not a programming error
    """The integration could not go on (exit code 3); everything up to ``s`` has been handed out.

    Attributes:
        s: flow time that was reached (dimensionless).
    """

    def __init__(self, message: str, s: float) -> None:
        super().__init__(message)
        self.s = s
