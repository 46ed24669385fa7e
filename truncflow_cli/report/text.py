"""The report of a run in the terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

import numpy as np
from rich.console import Console

from truncflow_cli.certificate import Certificate
from truncflow_cli.cluster_names import cluster_names
from truncflow_cli.problem import Array
from truncflow_cli.report.console import Page
from truncflow_cli.report.content import (
    THEOREM,
    certificates_of,
    facts_of,
    quantities_of,
    section_of,
    sizes_of,
)
from truncflow_cli.report.history import Span, by_kind, departures, rests, separation_spans, truncations
from truncflow_cli.report.numbers import count, listing, share, short
from truncflow_cli.report.sentences import is_loud, status_of, story, work_done
from truncflow_cli.report.sparkline import chart, logarithmic_axis, positions, scale_of, sparkline
from truncflow_cli.run_data import RunLike

#: Rows of a table that are shown; what is left out is counted (all of it is in the JSON report).
MOST_ROWS = 12
#: Characters of a curve in a table, and rows of the chart.
CURVE, CHART_ROWS = 22, 6
#: What most hypotheses begin with, and a report need not repeat.
EVERYWHERE = re.compile(r"^evaluated at all \d+ saved times[;:] ")
#: Columns of the chart's labels.
LABEL = 9

STATUS_STYLE = {
    "complete": "green",
    "failed": "bold red",
    "interrupted": "yellow",
    "running": "yellow",
    "killed": "yellow",
}
PLURAL = {
    "violated": "VIOLATED",
    "holds": "hold",
    "hypothesis not met": "without their hypothesis",
    "not applicable": "not applicable",
}
VERDICT_STYLE = {"violated": "bold red", "holds": "green", "hypothesis not met": "", "not applicable": "dim"}


def render(run: RunLike, console: Console) -> None:
    """Write the report of a run, of any flow and status, on a console of any width, encoding and colour."""
    page = Page(console)
    certificates = certificates_of(run)
    _what(page, run)
    page.heading("What happened")
    for paragraph in story(run, certificates):
        page.line(paragraph, "bold red" if is_loud(paragraph) else "")
    _loss(page, run)
    _balance(page, certificates)
    _quantities(page, run, certificates)
    _events(page, run)
    _certificates(page, run, certificates)


def _what(page: Page, run: RunLike) -> None:
    attrs, sizes = run.attrs, sizes_of(run)
    status = status_of(run)
    page.title(str(run.path), f"({status})", STATUS_STYLE.get(status, "yellow"))
    frozen = ", rotation frozen" if attrs.get("rotation_frozen") else ""
    equations = "equations AS PRINTED" if attrs.get("equations") == "printed" else "exact equations"
    page.line(f"flow {attrs['flow']} ({THEOREM[str(attrs['flow'])]}), {equations}{frozen}")
    if attrs.get("switched_at") is not None:
        page.line(f"flow general from s = {short(float(attrs['switched_at']))} on")
    data = (
        f"{count(sizes['N'], 'point')} in {count(sizes['C'], 'cluster')}"
        if sizes["N"]
        else (f"no data, {count(sizes['C'], 'label')}")
    )
    layers = f", {count(sizes['L'], 'layer')}" if sizes["L"] else ""
    page.line(f"{data}, dimension {sizes['Q']}{layers}; seed {attrs.get('seed')}")
    integrator = section_of(run, "integrator")
    asked = integrator.get("s_end")
    of = f" of {short(float(asked))}" if asked is not None and float(asked) > run.s[-1] else ""
    page.line(
        f"s = 0 to {short(float(run.s[-1]))}{of}, {count(sizes['T'], 'saved time')}; "
        f"rtol {float(integrator.get('rtol', np.nan)):g}, atol {float(integrator.get('atol', np.nan)):g}"
    )
    names = cluster_names(run.notes, len(run.y_tilde))
    if names != [str(k) for k in range(sizes["C"])]:
        page.line("clusters: " + listing([f"{k} {name}" for k, name in enumerate(names)], MOST_ROWS))
    margin = run.notes.get("construct margin")
    if margin is not None:
        page.line(f"start constructed ({run.notes.get('construct')}), margin {short(float(margin))}")
    page.line(
        f"truncflow {attrs.get('truncflow_version')}, Python {attrs.get('python_version')}, "
        f"numpy {attrs.get('numpy_version')}; {float(attrs.get('elapsed_seconds', np.nan)):.3g} s on "
        f"{str(attrs.get('created', ''))[:10]}",
        "dim",
    )
    for warning in run.warnings[:3]:
        page.line(f"warning: {warning}", "yellow")


def _loss(page: Page, run: RunLike) -> None:
    page.heading("Loss")
    if run.s.size > 1 and np.ptp(run.loss) > 0.0:
        _chart(page, run)
    names = cluster_names(run.notes, len(run.y_tilde))
    rows = [_loss_row(page, run, "total", run.loss)]
    parts = run.loss_cluster.shape[1] if run.loss_cluster.shape[1] > 1 else 0
    for k in range(min(parts, MOST_ROWS)):
        label = f"cluster {k}" + (f" {names[k]}" if names[k] != str(k) else "")
        rows.append(
            _loss_row(page, run, textwrap.shorten(label, 20, placeholder="~"), run.loss_cluster[:, k])
        )
    page.table(("", "start", "end", "left", ""), rows, right=(1, 2, 3))
    left_out = parts - MOST_ROWS
    if left_out > 0:
        page.line(f"and {count(left_out, 'cluster')} more")


def _loss_row(page: Page, run: RunLike, label: str, loss: np.ndarray) -> list[str]:
    first, last = float(loss[0]), float(loss[-1])
    left = share(last, first) if first > 0.0 and np.isfinite(last) else "-"
    curve = sparkline(run.s, loss, CURVE, ascii_only=page.ascii_only)
    logarithmic = " log" if curve and scale_of(loss).logarithmic else ""
    return [label, short(first), short(last), left, curve + logarithmic]


def _chart(page: Page, run: RunLike) -> None:
    scale = scale_of(run.loss)
    width = min(page.width, 76) - LABEL - 1
    lines = chart(run.s, run.loss, width, CHART_ROWS, ascii_only=page.ascii_only)
    bar = "|" if page.ascii_only else "│"
    for index, line in enumerate(lines):
        label = {0: short(scale.high), CHART_ROWS - 1: short(scale.low)}.get(index, "")
        page.picture(f"{label:>{LABEL}}{bar}{line}")
    ticks = event_ticks(run.events["s"], run.s, width, page.ascii_only)
    if ticks.strip():
        page.picture(f"{'events':>{LABEL}}{bar}{ticks}")
    crowded = logarithmic_axis(run.s)
    start = f"s = {short(float(run.s[1]))}" if crowded else "0"
    end = f"s = {short(float(run.s[-1]))}"
    middle = {(0, 0): "", (1, 0): "logarithmic", (0, 1): "log s", (1, 1): "log-log"}[
        scale.logarithmic, crowded
    ]
    page.picture(f"{'':>{LABEL}} {start}{middle:^{max(0, width - len(start) - len(end))}}{end}")


def event_ticks(times: Array, s: Array, width: int, ascii_only: bool) -> str:
    """Return a row of marks where events (E,) are on the axis of saved times (T,), denser where there are more."""
    if s[-1] <= 0.0 or not times.size:
        return ""
    at = np.minimum((positions(times, s) * width).astype(int), width - 1)
    counts = np.bincount(at, minlength=width)
    marks = ".:#" if ascii_only else "·∶█"
    levels = (1, max(3, int(counts.max()) // 3))
    return "".join(" " if n == 0 else marks[sum(n > level for level in levels)] for n in counts.tolist())


def _balance(page: Page, certificates: Mapping[str, Certificate]) -> None:
    balance = certificates.get("energy_balance")
    if balance is None:
        return
    inside = balance.verdict == "holds"
    page.heading("Energy balance", "bold" if inside else "bold red")
    verdict = "within tolerance" if inside else "OUT OF TOLERANCE"
    page.line(
        f"largest |D(s)| = {short(balance.value)}, tolerance {short(balance.bound)}: {verdict}",
        "" if inside else "bold red",
    )


def _quantities(page: Page, run: RunLike, certificates: Mapping[str, Certificate]) -> None:
    quantities = quantities_of(run, certificates)
    page.heading("State")
    for line in facts_of(run):
        page.line(line)
    if run.s.size < 2:
        return
    rows = []
    for name, values in list(quantities.items())[:MOST_ROWS]:
        curve = sparkline(run.s, values, CURVE, ascii_only=page.ascii_only)
        logarithmic = " log" if curve and scale_of(values).logarithmic else ""
        rows.append([name, short(float(values[0])), short(float(values[-1])), curve + logarithmic])
    page.table(("", "start", "end", ""), rows, right=(1, 2))
    if len(quantities) > MOST_ROWS:
        page.line(f"and {len(quantities) - MOST_ROWS} more")


def _events(page: Page, run: RunLike) -> None:
    counts = {kind: number for kind, number in by_kind(run).items() if number}
    page.heading(f"Events: {run.events.size}")
    if counts:
        page.line(", ".join(f"{kind.replace('_', ' ')} {number}" for kind, number in counts.items()))
    histories = truncations(run)
    if histories:
        rows = [
            [
                str(h.cluster),
                str(h.layer),
                f"{h.cut[0]} → {h.cut[1]} of {h.points}",
                "-" if h.began is None else ("start" if h.began == 0.0 else short(h.began)),
                "-" if h.ended is None else short(h.ended),
                "-" if h.collapsed is None else ("start" if h.collapsed == 0.0 else short(h.collapsed)),
                *(str(h.counts[kind]) for kind in ("truncate", "release", "pin")),
            ]
            for h in histories
        ]
        page.table(
            ("cluster", "layer", "points cut", "began", "ended", "whole", "trunc", "rel", "pin"),
            rows[:MOST_ROWS],
            right=(0, 1, 3, 4, 5, 6, 7, 8),
        )
        if len(rows) > MOST_ROWS:
            page.line(f"and {len(rows) - MOST_ROWS} pairs of cluster and layer more")
    for (cluster, layer), spans in list(separation_spans(run).items())[:MOST_ROWS]:
        page.line(f"not separated: cluster {cluster} under layer {layer}, s = {_stretches(spans)}")
    for cluster, spans in list(departures(run).items())[:MOST_ROWS]:
        page.line(f"not at −β^({cluster}), (8.1): cluster {cluster}, s = {_stretches(spans)}")
    for layer, s in list(rests(run).items())[:MOST_ROWS]:
        page.line(f"{'at rest' if layer < 0 else f'layer {layer} at rest'} from s = {short(s)}")
    if run.counters:
        page.line(f"work: {work_done(run.counters, run.events.size)}", "dim")


def _stretches(spans: list[Span]) -> str:
    return listing(
        [f"{short(span.start)} to {'the end' if span.stop is None else short(span.stop)}" for span in spans],
        4,
    )


def _certificates(page: Page, run: RunLike, certificates: Mapping[str, Certificate]) -> None:
    by_verdict: dict[str, list[Certificate]] = {verdict: [] for verdict in VERDICT_STYLE}
    for certificate in certificates.values():
        by_verdict[certificate.verdict].append(certificate)
    judged = ", ".join(f"{len(found)} {PLURAL[verdict]}" for verdict, found in by_verdict.items() if found)
    page.heading(f"Certificates: {judged or 'none'}")
    if certificates and not run.certificates:
        page.line("(made now: the file has none yet)", "dim")
    shown = [*by_verdict["violated"], *by_verdict["holds"]]
    if shown:
        page.table(
            ("", "statement", "value", "bound", "margin", "source"),
            [
                [
                    "VIOLATED" if certificate.verdict == "violated" else "holds",
                    certificate.name.replace("_", " "),
                    *(short(x) for x in (certificate.value, certificate.bound, certificate.margin)),
                    certificate.source,
                ]
                for certificate in shown
            ],
            right=(2, 3, 4),
            styles=[VERDICT_STYLE[certificate.verdict] for certificate in shown],
        )
    for certificate in by_verdict["violated"]:
        page.gap()
        page.line(f"VIOLATED {certificate.name.replace('_', ' ')}: {certificate.statement}.", "bold red")
        page.line(f"{EVERYWHERE.sub('', certificate.hypothesis)}.", indent=4)
    if len(by_verdict["not applicable"]) < len(certificates):
        page.gap()
    reasons: dict[str, list[str]] = {}
    for certificate in by_verdict["hypothesis not met"]:
        reasons.setdefault(certificate.hypothesis, []).append(certificate.name.replace("_", " "))
    for reason, names in reasons.items():
        shown_reason = textwrap.shorten(EVERYWHERE.sub("", reason), 240, placeholder=" ...")
        page.line(f"not met: {listing(names)}: {shown_reason}", hanging=2)
    if by_verdict["not applicable"]:
        others = [certificate.name.replace("_", " ") for certificate in by_verdict["not applicable"]]
        page.line(f"not applicable: {', '.join(others)}", "dim", hanging=2)
