"""Runs side by side in the terminal: what they are, their losses over one another, and each against the first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from truncflow_cli.report.compare.compare import Comparison, Member
from truncflow_cli.report.compare.eventrows import event_rows, kind_rows, parting_sentence
from truncflow_cli.report.compare.states import Difference
from truncflow_cli.report.console import Page
from truncflow_cli.report.numbers import count, listing, share, short
from truncflow_cli.report.sparkline import (
    LABEL,
    SHARED,
    framed,
    letter,
    line,
    longest,
    overlay,
    scale_of,
    sparkline,
)
from truncflow_cli.report.tables import ABSENT, differing
from truncflow_cli.report.text import CURVE, PLURAL, STATUS_STYLE, WIDEST

#: Runs that are listed, runs whose losses are drawn over one another, runs compared with the first one each.
MOST_RUNS, MOST_CURVES, MOST_PAIRS = 24, 6, 6
#: Rows of a table of differences, config keys, runs named with a value of one, characters of such a value.
MOST_ROWS, MOST_KEYS, MOST_LETTERS, LONGEST_VALUE = 12, 24, 8, 60
#: A distance is so many times the quantity itself at least, where it is not given in percent.
SPOKEN_OF = 20.0
#: Rows of the chart, columns of a file's name.
CHART_ROWS, LONGEST_NAME = 10, 28


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
        _pair(page, comparison, letter(index))
    left_out = len(members) - 1 - min(len(comparisons), MOST_PAIRS)
    if left_out:
        page.gap()
        page.line(f"{count(left_out, 'more run')} to compare with A: --json has them all, --csv a row a run.")


def _runs(page: Page, members: Sequence[Member]) -> None:
    page.picture(f"{len(members)} runs", "bold", 0)
    rows, styles = [], []
    for index, member in enumerate(members):
        row, status = member.row, str(member.row["status"])
        judged = [
            f"{len(member.verdicts[verdict])} {PLURAL[verdict]}"
            for verdict in ("violated", "holds")
            if member.verdicts.get(verdict)
        ]
        name = Path(member.path).stem
        rows.append(
            [
                letter(index),
                name
                if len(name) <= LONGEST_NAME
                else "~" + name[1 - LONGEST_NAME :],  # where those of a study differ
                str(row["flow"]),
                status,
                short(float(row["s_end"])),
                str(row["events"]),
                short(float(row["max_abs_D"])),
                ", ".join(judged),
            ]
        )
        fine = "" if status == "complete" else STATUS_STYLE.get(status, "")
        styles.append("bold red" if member.verdicts.get("violated") else fine)
    header = ("", "run", "flow", "status", "s", "events", "max |D|", "certificates")
    page.table(header, rows, (4, 5, 6), styles, most=MOST_RUNS, noun="run")
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
    if value == ABSENT:
        return "not set"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _losses(page: Page, members: Sequence[Member]) -> None:
    page.heading("Loss")
    drawn = members[:MOST_CURVES]
    scale = scale_of(np.concatenate([member.loss for member in drawn]))
    axis = longest([member.s for member in drawn])
    if all(member.s.size > 1 for member in drawn) and scale.high > scale.low:
        width = min(page.width, WIDEST) - LABEL - 1
        picture = overlay([(member.s, member.loss) for member in drawn], width, CHART_ROWS)
        events = [(f"events {letter(index)}", member.event_times) for index, member in enumerate(drawn)]
        remark = f"{SHARED} where curves meet"
        for text in framed(picture, scale, axis, events, remark):
            page.picture(text)
    rows = []
    for index, member in enumerate(members[:MOST_RUNS]):
        first, last = float(member.loss[0]), float(member.loss[-1])
        curve = ""
        if index < MOST_CURVES and axis[-1] > 0.0:
            curve = line(member.s, member.loss, axis, scale, CURVE)
        rows.append(
            [
                letter(index),
                short(first),
                short(last),
                share(last, first) if first > 0.0 else "-",
                "" if index == 0 else f"{last - float(members[0].loss[-1]):+.3g}",
                curve,
            ]
        )
    page.table(("", "start", "end", "left", "end - A's", ""), rows, right=(1, 2, 3, 4))


def _pair(page: Page, comparison: Comparison, name: str) -> None:
    page.heading(f"{name} against A")
    page.line(f"compared {comparison.times.how('A', name)}")
    for remark in comparison.remarks:
        page.line(remark)
    _states(page, comparison)
    _events(page, comparison, name)


def _states(page: Page, comparison: Comparison) -> None:
    s = comparison.times.s
    estimated = comparison.times.interpolated
    rows = [_state_row(each, s, estimated) for each in comparison.differences]
    columns = ("", f"at s = {short(float(s[-1]))}", "of A's", "largest", "at s")
    header = (*columns, *(["interp. error"] if estimated else []), "")
    page.table(header, rows, right=tuple(range(1, len(header) - 1)), most=MOST_ROWS)


def _state_row(difference: Difference, s: np.ndarray, estimated: bool) -> list[str]:
    distance, last, size = np.abs(difference.values), difference.last, difference.size
    width = CURVE // 2 if estimated else CURVE
    relative = "-"
    if size > 0.0:
        times = abs(last) / size
        relative = share(abs(last), size) if times <= SPOKEN_OF else f"{short(times)} times"
    return [
        difference.name,
        f"{last:+.4g}" if difference.name == "loss" and last else short(last),
        relative,
        short(difference.largest),
        short(float(s[difference.where])) if difference.largest else "-",
        *([short(difference.error)] if estimated else []),
        sparkline(s, distance, width) if distance.any() else "",
    ]


def _events(page: Page, comparison: Comparison, there: str) -> None:
    matching, here = comparison.matching, "A"
    if matching is None:
        return
    rows = kind_rows(matching)
    page.gap()
    if not rows:
        page.line("No events in either.")
        return
    alone = f"{here} only", f"{there} only"
    header = ("events", here, there, "matched", *alone, "median |Δs|", "largest |Δs|")
    page.table(header, rows, right=tuple(range(1, 8)))
    for name, beyond in zip((here, there), matching.beyond, strict=True):
        if beyond:
            page.line(f"{name} has {count(beyond, 'event')} after the end of the other.")
    page.line(parting_sentence(matching, (here, there)), "bold" if matching.parting else "")
    if differing_events := event_rows(matching):
        columns = (f"s in {here}", f"s in {there}", "later by", "what", "layer", "point", "coord.")
        page.table(columns, differing_events, right=(0, 1, 2, 4, 5, 6))
