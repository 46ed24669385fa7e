"""Compiling the solver takes seconds, so it is announced: once, and only when it happens."""

from __future__ import annotations

from pathlib import Path

import numba
import pytest
from command_line import SMALL_CONFIG, truncflow

from truncflow_cli.cli.compiling import announced


def doubled(x: float) -> float:
    return 2.0 * x


def compiles_again(number: int) -> None:
    numba.njit(doubled)(float(number))


def test_once_and_only_when_something_is_compiled(capsys: pytest.CaptureFixture[str]) -> None:
    with announced():
        assert capsys.readouterr().err == ""
        compiles_again(1)
        message = capsys.readouterr().err
        assert message.startswith("compiling the solver")
        assert message.count("\n") == 1
        compiles_again(2)
    compiles_again(3)
    assert capsys.readouterr() == ("", "")


def test_it_is_said_whether_the_result_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with announced():
        numba.njit(doubled)(1.0)
    assert "NUMBA_CACHE_DIR" in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
        with announced():
            numba.njit(doubled, cache=True)(1.0)
    assert "once for this machine" in capsys.readouterr().err


def test_a_run_that_finds_the_solver_compiled_does_not_mention_it(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL_CONFIG)
    truncflow("run", "small.yaml", cwd=tmp_path)
    again = truncflow("run", "small.yaml", "--force", cwd=tmp_path)
    assert (again.returncode, "compiling" in again.stderr) == (0, False)
