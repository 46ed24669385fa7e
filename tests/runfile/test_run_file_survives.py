"""A killed, starved or interrupted writer leaves what was there before or a whole file, never half of one."""

from __future__ import annotations

import errno
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from run_file_samples import endless_chunks, made_up_chunks, made_up_events, made_up_problem, made_up_samples

from truncflow_cli import runfile
from truncflow_cli.errors import UserError
from truncflow_cli.runfile.checkpoint import unpacked
from truncflow_cli.saved_state import Chunk
from truncflow_cli.signals import undisturbed


@pytest.fixture
def checkpoint_at_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let checkpoints cost as much of a run as they like, with ``checkpoint_every=0``."""
    monkeypatch.setattr("truncflow_cli.runfile.writer.CHECKPOINT_SHARE", float("inf"))


def in_child(action: Callable[[], None]) -> int:
    """Start a process that does something and ends with 0; return its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        except UserError as error:
            os.write(2, f"{error}\n".encode())
            code = 2
        finally:
            os._exit(code)
    return child


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def write_without_end(path: Path, checkpoint_every: float = 0.0, chunks_between: float = 0.0) -> None:
    with runfile.RunWriter(
        path, made_up_problem(), "", force=True, checkpoint_every=checkpoint_every
    ) as writer:
        for chunk in endless_chunks(made_up_problem()):
            writer.append(chunk)
            time.sleep(chunks_between)


def write_whole(path: Path, **options: object) -> None:
    problem = made_up_problem()
    with runfile.RunWriter(path, problem, "", **options) as writer:
        for chunk in made_up_chunks(problem):
            writer.append(chunk)
        writer.finish("complete")


def hidden(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.name.startswith(".")]


@pytest.mark.usefixtures("checkpoint_at_every_chunk")
def test_killed_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    for number, delay in enumerate(np.random.default_rng(1).uniform(0.0, 0.1, 30)):
        path.unlink(missing_ok=True)
        child = in_child(lambda: write_without_end(path))
        while number % 2 and not path.exists():
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        assert exit_code(child) == -signal.SIGKILL
        assert path.exists() or number % 2 == 0
        if path.exists():
            with h5py.File(path, "r") as file:
                assert file.attrs["status"] == "running"
                s = file["trajectory/s"][:]
            with runfile.open_run(path) as run:
                np.testing.assert_array_equal(s, np.arange(len(s)))
                np.testing.assert_array_equal(run.events["s"], s)
                assert run.R.shape[0] == len(s)


def test_a_killed_run_locks_nobody_out_and_is_cleaned_up(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    child = in_child(lambda: write_without_end(path, checkpoint_every=60.0))
    while not hidden(tmp_path) or not (tmp_path / ".run.h5.part").exists():
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    exit_code(child)
    assert ".run.h5.part" in hidden(tmp_path)
    write_whole(path)
    assert hidden(tmp_path) == []


def test_killed_while_replacing_keeps_the_earlier_file_until_the_first_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("truncflow_cli.runfile.writer.FIRST_CHECKPOINT", 60.0)
    path = tmp_path / "run.h5"
    write_whole(path)
    before = path.read_bytes()
    child = in_child(lambda: write_without_end(path, checkpoint_every=60.0))
    time.sleep(0.2)
    os.kill(child, signal.SIGKILL)
    exit_code(child)
    assert path.read_bytes() == before


def test_a_second_run_on_the_same_file_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    child = in_child(lambda: write_without_end(path, chunks_between=0.001))
    while not path.exists():
        time.sleep(0.001)
    try:
        began = time.monotonic()
        with pytest.raises(UserError, match=f"another run .process {child}. is writing this file"):
            runfile.RunWriter(path, made_up_problem(), "", force=True)
        with pytest.raises(UserError, match="is writing this file"):
            runfile.write_certificates(path, [])
        assert time.monotonic() - began < 1.0
        with runfile.open_run(path) as run:
            assert run.status == "running"
    finally:
        os.kill(child, signal.SIGKILL)
        exit_code(child)


@pytest.mark.usefixtures("checkpoint_at_every_chunk")
def test_the_file_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    problem = made_up_problem()
    lengths = []
    with runfile.RunWriter(path, problem, "", checkpoint_every=0.0) as writer:
        for chunk in made_up_chunks(problem):
            writer.append(chunk)
            with runfile.open_run(path) as run:
                lengths.append((len(run.s), run.n_events))
    assert lengths == [(1, 0), *((k, n) for j in range(1, 11) for k, n in ((j, 2 * j), (j + 1, 2 * j)))]


def test_an_existing_file_is_not_replaced_without_force(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_text("something of the user's")
    with pytest.raises(UserError, match=r"run\.h5 exists; --force replaces it"):
        write_whole(path)
    assert path.read_text() == "something of the user's"
    write_whole(path, force=True)
    with runfile.open_run(path) as run:
        assert run.status == "complete"
    assert hidden(tmp_path) == []


def test_a_run_without_a_sample_leaves_nothing(tmp_path: Path) -> None:
    with runfile.RunWriter(tmp_path / "run.h5", made_up_problem(), "") as writer:
        writer.finish("interrupted")
    assert list(tmp_path.iterdir()) == []


def test_leaving_the_block_by_an_exception_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with (
        pytest.raises(ZeroDivisionError),
        runfile.RunWriter(path, made_up_problem(), "", checkpoint_every=0.0) as writer,
    ):
        writer.append(next(endless_chunks(made_up_problem())))
        raise ZeroDivisionError
    with runfile.open_run(path) as run:
        assert run.status == "running"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("limit", [50_000, 400_000, 600_000, 1_500_000])
def test_a_file_size_limit_ends_the_run_in_a_sentence(
    tmp_path: Path, limit: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.h5"

    def starved() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        write_without_end(path, checkpoint_every=0.0)

    write_whole(path)
    before = path.read_bytes()
    assert exit_code(in_child(starved)) == 2
    message = capfd.readouterr().err
    assert message.count("\n") == 1
    assert "run.h5: file too large; the file size limit (ulimit -f) is reached" in message
    if "holds the run up to" in message:
        with runfile.open_run(path) as run:
            assert run.status in ("running", "interrupted")
            assert f"s = {run.s[-1]:g}" in message
    else:
        assert "the earlier file is untouched" in message
        assert path.read_bytes() == before
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("resumable", [False, True])
def test_no_room_for_a_copy_publishes_the_working_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumable: bool
) -> None:
    """With the state to go on from, where there is one and room for it."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "run.h5"
    chunk = next(endless_chunks(made_up_problem()))
    state = {"flow/R": np.arange(3.0), "steps": np.array(7)}
    with runfile.RunWriter(path, made_up_problem(), "", checkpoint_every=0.0) as writer:
        monkeypatch.setattr("truncflow_cli.runfile.atomic.shutil.copyfile", full)
        with pytest.raises(UserError, match=r"no space left on device; .* run\.h5 holds .* up to s = 0$"):
            writer.append(replace(chunk, state=lambda: state) if resumable else chunk)
    with runfile.open_run(path) as run:
        assert run.status == "interrupted"
        assert len(run.s) == 1
    checkpoint = runfile.find_checkpoint(path)
    assert (checkpoint is not None) == resumable
    if checkpoint is not None:
        for name, array in unpacked(checkpoint.state).items():
            np.testing.assert_array_equal(array, state[name])
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("name", ["missing/../file/run.h5", "folder"])
def test_targets_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as refusal:
        write_whole(tmp_path / name, force=True)
    assert "\n" not in str(refusal.value)


def test_a_folder_that_vanishes_ends_the_run_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    with runfile.RunWriter(folder / "run.h5", made_up_problem(), "") as writer:
        writer.append(next(endless_chunks(made_up_problem())))
        for entry in folder.iterdir():
            entry.unlink()
        folder.rmdir()
        with pytest.raises(UserError, match="no such file or directory"):
            writer.finish("complete")


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link.h5").symlink_to(tmp_path / "real.h5")
    write_whole(tmp_path / "link.h5")
    assert (tmp_path / "link.h5").is_symlink()
    with runfile.open_run(tmp_path / "real.h5") as run:
        assert run.status == "complete"


def test_interrupting_the_certificates_keeps_the_run(tmp_path: Path) -> None:
    def interrupted(run: runfile.Run) -> list[object]:
        raise KeyboardInterrupt

    problem = made_up_problem()
    with runfile.RunWriter(tmp_path / "run.h5", problem, "") as writer:
        for chunk in made_up_chunks(problem):
            writer.append(chunk)
        with pytest.raises(KeyboardInterrupt):
            writer.finish("complete", interrupted)
        writer.finish("complete")
    with runfile.open_run(tmp_path / "run.h5") as run:
        assert run.status == "interrupted"
        assert len(run.s) == 11
        assert not run.certificates


def test_signals_wait_for_the_end_of_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), undisturbed():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("all of it")
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_can_write_too(tmp_path: Path) -> None:
    writer = threading.Thread(target=write_whole, args=[tmp_path / "run.h5"])
    writer.start()
    writer.join()
    with runfile.open_run(tmp_path / "run.h5") as run:
        assert run.status == "complete"


def test_a_million_events_in_small_chunks_take_little_memory(tmp_path: Path) -> None:
    def write() -> None:
        problem = made_up_problem()
        one = made_up_events(problem, np.linspace(0, 1, 10))
        nothing = made_up_samples(problem, np.empty(0))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with runfile.RunWriter(tmp_path / "run.h5", problem, "") as writer:
            writer.append(Chunk(0.0, made_up_samples(problem, np.array([0.0])), one[:0]))
            for k in range(100_000):
                events = one.copy()
                events["s"] += k
                writer.append(Chunk(float(k), nothing, events))
            writer.finish("complete")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 60_000, "kilobytes"

    assert exit_code(in_child(write)) == 0
    with runfile.open_run(tmp_path / "run.h5") as run:
        assert run.n_events == 1_000_000
        assert run.events["s"][-1] == 100_000.0
