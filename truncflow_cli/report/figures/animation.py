"""The geometry of a run in motion, with its loss below: ``animate(run, path, progress)``.

GIF through Pillow, which matplotlib brings along; MP4 through ffmpeg where it is on the PATH.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from truncflow_cli.errors import UserError
from truncflow_cli.problem import IntArray
from truncflow_cli.report.figures.geometry import (
    draw_axes,
    draw_panel,
    marks,
    outer,
    said,
    scene_for,
    time_text,
    title_of,
    windows,
)  # fmt: skip
from truncflow_cli.report.figures.loss import draw_curves, draw_ticks
from truncflow_cli.report.figures.panels import legend_below, remark, value_axis
from truncflow_cli.report.figures.style import GREY, WIDTH, applied, new_figure
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.replacing import replacing
from truncflow_cli.run_data import Run

Frame = NDArray[np.uint8]

#: Saved times shown at most, spread evenly along the axis of s.
FRAMES = 120
#: Frames a second, and how long the last one stays, in seconds.
RATE = 15
HOLD = 2.0
#: Layers side by side at most, and the width of each, in inches.
MOST_LAYERS = 3
WIDEST = 4.2
#: Height of the loss, and of what stands around the panels, in inches; of the event ticks, relative to the loss.
LOSS = 1.7
AROUND = 1.0
TICKS = 0.2
#: Pixels an inch.
DPI = 110
#: Colours of a GIF's frame.
COLORS = 128


def animate(run: Run, path: Path, progress: Callable[[int, int], None]) -> Path:
    """Draw the geometry at the saved times, one frame after the other, into a .gif or an .mp4.

    A file that is there is replaced once the new one is whole. ``progress`` gets the numbers of frames, done and all.

    Raises:
        UserError: another ending, ffmpeg is missing, or the file cannot be written.
    """
    path = Path(path)
    write = _writer(path)
    subject = Subject(run)
    times = frame_times(subject)
    with replacing(path) as part:
        write(_counted(_frames(subject, times), times.size, progress), part)
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
    even = subject.timeline.grid(FRAMES)
    after = np.clip(np.searchsorted(s, even), 1, s.size - 1)
    return np.union1d(after - (even - s[after - 1] < s[after] - even), [0, s.size - 1])


def _counted(frames: Iterator[Frame], total: int, progress: Callable[[int, int], None]) -> Iterator[Frame]:
    progress(0, total)
    for done, frame in enumerate(frames, start=1):
        yield frame
        progress(done, total)


def _frames(subject: Subject, times: IntArray) -> Iterator[Frame]:
    """Yield each frame as an image (height, width, 3), both even: the loss and the layout stay."""
    scene = scene_for(subject, MOST_LAYERS)
    if scene is None:
        raise UserError(f"{subject.run.path}: flow {subject.run.flow} has no geometry to be animated")
    views = [scene.panels(int(t)) for t in times]
    shown = windows(scene, views)
    with applied():
        side = shown[0].shape * min(WIDTH / len(shown), WIDEST)
        figure = new_figure(side + AROUND + LOSS)
        figure.set_dpi(DPI)
        upper, lower = figure.subfigures(2, 1, height_ratios=(side + AROUND, LOSS))
        panels = upper.subplots(1, len(shown), squeeze=False)[0]
        legend_below(upper, marks(subject, views, scene))
        rows = _loss(lower, subject)
        cursors = [row.axvline(0.0, color=GREY, linewidth=1.0) for row in rows]
        clock = rows[0].set_title("", loc="right")
        remark(figure, subject.remarks(*said(subject, scene)))
    for t, view in zip(times.tolist(), views, strict=True):
        with applied():
            for axes, panel, window in zip(panels, view, shown, strict=True):
                axes.clear()
                draw_panel(axes, panel, scene, window)
                axes.set_title(title_of(subject, panel))
                outer(axes, scene, first=True, last=True)
            if scene.projection.dim == 3:
                draw_axes(panels[-1], views[0][-1], scene, shown[-1])
            for cursor in cursors:
                cursor.set_xdata([subject.run.s[t]] * 2)
            clock.set_text(time_text(subject, t))
            if t == 0:
                figure.draw_without_rendering()
            figure.canvas.draw()
            figure.set_layout_engine("none")  # the first frame has settled it, in two passes
            image = np.asarray(figure.canvas.buffer_rgba())[:, :, :3].copy()
        height, width = image.shape[:2]
        yield image[: height - height % 2, : width - width % 2]


def _loss(figure: Figure, subject: Subject) -> Sequence[Axes]:
    """Draw the loss, and below it the events if there are any; return the panels."""
    events = subject.run.events
    ratios = (1.0, TICKS) if events.size else (1.0,)
    rows = figure.subplots(len(ratios), 1, squeeze=False, sharex=True, height_ratios=ratios)[:, 0]
    value_axis(rows[0], draw_curves(rows[0], subject))
    rows[0].set_ylabel(r"loss $\mathcal{C}$")
    if events.size:
        draw_ticks(rows[1], subject, {"events": events})
    for row in rows:
        subject.timeline.apply(row, label=row is rows[-1])
    return list(rows)


def _write_gif(frames: Iterator[Frame], part: Path) -> None:
    how = Image.Quantize.MEDIANCUT
    first, *rest = (Image.fromarray(each).quantize(COLORS, how, dither=Image.Dither.NONE) for each in frames)
    durations = [round(1000 / RATE)] * len(rest) + [round(1000 * HOLD)]
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
                for frame in chain([first], frames):
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
            told = errors.read().decode(errors="replace").strip().splitlines()
            raise UserError(f"ffmpeg could not make the MP4: {told[-1] if told else 'it does not say why'}")
