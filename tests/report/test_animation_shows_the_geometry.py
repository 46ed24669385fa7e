"""``animate`` makes a GIF, or an MP4 where ffmpeg is there, and leaves no half of one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from figure_runs import run_of
from PIL import Image

from truncflow_cli.errors import UserError
from truncflow_cli.report.figures.animation import FRAMES, HOLD, RATE, animate, frame_times
from truncflow_cli.report.figures.subject import Subject


def nothing(done: int, total: int) -> None:
    pass


def test_a_gif_has_a_frame_for_each_saved_time(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = animate(run_of("many"), tmp_path / "many.gif", lambda done, total: seen.append((done, total)))
    assert seen == [(done, 3) for done in range(4)]
    with Image.open(path) as picture:
        assert picture.n_frames == 3
        assert picture.info["loop"] == 0
        frames = []
        for k in range(3):
            picture.seek(k)
            frames.append(np.asarray(picture.convert("RGB")))
        assert picture.info["duration"] == round(1000 * HOLD)
    assert not np.array_equal(frames[0], frames[2])
    assert frames[0].min() < 100
    assert [path.name for path in tmp_path.iterdir()] == ["many.gif"]


def test_many_saved_times_become_few_frames() -> None:
    run = run_of("separated")
    times = frame_times(Subject(run))
    assert run.s.size > FRAMES >= times.size > FRAMES / 3
    assert (times[0], times[-1]) == (0, run.s.size - 1)
    assert (np.diff(times) > 0).all()


def test_another_ending_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"geometry\.webm: an animation is a \.gif or an \.mp4 file"):
        animate(run_of("line"), tmp_path / "geometry.webm", nothing)


def test_without_ffmpeg_an_mp4_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="MP4 needs ffmpeg"):
        animate(run_of("line"), tmp_path / "line.mp4", nothing)


def pretend_ffmpeg(folder: Path, body: str) -> None:
    """Put a program of that name on the PATH that gets the arguments as ``a`` and the frames on stdin."""
    program = folder / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\na = sys.argv\n{body}\n")
    program.chmod(0o755)


def test_ffmpeg_gets_every_frame_and_holds_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_ffmpeg(
        tmp_path, "open(a[-1], 'wb').write((a[a.index('-s') + 1] + ' ').encode() + sys.stdin.buffer.read())"
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    size, _, frames = animate(run_of("line"), tmp_path / "line.mp4", nothing).read_bytes().partition(b" ")
    width, height = map(int, size.split(b"x"))
    assert width % 2 == height % 2 == 0
    assert len(frames) == width * height * 3 * (3 + round(RATE * HOLD))


def test_what_ffmpeg_complains_of_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_ffmpeg(tmp_path, "sys.exit('no encoder here')")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(UserError, match="ffmpeg could not make the MP4: no encoder here"):
        animate(run_of("line"), tmp_path / "line.mp4", nothing)
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_an_interrupted_animation_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "line.gif"
    path.write_bytes(b"the last one")

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        animate(run_of("line"), path, stop)
    assert path.read_bytes() == b"the last one"
    assert len(list(tmp_path.iterdir())) == 1
