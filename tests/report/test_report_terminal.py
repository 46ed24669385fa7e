"""The terminal report shows what happened, on any console, for runs of every flow and status."""

from __future__ import annotations

import io
import os
import re
import warnings

import numpy as np
import pytest
from certified_runs import (
    certificates,
    clustered,
    collapsed,
    collapsed_on_data,
    concentrated,
    general_separated,
    losing_separation,
    not_separated,
    separated,
    untruncated,
)
from recorded_runs import Recorded, damaged, solve
from rich.cells import cell_len
from rich.console import Console

from truncflow_cli.cluster_names import cluster_names, joined_names
from truncflow_cli.events import Kind
from truncflow_cli.report.history import truncations
from truncflow_cli.report.sentences import work_done
from truncflow_cli.report.text import render
from truncflow_cli.runfile.lock import OutputLock, lock_path


def report(run: Recorded, width: int = 80, encoding: str = "utf-8", colour: bool = False) -> str:
    """Return the report of a run with its certificates, as a pipe or a terminal would get it."""
    run = damaged(run, certificates=certificates(run))
    stream = io.BytesIO()
    file = io.TextIOWrapper(stream, encoding=encoding, errors="strict", newline="\n")
    system = "standard" if colour else None
    render(run, Console(file=file, width=width, force_terminal=colour, color_system=system))
    file.flush()
    return stream.getvalue().decode(encoding)


def flat(text: str) -> str:
    """Return the report as one line, for sentences that are wrapped."""
    return " ".join(text.split())


def cut_short(run: Recorded, status: str, saved: int = 30, message: str = "") -> Recorded:
    arrays = ("s", "loss", "loss_cluster", "energy_balance", "beta", "R", "truncated_fraction")
    kept = {name: getattr(run, name)[:saved] for name in arrays}
    events = run.events[run.events["s"] <= kept["s"][-1]]
    return damaged(run, **kept, events=events, attrs={**run.attrs, "status": status, "message": message})


ALL = {
    "separated": separated,
    "frozen": lambda: separated(frozen="true"),
    "printed": lambda: separated(equations="printed"),
    "general": lambda: not_separated("general"),
    "pins": lambda: not_separated("separated", 6),
    "collapsing": concentrated,
    "resting": untruncated,
    "collapsed": lambda: collapsed(3.0),
    "collapsed without a gap": lambda: collapsed(1.0),
    "collapsed on data": lambda: collapsed_on_data(6.0),
    "clustered": clustered,
    "clustered, singular": lambda: clustered(third=0.0, s_end=1e6),
    "failed": lambda: cut_short(separated(), "failed", message="events pile up at s = 2.9 without end"),
    "interrupted": lambda: cut_short(separated(), "interrupted"),
    "running": lambda: cut_short(separated(), "running"),
    "one saved time": lambda: cut_short(separated(), "interrupted", saved=1),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_every_run_fits_into_eighty_columns_in_every_encoding(name, encoding):
    text = report(ALL[name](), encoding=encoding)
    too_long = [line for line in text.splitlines() if cell_len(line) > 80]
    assert not too_long
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert "\x1b" not in text
    assert "nan" not in text


@pytest.mark.parametrize("width", [30, 50, 200])
def test_other_widths_are_used(width):
    text = report(separated(), width=width)
    paragraph = text.partition("What happened\n")[2].partition("\n\n")[0]
    longest = max(cell_len(line) for line in paragraph.splitlines())
    assert longest <= width
    assert longest > 0.7 * min(width, 180)


def test_ascii_spells_symbols_out():
    text = report(not_separated("separated"), encoding="ascii")
    assert "|beta + y~|, layer 0" in text
    assert "?" not in text


def test_colour_only_where_the_console_has_it():
    assert "\x1b[" in report(separated(), colour=True)


def test_what_was_run_is_said():
    text = flat(report(separated(frozen="true")))
    for words in (
        "run.h5 (complete)",
        "flow separated (Theorem 3.2), exact equations, rotation frozen",
        "80 points in 2 clusters, dimension 2, 2 layers; seed 0",
        "s = 0 to 10, 101 saved times; rtol 1e-09, atol 1e-12",
        "truncflow 0.1.0, Python 3.11.7",
        "start constructed (separated, start: mixed), margin",
    ):
        assert words in text


def test_loss_and_its_parts_are_shown_from_start_to_end():
    run = separated()
    text = report(run)
    row = re.search(r"total +(\S+) +(\S+) +(\S+) % +(\S+)", text)
    assert float(row[1]) == pytest.approx(run.loss[0], rel=1e-3)
    assert float(row[2]) == pytest.approx(run.loss[-1], rel=1e-3)
    assert float(row[3]) == pytest.approx(100 * run.loss[-1] / run.loss[0], rel=1e-2)
    assert row[4][0] == "█"
    assert len(row[4]) == 22
    for k in (0, 1):
        part = re.search(rf"^  cluster {k} +(\S+) +(\S+)", text.partition("\nLoss\n")[2], re.MULTILINE)
        assert float(part[1]) == pytest.approx(run.loss_cluster[0, k], rel=1e-3)
        assert float(part[2]) == pytest.approx(run.loss_cluster[-1, k], rel=1e-3)


def test_loss_that_spans_much_is_drawn_on_a_logarithmic_scale():
    assert "logarithmic" in report(collapsed(3.0))
    assert "logarithmic" not in report(separated())


def test_crowded_saved_times_get_a_logarithmic_axis():
    text = (
        "flow: clustered\nclusters: [{points: [[1.0, 0.1]]}, {points: [[0.0, 1.0]]}]\n"
        "initial: {rotation: identity, bias: [[1, 1], [1, 1]]}\nintegrator: {s_end: 1e4}\n"
        "save: {count: 51, spacing: log, first: 0.01}\n"
    )
    shown = report(solve(text))
    assert "s = 0.01 " in shown
    assert re.search(r"log(-log| s)", shown)


def test_events_are_counted_by_kind_cluster_and_layer():
    run = not_separated("separated", 6)
    text = report(run)
    assert f"Events: {run.events.size}" in text
    for kind in (Kind.TRUNCATE, Kind.RELEASE, Kind.PIN):
        assert f"{kind.name.lower()} {np.count_nonzero(run.events['kind'] == kind)}" in text
    rows = re.findall(r"^ +(\d) +(\d)  (\d+) → (\d+) of 12 .* (\d+) +(\d+) +(\d+)$", text, re.MULTILINE)
    assert len(rows) == 3
    for k, layer, start, end, truncated, released, pinned in rows:
        mine = run.events[(run.events["layer"] == int(layer)) & (run.events["cluster"] == int(k))]
        counts = [np.count_nonzero(mine["kind"] == kind) for kind in (Kind.TRUNCATE, Kind.RELEASE, Kind.PIN)]
        assert [int(truncated), int(released), int(pinned)] == counts
        for t, shown in ((0, start), (-1, end)):
            z = (run.x[run.cluster == int(k)] + run.beta[t, int(layer)]) @ run.R[t, int(layer)].T
            assert int(shown) == np.count_nonzero((z <= 1e-12).any(axis=1))


def test_balance_out_of_tolerance_is_said_loudly():
    run = separated()
    broken = damaged(run, energy_balance=run.energy_balance + np.linspace(0, 1e-3, run.s.size))
    text = report(broken)
    assert text.count("OUT OF TOLERANCE") == 2
    assert "OUT OF TOLERANCE" not in report(run)


def test_violated_certificate_is_shown_with_what_was_found():
    text = flat(report(separated(equations="printed")))
    assert "VIOLATED gradient parts: (∂_β C)·∂_s β ≤ 0" in text
    assert "5 VIOLATED" in text
    assert "equations AS PRINTED" in text


@pytest.mark.parametrize(
    ("status", "shown"), [("failed", "failed"), ("interrupted", "interrupted"), ("running", "killed")]
)
def test_unfinished_runs_say_how_far_they_came(status, shown):
    text = flat(report(cut_short(separated(), status, message="the step size is at rounding level")))
    assert f"({shown})" in text
    assert "s = 0 to 2.9 of 10" in text
    if status == "failed":
        assert "The run failed at s = 2.9: the step size is at rounding level." in text


def test_running_is_said_of_a_run_that_somebody_writes(tmp_path):
    run = damaged(cut_short(separated(), "running"), path=tmp_path / "run.h5")
    lock = OutputLock(lock_path(tmp_path.resolve() / "run.h5"), run.path)
    written = flat(report(run))
    lock.release()
    left = flat(report(run))
    assert "(running)" in written and f"still going on (process {os.getpid()})" in written
    assert "(killed)" in left and "`truncflow run --resume` goes on from there" in left


def test_a_state_that_is_not_finite_is_reported_without_a_warning():
    run = separated()
    beta = run.beta.copy()
    beta[-1] = [[np.nan, np.inf], [1e308, -1e308]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert truncations(damaged(run, beta=beta))


def test_a_file_without_certificates_is_certified_on_the_spot():
    stream = io.StringIO()
    render(cut_short(separated(), "running"), Console(file=stream, width=80))
    assert "made now" in stream.getvalue()
    assert "orthogonality" in stream.getvalue()


SENTENCES = {
    "separated": "The loss fell from 1.142 to 0.2204, 19.3 % of what it was, by s = 10.",
    "pins": "a point was held on a surface that both sides push it onto.",
    "collapsing": "The cluster is wholly truncated from s = 0.1406 on, and so mapped to a point.",
    "resting": "The loss stays at 2.312. Nothing moves.",
    "printed": "The loss rose from 1.142 to 1.377 by s = 10.",
    "collapsed": "The loss keeps below the bound of Theorem 8.4 at all times.",
    "collapsed without a gap": "Theorem 8.4 gives no rate for this start",
    "collapsed on data": "The data do not stay collapsed, (8.1)",
    "clustered": "from the least-squares minimiser",
    "clustered, singular": "XXᵀ is singular: W tends to the least-squares minimiser nearest to its start.",
    "one saved time": "There is one saved time, with loss 1.142.",
    "interrupted": "The run was interrupted at s = 2.9; `truncflow run --resume` goes on with it.",
}


@pytest.mark.parametrize("name", SENTENCES)
def test_plain_sentences_say_what_happened(name):
    assert SENTENCES[name] in flat(report(ALL[name]()))


def test_separation_that_is_lost_and_regained_is_told():
    run = separated()
    rows = run.events[:2].copy()
    rows["s"], rows["kind"] = [5.0, 6.0], [Kind.SEPARATION_LOST, Kind.SEPARATION_REGAINED]
    rows["layer"], rows["cluster"] = 1, 0
    text = flat(report(damaged(run, events=np.concatenate([run.events, rows]))))
    assert "Separation (3.3) is lost at s = 5: cluster 0 under layer 1, and regained later." in text
    assert "not separated: cluster 0 under layer 1, s = 5 to 6" in text


def test_switch_to_the_general_flow_is_told():
    text = flat(report(losing_separation("switch")))
    assert "flow general from s = 0.09476 on" in text
    assert (
        "is lost at s = 0.09476: cluster 0 under layer 1. From there on the run follows the general flow"
        in text
    )


def test_names_of_clusters_are_used():
    run = damaged(separated(), notes={"clusters": "right, top"})
    text = flat(report(run))
    assert "clusters 0 right and 1 top" in text
    assert "all 40 points of right by layer 0" in text


def test_names_with_commas_and_quotation_marks_stay_whole():
    for names in (["a, b", "top"], ['"a', 'b "c"'], ['x,"y"', ","]):
        run = damaged(separated(), notes={"clusters": joined_names(names)})
        assert cluster_names(run.notes, 2) == names


def test_a_loss_that_is_not_a_number_is_told_as_such():
    run = separated()
    text = flat(report(damaged(run, loss=np.where(run.s > 1.0, np.nan, run.loss))))
    assert "The loss is not a number from s = 1.1 on" in text


def test_many_clusters_are_cut_short():
    points = "\n".join(f"  - {{points: [[{3 * k}.0, 1.0], [{3 * k}.5, 1.0]]}}" for k in range(20))
    labels = [[float(k), 0.0] for k in range(20)]
    text = (
        f"flow: general\nlayers: 2\nclusters:\n{points}\nlabels: {labels}\n"
        "initial: {rotation: identity, bias: [[-2, 1], [1, 1]]}\nintegrator: {s_end: 0.01}\n"
        "save: {count: 3}\n"
    )
    shown = report(solve(text))
    assert "and 8 clusters more" in shown or "and 8 clusters" in shown
    assert "28 pairs of cluster and layer more" in shown
    assert len(shown.splitlines()) < 120


def test_general_run_that_is_separated_says_the_same_events():
    rows = [
        re.findall(r"^ +\d +\d  .*$", report(run), re.MULTILINE) for run in (separated(), general_separated())
    ]
    own = [row for row in rows[1] if row.split()[0] == row.split()[1]]
    assert rows[0] == own


def test_work_is_shown_for_each_event():
    assert work_done({"steps": 30, "orders": 1500, "roots": 0}, 20) == (
        "steps 30 (1.5 an event), Taylor orders 1,500 (75 an event), roots located 0"
    )
    assert work_done({"steps": 30}, 0) == "steps 30"
