"""The page: what the run is, what happened, pictures along s, certificates, events, config, how to make it again."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from truncflow_cli.cluster_names import called
from truncflow_cli.errors import UserError
from truncflow_cli.report.numbers import count
from truncflow_cli.report.page.certificates import certificates_html, verdict_counts
from truncflow_cli.report.page.curves import Chart, chart_html, charts_of
from truncflow_cli.report.page.eventdata import event_data, event_summary, left_out
from truncflow_cli.report.page.frames import Frames, frames_of
from truncflow_cli.report.page.geometry import Picture, picture_html, pictures_of
from truncflow_cli.report.page.markup import clean, escape, facts, name, number, paragraphs, script_json
from truncflow_cli.report.replacing import replacing
from truncflow_cli.report.sentences import is_loud, story, work_done
from truncflow_cli.report.sparkline import logarithmic_axis
from truncflow_cli.report.summary import Summary, number_or_nan
from truncflow_cli.run_data import Run

#: The parts of the page's script, in the order in which they need one another.
SCRIPTS = ("base.js", "charts.js", "glyphs.js", "geometry.js", "events.js", "player.js", "page.js")
#: Characters of the config that are shown: one with thousands of points written into it takes more.
MOST_CONFIG = 20_000
#: Warnings that are shown.
MOST_WARNINGS = 20
NOT_DRAWN = "The geometry is not drawn: some of its numbers are not finite, or too large."
#: Writes the config of the run file that is named after it to stdout.
PRINT_CONFIG = "import sys, truncflow_cli as t; sys.stdout.write(t.open_run(sys.argv[1]).config)"
#: How every page begins; a file that does not is not replaced by one.
BEGINNING = b"<!doctype html>"


def write_page(run: Run, path: Path) -> Path:
    """Write the page of a run, of any flow and status; a page that is there already is replaced in one step.

    Returns the file, symbolic links resolved; its folder is made if need be.

    Raises:
        UserError: it cannot be written, or something else than a page lies there.
    """
    target = Path(os.path.realpath(path))
    _check(target)
    text = page(run)
    with replacing(target) as part:
        part.write_text(text, encoding="utf-8", errors="replace")
    return target


def _check(target: Path) -> None:
    """Refuse to replace what is not a page: a config or a run file named by mistake."""
    if not target.exists():
        return
    if not target.is_file():
        raise UserError(f"{target} is not a regular file; choose another name for the page")
    try:
        with target.open("rb") as stream:
            beginning = stream.read(len(BEGINNING))
    except OSError as error:
        raise UserError(f"cannot read {target}: {os.strerror(error.errno or 0).lower()}") from error
    if beginning.lower() != BEGINNING and beginning:
        raise UserError(f"{target} exists and is not a page of a run; choose another name for the page")


def page(run: Run) -> str:
    """Return the page of a run as HTML.

    Nothing in it is fetched: style, script and data are inline, and a content security policy allows these, by their
    checksums, and nothing else.
    """
    summary = Summary(run)
    certificates = summary.certificates
    names = called([name(each) for each in summary.names])
    frames = frames_of(run)
    charts = charts_of(summary, frames, names)
    pictures = pictures_of(run, frames)
    style = _resource("page.css")
    script = "(() => {\n'use strict';\n" + "\n".join(_resource(part) for part in SCRIPTS) + "\n})();\n"
    title = name(run.path.stem)
    return Template(_resource("page.html")).substitute(
        policy=_policy(style, script),
        title=escape(title),
        status=_status(summary.status),
        facts=facts([*summary.heading(number), ("events", f"{run.events.size:,}")]),
        story=_story(summary),
        warnings=paragraphs(_warnings(run), "warning"),
        verdicts=verdict_counts(certificates),
        left_out=paragraphs(frames.left_out(run), "note"),
        panels="\n".join(picture_html(picture, names) for picture in pictures),
        not_drawn=paragraphs([NOT_DRAWN] if not pictures and summary.flow.part("scene") else [], "note"),
        charts="\n".join(chart_html(chart) for chart in charts),
        certificates=certificates_html(run, certificates),
        events=event_summary(run, names) + paragraphs(left_out(run), "note"),
        config=_config(run),
        reproduce=_reproduce(run),
        style=style,
        script=script,
        data=script_json(_data(run, frames, charts, pictures, names)),
    )


def _resource(file: str) -> str:
    return files(__package__ or "").joinpath(file).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    def checksum(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; script-src {checksum(script)}; style-src {checksum(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _data(
    run: Run, frames: Frames, charts: list[Chart], pictures: list[Picture], names: list[str]
) -> dict[str, Any]:
    return {
        "s": frames.s,
        "logarithmic": logarithmic_axis(frames.s),
        "names": names,
        "charts": [{**asdict(chart), "caption": None} for chart in charts],
        "panels": [picture.data for picture in pictures],
        "events": event_data(run, frames),
    }


def _warnings(run: Run) -> list[str]:
    more = len(run.warnings) - MOST_WARNINGS
    rest = [f"{count(more, 'more warning')}: `truncflow report RUN.h5 --json` has all of them."]
    return [*(f"Warning: {each}" for each in run.warnings[:MOST_WARNINGS]), *(rest if more > 0 else [])]


def _story(summary: Summary) -> str:
    told = [paragraphs([each], "loud" if is_loud(each) else "") for each in story(summary)]
    return "\n".join([*told, paragraphs([clean(each) for each in summary.facts])])


def _status(status: str) -> str:
    kind = {"complete": "good", "failed": "bad"}.get(status, "open")
    return f'<span class="badge {kind}">{escape(status)}</span>'


def _config(run: Run) -> str:
    text, note = clean(run.config), ""
    if len(text) > MOST_CONFIG:
        note = f"The first {MOST_CONFIG:,} of its {len(text):,} characters; the run file has all of it."
    return f"{paragraphs([note] if note else [], 'note')}<pre><code>{escape(text[:MOST_CONFIG])}</code></pre>"


def _reproduce(run: Run) -> str:
    attrs = run.attrs
    file = clean(run.path.name)
    quoted = shlex.quote(file if not file.startswith("-") else f"./{file}")
    again = (
        f"python -c {shlex.quote(PRINT_CONFIG)} {quoted} > again.yaml\n"
        "truncflow run again.yaml -o again.h5\n"
        f"truncflow report {quoted} again.h5"
    )
    versions = [
        (part, str(attrs.get(f"{part.lower()}_version", "unknown")))
        for part in ("truncflow", "Python", "numpy", "scipy", "h5py")
    ]
    made = [
        ("made on", str(attrs.get("created", "")) or "unknown"),
        ("took", f"{number(number_or_nan(attrs.get('elapsed_seconds')))} s"),
        ("seed", str(attrs.get("seed", ""))),
    ]
    if run.counters:
        made.append(("work", work_done(run.counters, run.events.size)))
    return (
        "<p>The file was made by</p>"
        f"<pre><code>{escape(attrs.get('command') or 'a command that is not known')}</code></pre>"
        "<p>The run file holds the whole config, every default written out. To run it again, from where the data "
        "files named in it can be found, and compare:</p>"
        f"<pre><code>{escape(again)}</code></pre>{facts(versions + made)}"
    )
