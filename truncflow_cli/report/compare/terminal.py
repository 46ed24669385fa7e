"""Runs side by side in the terminal: what they are, their losses over one another, and each against the first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from truncflow_cli.report.compare.compare import Comparison
from truncflow_cli.report.compare.curves import SHARED, common_scale, letter, line, longest, overlay
from truncflow_cli.report.compare.eventrows import event_rows, kind_rows, parting_sentence
from truncflow_cli.report.compare.member import Member
from truncflow_cli.report.compare.states import Difference
from truncflow_cli.report.console import Page
from truncflow_cli.report.numbers import count, listing, share, short
from truncflow_cli.report.sparkline import logarithmic_axis, scale_of, sparkline
from truncflow_cli.report.tables import differing
from truncflow_cli.report.text import LABEL, PLURAL, STATUS_STYLE, event_ticks

#: Runs that are listed, runs whose losses are drawn over one another, runs compared with the first one each.
MOST_RUNS, MOST_CURVES, MOST_PAIRS = 24, 6, 6
#: Rows of a table of differences, config keys, runs named with a value of one, characters of such a value.
MOST_ROWS, MOST_KEYS, MOST_LETTERS, LONGEST_VALUE = 12, 24, 8, 60
#: A distance is so many times the quantity itself at least, where it is not given in percent.
SPOKEN_OF = 20.0
#: Characters of a curve in a table, rows of the chart, columns of a file's name.
CURVE, CHART_ROWS, LONGEST_NAME = 22, 10, 28


def render_comparison(members: Sequence[Member], comparisons: Sequence[Comparison], console: Console) -> None:
    """Write what several runs have in common and where they differ.

    Args:
        members: the runs, at least two.
        comparisons: the second run and those that follow it, each compared with the first; those that are
            missing at the end are counted.
        console: of any width, encoding and colour.
    """
    page = Page(console)
    _runs(page, members)
    _settings(page, members)
    _losses(page, members)
    for index, comparison in enumerate(comparisons[:MOST_PAIRS], start=1):
        _pair(page, comparison, index)
    left_out = len(members) - 1 - min(len(comparisons), MOST_PAIRS)
    if left_out:
        page.gap()
        page.line(f"{count(left_out, 'more run')} to compare with A: --json has them all, --csv a row a run.")


def _runs(page: Page, members: Sequence[Member]) -> None:
    page.picture(f"{len(members)} runs", "bold", 0)
    rows = []
    for index, member in enumerate(members[:MOST_RUNS]):
        row = member.row
        judged = ", ".join(
            f"{len(member.verdicts[verdict])} {PLURAL[verdict]}"
            for verdict in ("violated", "holds")
            if member.verdicts.get(verdict)
        )
        name = _tail(Path(member.path).stem, LONGEST_NAME)
        rows.append(
            [
                letter(index),
                name,
                str(row["flow"]),
                str(row["status"]),
                short(float(row["s_end"])),
                str(row["events"]),
                short(float(row["max_abs_D"])),
                judged,
            ]
        )
    header = ("", "run", "flow", "status", "s", "events", "max |D|", "certificates")
    styles = [
        "bold red" if member.verdicts.get("violated") else STATUS_STYLE.get(str(member.row["status"]), "")
        for member in members[:MOST_RUNS]
    ]
    styles = ["" if style == "green" else style for style in styles]
    page.table(header, rows, right=(4, 5, 6), styles=styles)
    if len(members) > MOST_RUNS:
        page.line(f"and {count(len(members) - MOST_RUNS, 'run')} more")
    for names, who in _grouped([member.verdicts.get("violated", []) for member in members[:MOST_RUNS]]):
        if names:
            spoken = listing([name.replace("_", " ") for name in names])
            page.line(f"VIOLATED in {listing(who)}: {spoken}", "bold red", hanging=2)


def _grouped(values: Sequence[Any]) -> list[tuple[Any, list[str]]]:
    """Return each different value with the letters of the runs that have it."""
    groups: list[tuple[Any, list[str]]] = []
    for index, value in enumerate(values):
        for other, letters in groups:
            if other == value:
                letters.append(letter(index))
                break
        else:
            groups.append((value, [letter(index)]))
    return groups


def _settings(page: Page, members: Sequence[Member]) -> None:
    different = differing([member.settings for member in members])
    page.heading("Configs" if different else "Configs: the same")
    for key, values in list(different.items())[:MOST_KEYS]:
        groups = [f"{_value(value)} ({_letters(who)})" for value, who in _grouped(values)]
        page.line(f"{key}: {'; '.join(groups[:MOST_ROWS])}", hanging=2)
        if len(groups) > MOST_ROWS:
            page.line(f"and {count(len(groups) - MOST_ROWS, 'value')} more", indent=4)
    if len(different) > MOST_KEYS:
        page.line(f"and {count(len(different) - MOST_KEYS, 'key')} more")


def _letters(who: Sequence[str]) -> str:
    if len(who) <= MOST_LETTERS:
        return ", ".join(who)
    return f"{', '.join(who[:MOST_LETTERS])} and {len(who) - MOST_LETTERS} more"


def _value(value: Any) -> str:
    if value == "-":
        return "not set"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _tail(name: str, room: int) -> str:
    """Return the end of a name, where those of one study differ."""
    return name if len(name) <= room else "~" + name[1 - room :]


def _losses(page: Page, members: Sequence[Member]) -> None:
    page.heading("Loss")
    drawn = [member for member in members[:MOST_CURVES] if member.s.size > 1]
    scale = common_scale([member.loss for member in members[:MOST_CURVES]])
    axis = longest([member.s for member in members[:MOST_CURVES]])
    if len(drawn) == len(members[:MOST_CURVES]) and scale.high > scale.low:
        _chart(page, members[:MOST_CURVES])
    first = members[0]
    rows = []
    for index, member in enumerate(members[:MOST_RUNS]):
        loss = float(member.loss[0]), float(member.loss[-1])
        curve = ""
        if index < MOST_CURVES and axis[-1] > 0.0:
            curve = line(member.s, member.loss, axis, scale, CURVE, ascii_only=page.ascii_only)
        rows.append(
            [
                letter(index),
                short(loss[0]),
                short(loss[1]),
                share(loss[1], loss[0]) if loss[0] > 0.0 else "-",
                "" if index == 0 else f"{loss[1] - float(first.loss[-1]):+.3g}",
                curve + (" log" if curve and scale.logarithmic else ""),
            ]
        )
    page.table(("", "start", "end", "left", "end - A's", ""), rows, right=(1, 2, 3, 4))


def _chart(page: Page, members: Sequence[Member]) -> None:
    width = min(page.width, 76) - LABEL - 1
    curves = [(member.s, member.loss) for member in members]
    scale = common_scale([member.loss for member in members])
    bar = "|" if page.ascii_only else "│"
    for index, row in enumerate(overlay(curves, width, CHART_ROWS)):
        label = {0: short(scale.high), CHART_ROWS - 1: short(scale.low)}.get(index, "")
        page.picture(f"{label:>{LABEL}}{bar}{row}")
    axis = longest([member.s for member in members])
    for index, member in enumerate(members):
        ticks = event_ticks(member.event_times, axis, width, page.ascii_only)
        if ticks.strip():
            page.picture(f"{f'events {letter(index)}':>{LABEL}}{bar}{ticks}")
    crowded = logarithmic_axis(axis)
    ends = f"s = {short(float(axis[1]))}" if crowded else "0", f"s = {short(float(axis[-1]))}"
    kind = {(0, 0): "", (1, 0): "logarithmic", (0, 1): "log s", (1, 1): "log-log"}[scale.logarithmic, crowded]
    legend = f"{kind}{', ' if kind else ''}{SHARED} where curves meet"
    page.picture(f"{'':>{LABEL}} {ends[0]}{legend:^{max(0, width - len(ends[0]) - len(ends[1]))}}{ends[1]}")


def _pair(page: Page, comparison: Comparison, index: int) -> None:
    page.heading(f"{letter(index)} against A")
    page.line(f"compared {comparison.times.how('A', letter(index))}")
    for remark in comparison.remarks:
        page.line(remark)
    _states(page, comparison)
    _events(page, comparison, index)


def _states(page: Page, comparison: Comparison) -> None:
    s = comparison.times.s
    estimated = comparison.times.interpolated
    rows = [_state_row(page, each, s, estimated) for each in comparison.differences[:MOST_ROWS]]
    columns = ("", f"at s = {short(float(s[-1]))}", "of A's", "largest", "at s")
    header = (*columns, *(["interp. error"] if estimated else []), "")
    page.table(header, rows, right=tuple(range(1, len(header) - 1)))
    if len(comparison.differences) > MOST_ROWS:
        page.line(f"and {len(comparison.differences) - MOST_ROWS} more")


def _state_row(page: Page, difference: Difference, s: np.ndarray, estimated: bool) -> list[str]:
    distance = np.abs(difference.values)
    width = CURVE // 2 if estimated else CURVE
    curve = sparkline(s, distance, width, ascii_only=page.ascii_only) if distance.any() else ""
    last = (
        f"{difference.last:+.4g}" if difference.name == "loss" and difference.last else short(difference.last)
    )
    return [
        difference.name,
        last,
        _relative(abs(difference.last), difference.size),
        short(difference.largest),
        short(float(s[difference.where])) if difference.largest else "-",
        *([short(difference.error)] if estimated else []),
        curve + (" log" if curve and scale_of(distance).logarithmic else ""),
    ]


def _relative(part: float, whole: float) -> str:
    if whole <= 0.0:
        return "-"
    return share(part, whole) if part <= SPOKEN_OF * whole else f"{short(part / whole)} times"


def _events(page: Page, comparison: Comparison, index: int) -> None:
    matching = comparison.matching
    if matching is None:
        return
    names = "A", letter(index)
    rows = kind_rows(matching)
    page.gap()
    if not rows:
        page.line("No events in either.")
        return
    here, there = names
    header = (
        "events",
        here,
        there,
        "matched",
        f"{here} only",
        f"{there} only",
        "median |Δs|",
        "largest |Δs|",
    )
    page.table((*header, ""), [[*row, ""] for row in rows], right=tuple(range(1, 8)))
    for name, beyond in zip(names, matching.beyond, strict=True):
        if beyond:
            page.line(f"{name} has {count(beyond, 'event')} after the end of the other.")
    page.line(parting_sentence(matching, names), "bold" if matching.parting else "")
    differing_events = event_rows(matching)
    if differing_events:
        page.table(
            (f"s in {here}", f"s in {there}", "later by", "what", "layer", "point", "coord."),
            differing_events,
            right=(0, 1, 2, 4, 5, 6),
        )
