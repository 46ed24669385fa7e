"""Matching two event logs: the k-th of a kind, layer, cluster, coordinate and point with the k-th."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from truncflow_cli.events import EVENT_DTYPE, EventLog, Kind, event_log
from truncflow_cli.report.compare.eventrows import event_rows, kind_rows, parting_sentence
from truncflow_cli.report.compare.events import first_differences, match


def log_of(rows: list[tuple[float, int, int, int]]) -> EventLog:
    """Return events of (s, kind, layer, point); the coordinate is that of the layer."""
    return event_log([(s, kind, layer, point, layer, 0, -1) for s, kind, layer, point in sorted(rows)])


rows = st.lists(
    st.tuples(
        st.floats(0.0, 1.0, width=32), st.sampled_from([0, 1, 2, 3]), st.integers(0, 1), st.integers(0, 3)
    ),
    max_size=30,
    unique_by=lambda row: row[0],
)


@given(rows, rows)
def test_every_event_is_paired_once_or_alone(first: list, second: list) -> None:
    logs = log_of(first), log_of(second)
    found = match(logs, 1.0, 1e-6)
    for which in (0, 1):
        seen = np.sort(np.concatenate([found.pairs[:, which], found.alone[which]]))
        np.testing.assert_array_equal(seen, np.arange(len(logs[which])))
    here, there = logs[0][found.pairs[:, 0]], logs[1][found.pairs[:, 1]]
    for name in ("kind", "layer", "point", "coordinate"):
        np.testing.assert_array_equal(here[name], there[name])
    shared = 0
    for key in {row[1:] for row in first}:
        shared += min(sum(row[1:] == key for row in each) for each in (first, second))
    assert len(found.pairs) == shared


@given(rows, st.data())
def test_what_is_taken_away_is_alone_and_what_is_moved_is_where_they_part(
    first: list, data: st.DataObject
) -> None:
    if not first:
        assert match((log_of([]), log_of([])), 1.0, 1e-6).parting is None
        return
    log = log_of(first)
    k = data.draw(st.integers(0, len(log) - 1))
    key = ["kind", "layer", "point"]
    last = np.flatnonzero(log[key] == log[k][key])[-1]  # the k-th occurrence is the last one that can go
    found = match((log, np.delete(log, last)), 1.0, 1e-6)
    assert found.alone[0].tolist() == [last]
    assert found.alone[1].size == 0
    assert found.parting.at == (last, None)
    assert found.parting.before == last
    assert first_differences(found, 5) == [(last, None)]

    moved = log.copy()
    moved["s"][k:] += 0.25
    found = match((log, moved), 2.0, 1e-6)
    assert found.parting.at == (k, k)
    assert found.parting.before == k
    np.testing.assert_allclose(found.shifts, 0.25 * (np.arange(len(log)) >= k))


def test_occurrences_are_numbered() -> None:
    first = log_of([(0.1, Kind.PIN, 0, 1), (0.3, Kind.PIN, 0, 1), (0.5, Kind.PIN, 0, 1)])
    second = log_of([(0.1, Kind.PIN, 0, 1), (0.4, Kind.PIN, 0, 1)])
    found = match((first, second), 1.0, 1e-6)
    assert found.pairs.tolist() == [[0, 0], [1, 1]]
    assert found.alone[0].tolist() == [2]
    assert kind_rows(found) == [["pin", "3", "2", "2", "1", "0", "0.05", "0.1"]]


def test_lost_separation_and_truncation_of_a_foreign_point_are_one_crossing() -> None:
    lost = event_log(
        [(0.2, Kind.SEPARATION_LOST, 1, 7, 0, 0, -1), (0.4, Kind.SEPARATION_REGAINED, 1, 7, 0, 0, -1)]
    )
    cut = event_log([(0.2, Kind.TRUNCATE, 1, 7, 0, 0, -1), (0.4, Kind.RELEASE, 1, 7, 0, 0, -1)])
    for logs in ((lost, cut), (cut, lost)):
        found = match(logs, 1.0, 1e-6)
        assert found.pairs.tolist() == [[0, 0], [1, 1]]
        assert found.parting is None
    # A run that logs both (it switches to `general`) keeps its own truncation for the pair.
    both = np.sort(np.concatenate([lost[:1], cut]), order="s")
    found = match((both, cut), 1.0, 1e-6)
    assert len(found.pairs) == 2
    assert both["kind"][found.alone[0]].tolist() == [Kind.SEPARATION_LOST]
    assert found.parting is None  # what one run remarks and the other does not is no crossing


def test_events_after_the_end_of_the_other_are_counted_only() -> None:
    log = log_of([(0.1, 0, 0, 0), (0.6, 0, 0, 1), (0.7, 0, 0, 2)])
    found = match((log, log[:1]), 0.5, 1e-6)
    assert found.beyond == (2, 0)
    assert found.parting is None


def test_sentences_say_which_event_and_when() -> None:
    first, second = log_of([(0.1, 0, 0, 0), (0.5, 1, 1, 3)]), log_of([(0.1, 0, 0, 0), (0.6, 1, 1, 3)])
    found = match((first, second), 1.0, 1e-6)
    said = parting_sentence(found, ("A", "B"))
    assert said == (
        "They part after 1 event in common (to 1e-06 in s): release of point 3, coordinate 1, layer 1, cluster 0, "
        "s = 0.5 in A and 0.6 in B."
    )
    assert event_rows(found) == [["0.5", "0.6", "+0.1", "release", "1", "3", "1"]]
    said = parting_sentence(match((first, second[:1]), 1.0, 1e-6), ("A", "B"))
    assert said.endswith("s = 0.5, is in A only.")
    assert parting_sentence(match((first, first), 1.0, 1e-6), ("A", "B")).startswith("All crossings agree")
    assert parting_sentence(match((first[:0], first[:0]), 1.0, 1e-6), ("A", "B")) == "They share no event."


def test_very_many_events_are_matched_in_a_moment() -> None:
    rng = np.random.default_rng(0)
    log = np.zeros(300_000, dtype=EVENT_DTYPE)
    log["s"] = np.sort(rng.uniform(0.0, 1.0, log.size))
    log["kind"] = rng.integers(0, 4, log.size)
    log["point"] = rng.integers(0, 100_000, log.size)
    log["coordinate"] = rng.integers(0, 50, log.size)
    log["layer"] = rng.integers(0, 50, log.size)
    began = time.process_time()
    found = match((log, log), 1.0, 1e-9)
    assert found.parting is None
    assert len(found.pairs) == log.size
    assert time.process_time() - began < 2.0
