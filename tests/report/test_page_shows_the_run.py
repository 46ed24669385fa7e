"""What a page draws and says is what the run file has."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import page_samples as samples
import pytest
from page_reading import Page, images, states
from recorded_runs import damaged, solve
from reference import passes

import truncflow_cli as truncflow
from truncflow_cli.diagnostics import certify, meaning, names
from truncflow_cli.events import Kind
from truncflow_cli.report.page import write_page
from truncflow_cli.report.page.certificates import VERDICTS
from truncflow_cli.report.page.document import PRINT_CONFIG, page
from truncflow_cli.report.page.eventdata import MEANING
from truncflow_cli.report.sentences import story
from truncflow_cli.report.summary import Summary

CLOSE = {"rtol": 1e-7, "atol": 0.0}


@pytest.fixture(scope="module")
def runs():
    return {flow: samples.solved(flow) for flow in samples.FLOWS}


@pytest.fixture(scope="module")
def pages(runs):
    return {flow: Page(page(run)) for flow, run in runs.items()}


def test_curves_are_those_of_the_run(runs, pages):
    for flow, run in runs.items():
        read = pages[flow]
        np.testing.assert_allclose(read.data["s"], run.s, **CLOSE)
        np.testing.assert_allclose(read.curve("loss", "total"), run.loss, **CLOSE)
        np.testing.assert_allclose(read.curve("balance", "D"), run.energy_balance, **CLOSE)
        for k, name in enumerate(read.data["names"]):
            np.testing.assert_allclose(read.curve("loss", name), run.loss_cluster[:, k], **CLOSE)


def test_layers_are_those_of_the_run(runs, pages):
    for flow in ("separated", "general"):
        run, read = runs[flow], pages[flow]
        for layer in range(run.n_layers):
            for r in range(run.dim):
                fraction = run.truncated_fraction[:, layer, r]
                np.testing.assert_allclose(
                    read.curve(f"truncated-{layer}", f"coordinate {r}"), fraction, **CLOSE
                )
                np.testing.assert_allclose(
                    read.curve(f"beta-{layer}", f"β[{r}]"), run.beta[:, layer, r], **CLOSE
                )
    run, read = runs["separated"], pages["separated"]
    away = np.linalg.norm(run.beta[:, 1] + run.y_tilde[1], axis=1)
    np.testing.assert_allclose(read.curve("distance", "layer 1"), away, **CLOSE)


def test_output_weights_are_those_of_the_run(runs, pages):
    run, read = runs["collapsed"], pages["collapsed"]
    spectrum = [np.linalg.eigvalsh(B @ B.T - W.T @ W) for B, W in zip(run.B, run.W, strict=True)]
    for k in range(3):
        np.testing.assert_allclose(
            read.curve("spectrum", f"eigenvalue {k}"), np.array(spectrum)[:, k], rtol=1e-7
        )
    rate = -np.linalg.eigvalsh(run.B[0] @ run.B[0].T - run.W[0].T @ run.W[0])[-1]
    bound = run.loss[0] * np.exp(-2.0 * rate * run.s)
    np.testing.assert_allclose(read.curve("loss", "bound (8.27)"), bound, **CLOSE)
    assert (read.curve("loss", "total") <= bound * (1.0 + 1e-9)).all()


def test_modes_decay_as_their_names_say(runs, pages):
    run, read = runs["clustered"], pages["clustered"]
    (modes,) = [chart["curves"] for chart in read.data["charts"] if chart["key"] == "modes"]
    rates = np.linalg.eigvalsh(run.x.T @ run.x / run.n_points)[::-1]
    for rate, mode in zip(rates, modes, strict=True):
        values = np.array(mode["values"])
        seen = values > 1e-9 * values[0]
        assert float(mode["name"].removeprefix("λ = ")) == pytest.approx(rate, rel=1e-3)
        np.testing.assert_allclose(values[seen], values[0] * np.exp(-rate * run.s[seen]), rtol=1e-5)


def test_images_are_those_of_the_truncation_maps(runs, pages):
    for flow in ("separated", "general"):
        run = runs[flow]
        (panel,) = pages[flow].data["panels"]
        expected = passes.output(run.x, run.R, run.beta)
        if flow == "separated":
            for k in range(run.n_clusters):
                mine = run.cluster == k
                alone = slice(k, k + 1)
                expected[:, mine] = passes.output(run.x[mine], run.R[:, alone], run.beta[:, alone])
        found = images(panel, run.s.size)
        assert np.abs(found - expected).max() < 1e-4 * np.ptp(expected)
        still = np.abs(found - run.x).max(axis=2) < 1e-4 * np.ptp(expected)
        untruncated = states(panel, run.s.size) == 0
        assert still[untruncated].all() and (~untruncated).any()
    run, panel = runs["clustered"], pages["clustered"].data["panels"][0]
    expected = run.x @ run.W.swapaxes(1, 2)
    assert np.abs(images(panel, run.s.size) - expected).max() < 1e-4 * np.ptp(expected)


def test_many_dimensions_are_projected_and_that_is_said():
    run = samples.made_up(40, 11, 0, dim=6, clusters=3)
    read = Page(page(run))
    (panel,) = read.data["panels"]
    assert panel["dims"] == 3 and not panel["solid"]
    assert "An orthogonal projection of R6 onto the plane of the two largest principal axes" in read.words
    shown = np.concatenate([run.x, run.y_tilde])
    axes = np.linalg.svd(shown - shown.mean(axis=0))[2][:3]
    expected = np.abs((run.y_tilde - shown.mean(axis=0)) @ axes.T)
    np.testing.assert_allclose(np.abs(panel["labels"]), expected, atol=1e-6)


def test_points_are_pinned_while_the_log_says_so():
    text = samples.LINE.replace("[[2.0]]", "[[0.0]]").replace("[[0.2]]", "[[-0.3]]")
    run = solve(text)
    pinned = np.zeros(2, dtype=run.events.dtype)
    pinned["s"], pinned["kind"], pinned["point"] = (1.0, 2.0), (Kind.PIN, Kind.UNPIN), 1
    (panel,) = Page(page(damaged(run, events=pinned))).data["panels"]
    held = states(panel, run.s.size) == 3
    assert not held[:, [0, 2]].any()
    np.testing.assert_array_equal(held[:, 1], (run.s >= 1.0) & (run.s < 2.0))


def test_events_are_those_of_the_log(runs, pages):
    run, log = runs["separated"], pages["separated"].data["events"]
    assert log["total"] == len(log["rows"]) == run.events.size > 0
    for row, event in zip(log["rows"], run.events, strict=True):
        assert float(row[0]) == pytest.approx(event["s"], rel=1e-11)
        assert row[1:] == [
            int(event[key]) for key in ("kind", "layer", "point", "coordinate", "cluster", "side")
        ]
    up_to = np.cumsum(np.sum(log["counts"], axis=1))
    np.testing.assert_array_equal(up_to, np.searchsorted(run.events["s"], run.s, "right"))


def test_every_certificate_is_shown_with_what_it_means(runs, pages):
    assert set(MEANING) == {kind.name.lower() for kind in Kind}
    cards = {card.text for card in pages["separated"].all("article")}
    for name in names():
        assert meaning(name)
        mine = [card for card in cards if card.startswith(name.replace("_", " ")) and meaning(name) in card]
        assert len(mine) == 1, name
    assert VERDICTS["holds"] in pages["separated"].words


def test_config_and_command_are_there(runs, pages):
    for flow, run in runs.items():
        config, command, again = (e.text for e in pages[flow].all("code") if "pre" in e.parents)
        assert config == run.config
        assert command == run.attrs["command"]
        assert run.path.name in again and PRINT_CONFIG in again
        (versions,) = [each for each in pages[flow].all("dl") if "h5py" in each.text]
        assert run.attrs["numpy_version"] in versions.text


def test_a_run_file_has_its_page_and_gives_its_config(tmp_path):
    config = tmp_path / "point.yaml"
    config.write_text(samples.POINT, encoding="utf-8")
    with truncflow.run(config, out=tmp_path / "point.h5") as run:
        read = Page(write_page(run, tmp_path / "page.html").read_text(encoding="utf-8"))
        np.testing.assert_allclose(read.curve("loss", "total"), run.loss, **CLOSE)
        assert "made for this page" not in read.words
        command = [sys.executable, "-c", PRINT_CONFIG, str(run.path)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True)
        assert printed.stdout == run.config


@pytest.mark.parametrize(
    ("count", "attrs"),
    [
        (41, {"status": "running"}),
        (10, {"status": "interrupted"}),
        (1, {"status": "interrupted"}),
        (5, {"status": "failed", "message": "too many events"}),
    ],
)
def test_a_run_that_has_not_ended_well_has_a_page(runs, count, attrs):
    run = samples.first_times(runs["separated"], count, **attrs)
    read = Page(page(run))
    told = story(Summary(run))[0]
    assert "e^" in told or " ".join(told.replace("`", "").split()) in read.words
    shown = ["killed" if value == "running" else value for value in attrs.values()]
    assert all(value in read.words for value in shown)
    assert "made for this page: the run file has none yet" in read.words
    assert len(read.data["s"]) == count
    assert not read.faults


def test_a_balance_out_of_tolerance_stands_out(runs):
    whole = runs["separated"]
    broken = damaged(whole, energy_balance=whole.energy_balance + np.linspace(0, 1e-3, whole.s.size))
    broken = damaged(broken, certificates={c.name: c for c in certify(broken)})
    assert '<p class="loud">THE ENERGY BALANCE IS OUT OF TOLERANCE' in page(broken)
    assert 'class="loud"' not in page(whole)


def test_a_point_and_a_line_have_pages():
    for text, dims in ((samples.LINE, 1), (samples.POINT, 2)):
        read = Page(page(solve(text)))
        assert [panel["dims"] for panel in read.data["panels"]] == [dims]


def test_numbers_that_cannot_be_drawn_are_left_out_and_that_is_said(runs):
    run = runs["separated"]
    beta, loss = run.beta.copy(), run.loss.copy()
    beta[30:35], loss[20:] = np.inf, np.nan
    certificates = samples.made_up(2, 2, 0).certificates
    read = Page(page(damaged(run, beta=beta, loss=loss, certificates=certificates)))
    assert not read.data["panels"] and "The geometry is not drawn" in read.words
    assert np.isnan(read.curve("loss", "total")[20:]).all()
