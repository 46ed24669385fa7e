"""The compiled code is that of the source, runs on any processor of its kind, and says what is wrong if it cannot."""

from __future__ import annotations

import ctypes
import subprocess

import numpy as np
import pytest
from network_problems import network_problem
from random_problems import outcome, random_problem

from truncflow_cli import kernels
from truncflow_cli.errors import UserError
from truncflow_cli.kernels import compiling
from truncflow_cli.kernels import library as loading
from truncflow_cli.kernels.header import header
from truncflow_cli.kernels.structs import Struct, argument
from truncflow_cli.problem import PINNED, TRUNCATED, UNTRUNCATED

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
    for path in map(compiling.library_path, compiling.levels()):
        assert compiling.source_stamp().encode() in path.read_bytes()


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
    for part in compiling.HERE.glob("*.[ch]"):
        (tmp_path / part.name).write_bytes(part.read_bytes())
    monkeypatch.setattr(compiling, "HERE", tmp_path)
    monkeypatch.setattr(compiling, "OPTIONS", (*compiling.OPTIONS, "-O0"))  # for the sake of speed
    loading.prepare(said.append)
    for changed in (tmp_path / "vector.h", tmp_path / "step_many.c"):
        stamp = compiling.source_stamp()
        changed.write_text(changed.read_text() + "/* changed */\n")
        assert compiling.source_stamp() != stamp
        assert compiling.outdated()
    loading.prepare(said.append)
    assert not compiling.outdated()
    assert said == ["compiling the inner loops, once (up to half a minute)"] * 2
    assert not list(tmp_path.glob(".compiling-*"))


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
    with pytest.raises(RuntimeError, match=r"cannot compile the C code:\nnot today"):
        compiling.compile_libraries()
    assert all(compiling.library_path(level).exists() for level in compiling.levels())


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")


def test_without_a_compiler_it_says_what_to_do(no_compiler):
    with pytest.raises(RuntimeError, match="no C compiler: install gcc or clang, or set CC"):
        compiling.compile_libraries()


def test_without_a_compiler_and_compiled_code_numpy_is_used_and_that_is_said(
    no_compiler, monkeypatch, loaded_anew
):
    monkeypatch.setattr(compiling, "source_stamp", lambda: "of another source")
    said = []
    kernels.prepare("auto", said.append)
    assert len(said) == 1
    assert "numpy" in said[0]
    assert "compiler" in said[0]
    assert not kernels.available()


def test_the_patterns_of_python_are_those_of_the_header():
    constants = header().constants
    assert [constants[name] for name in ("TRUNCATED", "UNTRUNCATED", "PINNED")] == [
        TRUNCATED,
        UNTRUNCATED,
        PINNED,
    ]
    assert (constants["NO_CROSSING"], constants["LISTS_FULL"]) == (-1, -2)


def test_arrays_are_handed_over_by_address():
    points = Struct("Points", dim=3, noise=0.5)
    x = np.zeros((2, 3))
    x.flags.writeable = False
    points.set(x=x, pattern=np.zeros((2, 3), np.int8))
    assert points.cdata.x == x.ctypes.data
    assert points.x is x
    assert (points.dim, points.noise) == (3, 0.5)


def test_fields_that_are_structs_are_arrays_with_names():
    near = Struct("NeighborLists")
    near.allocate(pool=(4,), place=(2,))
    assert near.pool.dtype.names == ("point", "row")
    assert near.pool.itemsize == 8
    assert near.place.dtype.names == ("begin", "end")


@pytest.mark.parametrize("array", [np.zeros((4, 4)).T[:2], np.zeros(3, np.float32), np.zeros(3, np.int64)])
def test_other_arrays_are_refused(array):
    with pytest.raises(TypeError, match="x has to be a C-contiguous array of float64"):
        Struct("Points", x=array)


def test_an_argument_has_to_be_contiguous():
    with pytest.raises(TypeError, match="C-contiguous"):
        argument(np.zeros((4, 4)).T[:2])


def test_every_struct_is_as_large_as_the_compiler_has_it(tmp_path):
    names = list(header().structs)
    program = tmp_path / "sizes.c"
    lines = "".join(f'printf("%zu\\n", sizeof({name}));' for name in names)
    program.write_text(
        f'#include <stdio.h>\n#include "truncflow.h"\nint main(void) {{ {lines} return 0; }}\n'
    )
    command = compiling.compiler()
    assert command is not None
    subprocess.run([*command, "-I", compiling.HERE, program, "-o", tmp_path / "sizes"], check=True)
    sizes = subprocess.run([tmp_path / "sizes"], check=True, capture_output=True, text=True).stdout.split()
    assert [int(size) for size in sizes] == [ctypes.sizeof(header().structs[name]) for name in names]


def test_every_function_of_the_header_is_there():
    functions = header().functions
    assert {"layer_expand", "network_step_many", "first_exit", "source_stamp"} <= functions.keys()
    for name in functions:
        assert getattr(loading.library(), name).restype is functions[name][0]
