"""The report of a run in the terminal."""

from __future__ import annotations

import re
import textwrap

import numpy as np
from rich.console import Console

from truncflow_cli.problem import Array
from truncflow_cli.report.console import INDENT, Page
from truncflow_cli.report.history import Span, by_kind, departures, rests, separation_spans
from truncflow_cli.report.numbers import listing, share, short
from truncflow_cli.report.sentences import is_loud, story, work_done
from truncflow_cli.report.sparkline import LABEL, chart, framed, scale_of, sparkline
from truncflow_cli.report.summary import Summary, number_or_nan
from truncflow_cli.run_data import Certificate, Run

#: Rows of a table that are shown; what is left out is counted (all of it is in the JSON report).
MOST_ROWS = 12
#: Characters of a curve in a table, and of a chart at most, rows of the chart.
CURVE, WIDEST, CHART_ROWS = 22, 76, 6
#: Warnings that are shown, and characters of a reason.
MOST_WARNINGS, LONGEST_REASON = 3, 240
#: What most hypotheses begin with, and a report need not repeat.
EVERYWHERE = re.compile(r"^evaluated at all \d+ saved times[;:] ")

STATUS_STYLE = {
    "complete": "green",
    "failed": "bold red",
    "interrupted": "yellow",
    "running": "yellow",
    "killed": "yellow",
}
#: What certificates of a verdict are said to do, and how they are shown.
PLURAL = {
    "violated": "VIOLATED",
    "holds": "hold",
    "hypothesis not met": "without their hypothesis",
    "not applicable": "not applicable",
}
VERDICT_STYLE = {"violated": "bold red", "holds": "green"}


def render(run: Run, console: Console) -> None:
    """Write the report of a run, of any flow and status, on a console of any width, encoding and colour."""
    page, summary = Page(console), Summary(run)
    _what(page, summary)
    page.heading("What happened")
    for paragraph in story(summary):
        page.line(paragraph, "bold red" if is_loud(paragraph) else "")
    _loss(page, summary)
    _balance(page, summary)
    _quantities(page, summary)
    _events(page, summary)
    _certificates(page, summary)


def _what(page: Page, summary: Summary) -> None:
    run, attrs = summary.run, summary.run.attrs
    page.title(str(run.path), f"({summary.status})", STATUS_STYLE.get(summary.status, "yellow"))
    for word, text in summary.heading():
        page.line(f"{word:8} {text}", hanging=9)
    made = (
        f"truncflow {attrs.get('truncflow_version')}, Python {attrs.get('python_version')}, "
        f"numpy {attrs.get('numpy_version')}; {number_or_nan(attrs.get('elapsed_seconds')):.3g} s on "
        f"{str(attrs.get('created', ''))[:10]}"
    )
    page.line(f"{'made by':8} {made}", "dim", hanging=9)
    for warning in run.warnings[:MOST_WARNINGS]:
        page.line(f"warning: {warning}", "yellow")


def _loss(page: Page, summary: Summary) -> None:
    run = summary.run
    page.heading("Loss")
    if run.s.size > 1 and np.ptp(run.loss) > 0.0:
        width = min(page.width, WIDEST) - LABEL - 1
        rows = chart(run.s, run.loss, width, CHART_ROWS)
        events = [("events", run.events["s"])]
        for line in framed(rows, scale_of(run.loss), run.s, events):
            page.picture(line)
    parts = {
        f"cluster {k}" + (f" {name}" if name != str(k) else ""): run.loss_cluster[:, k]
        for k, name in enumerate(summary.names[: run.loss_cluster.shape[1]])
    }
    losses = {"total": run.loss, **(parts if len(parts) > 1 else {})}
    rows_shown = [
        [textwrap.shorten(label, 20, placeholder="~"), *_course(run, loss)] for label, loss in losses.items()
    ]
    header = ("", "start", "end", "left", "")
    page.table(header, rows_shown, right=(1, 2, 3), most=MOST_ROWS + 1, noun="cluster")


def _course(run: Run, loss: Array) -> list[str]:
    """Return a loss (T,) at the start, at the end, what is left of it, and its curve."""
    first, last = float(loss[0]), float(loss[-1])
    left = share(last, first) if first > 0.0 and np.isfinite(last) else "-"
    return [short(first), short(last), left, sparkline(run.s, loss, CURVE)]


def _balance(page: Page, summary: Summary) -> None:
    balance = summary.certificates.get("energy_balance")
    if balance is None:
        return
    inside = balance.verdict == "holds"
    page.heading("Energy balance", "bold" if inside else "bold red")
    verdict = "within tolerance" if inside else "OUT OF TOLERANCE"
    page.line(
        f"largest |D(s)| = {short(balance.value)}, tolerance {short(balance.bound)}: {verdict}",
        "" if inside else "bold red",
    )


def _quantities(page: Page, summary: Summary) -> None:
    s = summary.run.s
    page.heading("State")
    for line in summary.facts:
        page.line(line)
    if s.size < 2:
        return
    rows = [
        [name, short(float(values[0])), short(float(values[-1])), sparkline(s, values, CURVE)]
        for name, values in summary.quantities.items()
    ]
    page.table(("", "start", "end", ""), rows, right=(1, 2), most=MOST_ROWS)


def _events(page: Page, summary: Summary) -> None:
    run = summary.run
    counts = {kind: number for kind, number in by_kind(run).items() if number}
    page.heading(f"Events: {run.events.size}")
    if counts:
        page.line(", ".join(f"{kind.replace('_', ' ')} {number}" for kind, number in counts.items()))
    if summary.truncations:
        rows = [
            [
                str(h.cluster),
                str(h.layer),
                f"{h.cut[0]} → {h.cut[1]} of {h.points}",
                *(_when(s) for s in (h.began, h.ended, h.collapsed)),
                *(str(h.counts[kind]) for kind in ("truncate", "release", "pin")),
            ]
            for h in summary.truncations
        ]
        header = ("cluster", "layer", "points cut", "began", "ended", "whole", "trunc", "rel", "pin")
        right = (0, 1, 3, 4, 5, 6, 7, 8)
        page.table(header, rows, right, most=MOST_ROWS, noun="pair of cluster and layer")
    for (cluster, layer), spans in list(separation_spans(run).items())[:MOST_ROWS]:
        page.line(f"not separated: cluster {cluster} under layer {layer}, s = {_stretches(spans)}")
    for cluster, spans in list(departures(run).items())[:MOST_ROWS]:
        page.line(f"not at −β^({cluster}), (8.1): cluster {cluster}, s = {_stretches(spans)}")
    for layer, s in list(rests(run).items())[:MOST_ROWS]:
        page.line(f"{'at rest' if layer < 0 else f'layer {layer} at rest'} from s = {short(s)}")
    if run.counters:
        page.line(f"work: {work_done(run.counters, run.events.size)}", "dim")


def _when(s: float | None) -> str:
    return "-" if s is None else "start" if s == 0.0 else short(s)


def _stretches(spans: list[Span]) -> str:
    return listing(
        [f"{short(span.start)} to {'the end' if span.stop is None else short(span.stop)}" for span in spans],
        4,
    )


def _certificates(page: Page, summary: Summary) -> None:
    by_verdict: dict[str, list[Certificate]] = {verdict: [] for verdict in PLURAL}
    for certificate in summary.certificates.values():
        by_verdict[certificate.verdict].append(certificate)
    judged = ", ".join(f"{len(found)} {PLURAL[verdict]}" for verdict, found in by_verdict.items() if found)
    page.heading(f"Certificates: {judged or 'none'}")
    if summary.certificates and not summary.run.certificates:
        page.line("(made now: the file has none yet)", "dim")
    shown = [*by_verdict["violated"], *by_verdict["holds"]]
    if shown:
        rows = [
            [
                "VIOLATED" if each.verdict == "violated" else "holds",
                _spoken(each),
                *(short(x) for x in (each.value, each.bound, each.margin)),
                each.source,
            ]
            for each in shown
        ]
        styles = [VERDICT_STYLE[each.verdict] for each in shown]
        page.table(("", "statement", "value", "bound", "margin", "source"), rows, (2, 3, 4), styles)
    for certificate in by_verdict["violated"]:
        page.gap()
        page.line(f"VIOLATED {_spoken(certificate)}: {certificate.statement}.", "bold red")
        page.line(f"{EVERYWHERE.sub('', certificate.hypothesis)}.", indent=2 * INDENT)
    if len(by_verdict["not applicable"]) < len(summary.certificates):
        page.gap()
    reasons: dict[str, list[str]] = {}
    for certificate in by_verdict["hypothesis not met"]:
        reasons.setdefault(certificate.hypothesis, []).append(_spoken(certificate))
    for reason, names in reasons.items():
        why = textwrap.shorten(EVERYWHERE.sub("", reason), LONGEST_REASON, placeholder=" ...")
        page.line(f"not met: {listing(names)}: {why}", hanging=2)
    if others := ", ".join(map(_spoken, by_verdict["not applicable"])):
        page.line(f"not applicable: {others}", "dim", hanging=2)


def _spoken(certificate: Certificate) -> str:
    return certificate.name.replace("_", " ")
