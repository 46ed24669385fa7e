"""The compiled code is that of the source, runs on any processor of its kind, and says what is wrong if it cannot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from network_problems import network_problem
from random_problems import outcome, random_problem

from truncflow_cli.errors import UserError
from truncflow_cli.kernels import compiling
from truncflow_cli.kernels import library as loading
from truncflow_cli.kernels.bundle import Bundle

PROBLEMS = {
    "separated": lambda: random_problem(1, dim=6, points=100, s_end=1.0),
    "separated, in few dimensions, with pins": lambda: random_problem(4, dim=3, points=12, s_end=6.0),
    "general": lambda: network_problem(6, 3, 2, 3, 90, apart=2.0),
}


@pytest.fixture
def loaded_anew():
    """Have the library loaded anew, in the test and after it."""
    loading.library.cache_clear()
    yield
    loading.library.cache_clear()


def test_it_has_been_compiled_from_this_source():
    for level in compiling.levels():
        assert compiling.source_stamp().encode() in compiling.library_path(level).read_bytes()


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_any_processor_can_run_agrees(name, monkeypatch, loaded_anew):
    problem = PROBLEMS[name]()
    samples, events, _ = outcome(problem)
    loading.library.cache_clear()
    monkeypatch.setattr(compiling, "levels", lambda: {"base": ()})
    base_samples, base_events, _ = outcome(problem)
    assert loading.library()._name.endswith(compiling.library_path("base").name)
    assert np.array_equal(events["kind"], base_events["kind"])
    assert np.abs(events["s"] - base_events["s"]).max() < 1e-10
    for array in samples:
        assert np.abs(samples[array] - base_samples[array]).max() < 1e-9, array


def test_a_processor_that_cannot_run_the_best_build_gets_another(monkeypatch, loaded_anew):
    best = next(iter(compiling.levels()))
    if best == "base":
        pytest.skip("this kind of processor has one build only")
    monkeypatch.setattr(loading, "_suits", lambda library: False)
    assert loading.library()._name.endswith(compiling.library_path("base").name)


def test_code_that_has_changed_since_is_refused(monkeypatch, loaded_anew):
    monkeypatch.setattr(compiling, "source_stamp", lambda: "of another source")
    with pytest.raises(UserError, match=r"has changed since it was compiled: python -m truncflow_cli"):
        loading.library()


def test_a_run_compiles_what_has_changed_and_says_so(monkeypatch, tmp_path, loaded_anew):
    said = []
    loading.prepare(said.append)
    assert said == []  # it is up to date
    copies = [tmp_path / folder.relative_to(compiling.PACKAGE) for folder in compiling.HEADERS]
    for folder, copy in zip(compiling.HEADERS, copies, strict=True):
        copy.mkdir(parents=True)
        for part in folder.glob("*.[ch]"):
            (copy / part.name).write_bytes(part.read_bytes())
    here = copies[0]
    monkeypatch.setattr(compiling, "HEADERS", copies)
    monkeypatch.setattr(compiling, "HERE", here)
    monkeypatch.setattr(compiling, "SOURCE", here / "truncflow.c")
    monkeypatch.setattr(compiling, "OPTIONS", (*compiling.OPTIONS, "-O0"))  # for the sake of speed
    loading.prepare(said.append)
    for changed in (here / "pace.h", here / "vector.h"):
        stamp = compiling.source_stamp()
        changed.write_text(changed.read_text() + "/* changed */\n")
        assert compiling.source_stamp() != stamp
        assert compiling.outdated()
    loading.prepare(said.append)
    assert not compiling.outdated()
    assert said == ["compiling the inner loops, once (up to half a minute)"] * 2
    assert not list(here.glob(".compiling-*"))


def test_a_run_that_cannot_compile_is_refused(monkeypatch, loaded_anew):
    monkeypatch.setattr(compiling, "source_stamp", lambda: "of another source")
    monkeypatch.setenv("CC", "python -c 'import sys; sys.exit(\"not today\")'")
    with pytest.raises(UserError, match=r"the inner loops cannot be compiled: .*not today"):
        loading.prepare(lambda message: None)


def test_a_library_that_is_missing_is_named(monkeypatch, tmp_path, loaded_anew):
    monkeypatch.setattr(compiling, "HERE", tmp_path)
    with pytest.raises(UserError, match=r"is missing: install truncflow again"):
        loading.library()


def test_a_compiler_that_fails_is_quoted(monkeypatch):
    monkeypatch.setenv("CC", "python -c 'import sys; sys.exit(\"not today\")'")
    with pytest.raises(RuntimeError, match=r"cannot compile truncflow.c:\nnot today"):
        compiling.compile_libraries()
    assert all(compiling.library_path(level).exists() for level in compiling.levels())


def test_without_a_compiler_it_says_what_to_do(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(compiling, "PACKAGED", "no_such_package")
    with pytest.raises(RuntimeError, match="no C compiler: set CC, or pip install"):
        compiling.compile_libraries()


@dataclass(frozen=True, eq=False)
class Pair(Bundle):
    first: np.ndarray
    second: float


def test_arrays_are_handed_over_by_address_and_lengths():
    array = np.zeros((2, 3))
    words = np.frombuffer(Pair(array, 0.5).struct.raw, np.int64)
    assert words[:5].tolist() == [array.ctypes.data, 2, 3, 1, 1]
    assert words[5:].view(np.float64).tolist() == [0.5]


@pytest.mark.parametrize("array", [np.zeros((4, 4)).T[:2], np.zeros((1, 1, 1, 1, 1)), [0.0]])
def test_other_arrays_are_refused(array):
    with pytest.raises(TypeError, match="first has to be a number, or a C-contiguous array"):
        _ = Pair(array, 0.5).struct
