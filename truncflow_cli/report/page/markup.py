"""Text, numbers and tables as HTML, whatever is in them."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Sequence
from typing import Any

from truncflow_cli.report import json_output
from truncflow_cli.report.numbers import short

#: Characters that HTML does not allow, or that turn the direction of what follows them.
UNFIT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
#: A number's exponent as Python writes it.
EXPONENT = re.compile(r"e([+-])0*(\d+)$")
#: What comes before a lowered part: a single letter, or the word "mean".
SYMBOL = r"(?:(?<=\bmean)|(?<![A-Za-z0-9_].)(?<=[A-Za-zΣΩ∂τ]))"
#: What is a command, raised or lowered in text with formulas, and how that then looks; none reaches into another.
FORMS = (
    (re.compile(r"`([^`<>]+)`"), r"<code>\1</code>"),
    (re.compile(r"\^\{([^{}<>]*)\}"), r"<sup>\1</sup>"),
    (re.compile(r"\^(\([ℓkLQ0-9]\)|[0-9]+)"), r"<sup>\1</sup>"),
    (re.compile(r"(?<=[A-Za-z])_\{([^{}<>]*)\}"), r"<sub>\1</sub>"),
    (re.compile(SYMBOL + r"_(ext|[a-zℓ]{1,2}|[A-Zβ])(?![A-Za-z_])"), r"<sub>\1</sub>"),
)
#: Significant digits of a number in the page's data.
DIGITS = 8
#: Characters of a name that are shown.
LONGEST_NAME = 60


def clean(text: object) -> str:
    """Return text in which every character may stand in a page."""
    return UNFIT.sub("\ufffd", str(text).replace("\r\n", "\n").replace("\r", "\n"))


def escape(text: object) -> str:
    """Return text as it stands between tags or in a quoted attribute."""
    return html.escape(clean(text))


def formula(text: object) -> str:
    """Return text with formulas in it as HTML: "e^{−s}" and "R_ℓ" with raised and lowered parts, and `commands`."""
    result = escape(text)
    for pattern, form in FORMS:
        result = pattern.sub(form, result)
    return result


def name(text: object) -> str:
    """Return a name, shortened, not escaped."""
    text = " ".join(clean(text).split())
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def number(value: float) -> str:
    """Return a number as people read it, four significant digits, with a true minus sign."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = EXPONENT.sub(lambda found: f"e{found[1].replace('+', '')}{found[2]}", short(value))
    return text.replace("-", "−")


def script_json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in; numbers that are not finite are null."""
    text = json.dumps(
        json_output.clean(value, _in_short), ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _in_short(value: str | float) -> str | float:
    """Return a text cleaned, a number with ``DIGITS`` digits."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int):
        return value
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e6 else rounded


def table(
    caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()
) -> str:
    """Return a table of cells (HTML): the first of each row is its header, ``numbers`` are columns of numbers."""

    def cells(contents: Sequence[str], first: str, rest: str) -> str:
        kinds = [' class="number"' if column in numbers else "" for column in range(len(contents))]
        tags = [first] + [rest] * (len(contents) - 1)
        every = zip(tags, kinds, contents, strict=True)
        return "".join(f"<{tag}{kind}>{content}</{tag[:2]}>" for tag, kind, content in every)

    column, row = 'th scope="col"', 'th scope="row"'
    head = cells(header, column, column)
    body = "\n".join(f"<tr>{cells(each, row, 'td')}</tr>" for each in rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Return a list of terms and what they are (texts)."""
    return (
        "<dl>" + "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in pairs) + "</dl>"
    )


def paragraphs(texts: Sequence[str], kind: str = "") -> str:
    """Return a paragraph a text."""
    opening = f'<p class="{kind}">' if kind else "<p>"
    return "\n".join(f"{opening}{formula(text)}</p>" for text in texts)
