"""The certificates of a run as HTML: verdict, claim, what it means, numbers, hypothesis."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from truncflow_cli.diagnostics import meaning
from truncflow_cli.report.numbers import count, listing
from truncflow_cli.report.page.markup import escape, formula, number, paragraphs
from truncflow_cli.run_data import Certificate, Run

#: The sign that stands before each verdict, and the class of its colour.
SIGNS = {
    "violated": ("✕", "bad"),
    "holds": ("✓", "good"),
    "hypothesis not met": ("–", "open"),
    "not applicable": ("○", "none"),
}
#: Verdicts whose certificates are shown at once; the others are folded.
UNFOLDED = ("violated", "holds", "hypothesis not met")
#: What each verdict means, the worst first.
VERDICTS = {
    "violated": "The hypothesis is met on this run, yet the measured value lies beyond the bound.",
    "holds": "The hypothesis is met on this run, and the claim was found true within the bound.",
    "hypothesis not met": "The statement assumes something that is not so on this run: it says nothing about it.",
    "not applicable": "The statement is about another flow, or about something that this run does not have.",
}

#: Text that begins with a word, not with a symbol that would not be the same as a capital.
WORD = re.compile(r"[a-z]+[ ,]")


def certificates_html(run: Run, certificates: Mapping[str, Certificate]) -> str:
    """Return the certificates, those of one verdict together, the worst first."""
    if not certificates:
        return paragraphs(["There are none: the run has no saved time that could be certified."])
    parts = []
    if not run.certificates:
        parts.append(paragraphs(["They were made for this page: the run file has none yet."]))
    for verdict, explained in VERDICTS.items():
        mine = [certificate for certificate in certificates.values() if certificate.verdict == verdict]
        if not mine:
            continue
        heading = f"{badge(verdict)} {count(len(mine), 'statement')}"
        cards = '<div class="cards">' + "\n".join(_card(certificate) for certificate in mine) + "</div>"
        explanation = f"<p>{escape(explained)}</p>"
        if verdict in UNFOLDED:
            parts.append(f'<section class="verdict"><h3>{heading}</h3>{explanation}{cards}</section>')
        else:
            folded = listing([certificate.name.replace("_", " ") for certificate in mine], most=len(mine))
            parts.append(
                f'<p class="printed">{heading}: {escape(folded)}.</p>'
                f'<details class="verdict"><summary><h3>{heading}</h3></summary>{explanation}{cards}</details>'
            )
    return "\n".join(parts)


def badge(verdict: str) -> str:
    """Return a verdict with its sign and colour."""
    sign, kind = SIGNS[verdict]
    return f'<span class="badge {kind}"><span aria-hidden="true">{sign}</span> {escape(verdict)}</span>'


def verdict_counts(certificates: Mapping[str, Certificate]) -> str:
    """Return how many certificates have which verdict, with links to them."""
    counts = [(verdict, sum(c.verdict == verdict for c in certificates.values())) for verdict in VERDICTS]
    return " ".join(f"{badge(verdict)} {many}" for verdict, many in counts if many)


def _card(certificate: Certificate) -> str:
    measured = {label: getattr(certificate, label) for label in ("value", "bound", "margin")}
    numbers = "".join(
        f"<div><dt>{label}</dt><dd>{number(value)}</dd></div>"
        for label, value in measured.items()
        if not math.isnan(value)
    )
    meant = meaning(certificate.name)
    return (
        f'<article class="card {SIGNS[certificate.verdict][1]}">'
        f"<h4>{escape(certificate.name.replace('_', ' '))}</h4>"
        f'<p class="source">{escape(certificate.source)}</p>'
        f"<p>{formula(_sentence(certificate.statement))}</p>"
        + (f'<p class="meaning">{escape(meant)}</p>' if meant else "")
        + (f'<dl class="numbers">{numbers}</dl>' if numbers else "")
        + f'<p class="hypothesis"><b>On this run:</b> {formula(_sentence(certificate.hypothesis))}</p></article>'
    )


def _sentence(text: str) -> str:
    text = text.strip()
    if WORD.match(text):
        text = text[0].upper() + text[1:]
    return text if not text or text.endswith((".", "!", "?")) else text + "."
