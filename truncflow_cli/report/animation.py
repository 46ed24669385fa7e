"""The geometry of a run in motion, with its loss below: ``animate(run, path, progress)``.

GIF through Pillow, which matplotlib brings along; MP4 through ffmpeg where it is on the PATH.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from truncflow_cli.errors import UserError
from truncflow_cli.report.figures import require_matplotlib

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from truncflow_cli.problem import IntArray
    from truncflow_cli.report.figures.subject import Subject
    from truncflow_cli.run_data import Run

    Frame = NDArray[np.uint8]

#: Saved times shown at most, spread evenly along the axis of s.
FRAMES = 120
#: Frames a second, and how long the last one stays, in seconds.
RATE = 15
HOLD = 2.0
#: Layers side by side at most.
MOST_LAYERS = 3
#: Pixels an inch.
DPI = 110
#: Colours of a GIF's frame.
COLORS = 128


def animate(run: Run, path: Path, progress: Callable[[int, int], None]) -> Path:
    """Draw the geometry at the saved times, one frame after the other, into a .gif or an .mp4.

    Args:
        run: the run.
        path: the file; one that is there is replaced, once the new one is whole.
        progress: called with the number of frames done, and of all.

    Raises:
        UserError: another ending, matplotlib or ffmpeg is missing, or the file cannot be written.
    """
    path = Path(path)
    write = _writer(path)
    require_matplotlib()
    from truncflow_cli.report.figures.subject import Subject
    from truncflow_cli.report.replacing import replacing

    subject = Subject(run)
    times = frame_times(subject)
    frames = _counted(_frames(subject, times), times.size, progress)
    with replacing(path) as part:
        write(frames, part)
    return path


def _writer(path: Path) -> Callable[[Iterator[Frame], Path], None]:
    ending = path.suffix.lower()
    if ending == ".gif":
        return _write_gif
    if ending != ".mp4":
        raise UserError(f"{path}: an animation is a .gif or an .mp4 file")
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise UserError(
            f"{path}: MP4 needs ffmpeg on the PATH; install it, or choose a name that ends in .gif"
        )
    return lambda frames, part: _write_mp4(frames, part, ffmpeg)


def frame_times(subject: Subject) -> IntArray:
    """Return the saved times that become frames: all, or as many as ``FRAMES``, even along the axis of s."""
    s = subject.run.s
    if s.size <= FRAMES:
        return np.arange(s.size)
    after = np.clip(np.searchsorted(s, subject.timeline.grid(FRAMES)), 1, s.size - 1)
    nearest = after - (
        subject.timeline.grid(FRAMES) - s[after - 1] < s[after] - subject.timeline.grid(FRAMES)
    )
    return np.union1d(nearest, [0, s.size - 1])


def _counted(frames: Iterator[Frame], total: int, progress: Callable[[int, int], None]) -> Iterator[Frame]:
    progress(0, total)
    for done, frame in enumerate(frames, start=1):
        yield frame
        progress(done, total)


def _frames(subject: Subject, times: IntArray) -> Iterator[Frame]:
    """Yield each frame as an image (height, width, 3), both even."""
    from truncflow_cli.report.figures.film import Film
    from truncflow_cli.report.figures.style import applied

    with applied():
        film = Film(subject, times, MOST_LAYERS, DPI)
    for frame in range(times.size):
        with applied():
            image = film.frame(frame)
        height, width = image.shape[:2]
        yield image[: height - height % 2, : width - width % 2]


def _write_gif(frames: Iterator[Frame], part: Path) -> None:
    from PIL import Image

    def picture(frame: Frame) -> Any:
        return Image.fromarray(frame).quantize(COLORS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)

    each, last = round(1000 / RATE), round(1000 * HOLD)
    first = picture(next(frames))
    rest = [picture(frame) for frame in frames]
    durations = [each] * len(rest) + [last]
    first.save(part, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0)


def _write_mp4(frames: Iterator[Frame], part: Path, ffmpeg: str) -> None:
    first = next(frames)
    height, width = first.shape[:2]
    command = [
        ffmpeg, "-y", "-loglevel", "error",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(RATE), "-i", "-",
        "-an", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-fflags", "+bitexact", "-map_metadata", "-1",
        "-f", "mp4", str(part),
    ]  # fmt: skip
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            assert process.stdin is not None
            with process.stdin:
                frame = first
                process.stdin.write(frame.tobytes())
                for frame in frames:
                    process.stdin.write(frame.tobytes())
                for _ in range(round(RATE * HOLD)):
                    process.stdin.write(frame.tobytes())
            failed = process.wait() != 0
        except BrokenPipeError:
            failed = True
        finally:
            process.kill()
            process.wait()
        if failed:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            raise UserError(f"ffmpeg could not make the MP4: {said[-1] if said else 'it does not say why'}")
