"""Writing a run file while the run goes on, with bounded memory and without ever showing a broken file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.errors import RunFailed, UserError
from truncflow_cli.problem import Problem
from truncflow_cli.run_data import Certificate, Run, Source
from truncflow_cli.runfile import contents, schema
from truncflow_cli.runfile.atomic import WorkingFile, explained, sync_folder
from truncflow_cli.runfile.checkpoint import Checkpoint, origin_of, packed, unpacked
from truncflow_cli.runfile.checks import readable
from truncflow_cli.runfile.resume import Earlier, reopen
from truncflow_cli.runfile.template import filled, image_of
from truncflow_cli.saved_state import Chunk, State
from truncflow_cli.signals import undisturbed

#: Chunks are collected in memory up to this size, so that many small ones cost little.
BUFFER_BYTES = 1 << 20

#: Seconds until the first checkpoint, so that a run can be looked at soon after its start.
FIRST_CHECKPOINT = 1.0

#: A checkpoint that takes long is made less often: its cost stays below this share of the run.
CHECKPOINT_SHARE = 0.02

Certify = Callable[[Run], Sequence[Certificate]]


class _Buffer:
    """Chunks that wait for their file: how many rows they have along each axis, and bytes of memory."""

    def __init__(self, flow: str) -> None:
        self._names = {item.name for item in schema.items(flow) if item.axes[0] == "s"}
        self._chunks: list[Chunk] = []
        self.rows = {"s": 0, "event": 0}
        self.nbytes = 0

    def take(self, chunk: Chunk) -> None:
        """Add a chunk; its samples have to be those of the layout (ValueError)."""
        if chunk.n_saved and chunk.samples.keys() != self._names:
            raise ValueError(f"samples are {sorted(chunk.samples)}, the layout has {sorted(self._names)}")
        self._chunks.append(chunk)
        self.rows["s"] += chunk.n_saved
        self.rows["event"] += len(chunk.events)
        self.nbytes += chunk.events.nbytes + sum(array.nbytes for array in chunk.samples.values())

    def read(self, path: str) -> NDArray[Any] | None:
        """Return the rows that wait for a dataset; None if there are no saved times, or no such dataset."""
        group, _, name = path.partition("/")
        if group == "events":
            return np.concatenate([chunk.events[name] for chunk in self._chunks])
        if group != "trajectory" or not self.rows["s"] or name not in self._names:
            return None
        return np.concatenate([chunk.samples[name] for chunk in self._chunks if chunk.n_saved])


class RunWriter:
    """A run file that is being written; a context manager.

    Chunks go in with ``append``; ``finish`` gives the file its last status and its certificates. Leaving the
    block without ``finish`` keeps what the last checkpoint has published and drops the rest.

    Attributes:
        finished: whether the file has been published for good.
    """

    def __init__(
        self,
        path: Path,
        problem: Problem,
        config: str,
        command: str = "",
        force: bool = False,
        *,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        notes: Mapping[str, str | float] | None = None,
        warnings: Sequence[str] = (),
        checkpoint_every: float = 30.0,
        earlier: Earlier | None = None,
        prepared_in: float = 0.0,
    ) -> None:
        """Start a run file, or go on with one; nothing appears under its name before the first checkpoint.

        Args:
            path: the run file to write; its folder is made if need be.
            problem: what is being solved.
            config, settings: the resolved config as YAML, and as a mapping if that is at hand.
            command, seed, notes, warnings: what the file says of the run.
            force: whether a file that exists may be replaced.
            checkpoint_every: seconds of wall time between checkpoints.
            earlier: the run file at that path, if it is to be gone on with; its creation, seed, notes, warnings and
                command are kept.
            prepared_in: seconds that the run has taken up to here.

        Raises:
            UserError: the file exists (without ``force``), is being written by another run, cannot be written, or
                cannot be gone on with.
        """
        self._began = time.monotonic()
        self._checkpoint_every = checkpoint_every
        self._next_checkpoint = self._began + min(FIRST_CHECKPOINT, checkpoint_every)
        self._problem = problem
        self._given = {item.path: getattr(problem, item.field) for item in schema.ITEMS if item.field}
        self._run = Run(
            path,
            contents.root_attributes(problem, seed, command),
            config,
            schema.sizes_of(problem) | {"T": 0},
            Source(self._read),
            notes=notes,
            warnings=tuple(warnings),
            settings=settings,
        )
        self._buffer = _Buffer(problem.flow)
        self._s = self._published_s = 0.0
        self._last_state: Callable[[], State] | None = None
        self._elapsed_before, self._solving_before = prepared_in, 0.0
        self.finished = self._certified = False
        self._origin = origin_of(problem)
        self._in_memory = earlier is None and contents.estimate_bytes(problem) <= BUFFER_BYTES
        self._checkpoint: Checkpoint | None = None
        file: WorkingFile | None = None
        try:
            with undisturbed(), explained(path):
                file = self._file = WorkingFile(path)
                with self._guarded():
                    if earlier is not None:
                        self._go_on(earlier)
                    else:
                        self._start(force)
        except BaseException:  # also what was held back meanwhile
            if file is not None:
                file.discard()
            raise

    @property
    def path(self) -> Path:
        """The target, symbolic links resolved."""
        return self._file.target

    @property
    def state(self) -> State | None:
        """The state to go on from, None at the beginning; a UserError if what the file holds is not a state."""
        if self._checkpoint is None:
            return None
        with readable(self.path, "its checkpoint"):
            return unpacked(self._checkpoint.state)

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() >= self._next_checkpoint

    @property
    def record(self) -> Run | None:
        """What the published file holds; None if it has not been certified."""
        return self._run if self.finished and self._certified else None

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *error: object) -> None:
        with undisturbed():
            self._file.discard()

    def append(self, chunk: Chunk) -> None:
        """Take over a chunk; it is in the published file from the next checkpoint on.

        Raises:
            UserError: the disk does not take it; what was published remains.
        """
        self._buffer.take(chunk)
        self._run.n_saved += chunk.n_saved
        self._run.n_events += len(chunk.events)
        self._last_state = chunk.state
        self._s, self._run.counters = chunk.s, dict(chunk.counters)
        if chunk.switched_at is not None:
            self._run.attrs["switched_at"] = float(chunk.switched_at)
        self._run.attrs["solving_seconds"] = self._solving_before + time.monotonic() - self._began
        self._elapsed()
        if self.due:
            self._publish_checkpoint()
        elif self._buffer.nbytes >= BUFFER_BYTES:
            self._flush()

    def hold(self) -> None:
        """Take the state after the last chunk: from there the run can be gone on with later.

        Called while that chunk's state is good. A solver that gives no state makes a file that cannot be gone on with.

        Raises:
            UserError: the disk does not take what has come with the chunks; what was published remains.
        """
        if not self._in_memory:
            self._flush()
        if self._last_state is not None:
            state = packed(self._last_state())
            self._checkpoint = Checkpoint(state, self._s, self._run.n_saved, self._run.n_events, self._origin)
            self._last_state = None  # it holds the solver, whose memory is needed once it is done

    @contextmanager
    def points_lent(self) -> Iterator[None]:
        """Let a solver use the problem's array of points for itself: the file has them, and they come back at the end.

        (Not where the run is broken off: nobody looks at them then.)

        Raises:
            UserError: the disk does not take them, or they cannot be read.
        """
        if self._in_memory:
            with self._guarded():
                self._begin_file()
        try:
            yield
        except RunFailed:
            self._bring_points_back()
            raise
        self._bring_points_back()

    def _bring_points_back(self) -> None:
        with self._guarded(), readable(self._run.path, "data/x"):
            self._file.open()
            self._file.handles.read("data/x", into=self._problem.x)

    def finish(self, status: schema.Status, certify: Certify | None = None, message: str = "") -> None:
        """Write the rest, the status and the certificates, and publish the file; once done, do nothing.

        A run that has no sample leaves no file. When ``certify`` does not come to an end, the file is published
        without certificates (and as "interrupted", unless that is a defect), and the exception goes on.

        Args:
            status: how the run ended.
            certify: makes the certificates from what the working file holds.
            message: why the run failed.

        Raises:
            UserError: the disk does not take it; what was published remains.
        """
        if self.finished:
            return
        if not self._in_memory:
            self._flush()
        if self._run.n_saved == 0:
            return
        self._run.attrs |= {"status": status, "message": message}
        try:
            if certify is not None:
                self._certify(certify)
        except BaseException as error:
            if status == "complete" and isinstance(error, KeyboardInterrupt | MemoryError | UserError):
                self._run.attrs["status"] = "interrupted"
            self._publish()
            raise
        self._publish()

    def _start(self, force: bool) -> None:
        target = self._file.target
        if target.exists() and not target.is_file():
            raise UserError(f"{target} is not a regular file; choose another output with -o")
        if target.exists() and not force:
            raise UserError(f"{target} exists; --force replaces it, -o chooses another name")
        if not self._in_memory:
            self._begin_file()

    def _begin_file(self) -> None:
        """Make the working file, with all that is known before the run starts."""
        self._in_memory = False
        self._file.path.write_bytes(image_of(self._problem))
        self._file.open()
        self._file.reserve(contents.start_bytes(self._problem, self._run.config))
        contents.write_start(self._file.handles, self._run)

    def _go_on(self, earlier: Earlier) -> None:
        run, self._checkpoint = reopen(self._file, earlier, self._run.config, self._origin)
        for name in ("attrs", "counters", "notes", "warnings"):
            setattr(self._run, name, getattr(run, name))
        self._run.n_saved, self._run.n_events = self._checkpoint.saved, self._checkpoint.events
        self._s = self._published_s = self._checkpoint.s
        self._file.published = True  # as far as it goes
        self._elapsed_before += float(run.attrs["elapsed_seconds"])
        self._solving_before = float(run.attrs.setdefault("solving_seconds", 0.0))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Neither cut in two by a signal, nor ending in a traceback when the system refuses to write."""
        with undisturbed(), explained(self._file.target, self._kept):
            yield

    def _kept(self) -> str:
        """Say what the target holds now, for a message."""
        if self._file.published:
            return f"; {self._file.target.name} holds the run up to s = {self._published_s:.6g}"
        return "; the earlier file is untouched" if self._file.target.exists() else ""

    def _read(self, path: str) -> NDArray[Any] | None:
        """Return a dataset of the run: from the problem, from what waits in memory, or from the working file."""
        if path in self._given:
            given: NDArray[Any] = self._given[path]
            return given
        return self._buffer.read(path) if self._in_memory else self._file.handles.read(path)

    def _certify(self, certify: Certify) -> None:
        run = self._run
        try:
            certificates = certify(run)
            # What is told of a run once its file is closed.
            _ = run.s, run.loss, run.energy_balance, run.beta, run.events
        except UserError as error:  # too little memory to read it, say
            raise UserError(f"{run.path}: no certificates yet ({error}); --resume makes them") from error
        run.certificates = {certificate.name: certificate for certificate in certificates}
        self._certified = True

    def _elapsed(self) -> float:
        """Note how long the run has taken, and return it."""
        elapsed = self._elapsed_before + time.monotonic() - self._began
        self._run.attrs["elapsed_seconds"] = elapsed
        return elapsed

    def _publish(self) -> None:
        with self._guarded():
            if self._in_memory:
                self._file.path.write_bytes(filled(self._run, self._checkpoint, self._elapsed))
                self._file.publish()
            else:
                self._file.add_certificates(list(self._run.certificates.values()))
                self._file.add_checkpoint(self._checkpoint)
                self._elapsed()
                self._close_and_publish()
            self.finished = True

    def _close_and_publish(self) -> None:
        contents.write_end(self._file.handles, self._run)
        self._file.close()
        self._file.publish()

    def _flush(self) -> None:
        """Move the collected chunks into the working file."""
        with self._guarded():
            if self._in_memory:
                self._begin_file()
            self._file.open()
            rows = self._buffer.rows
            if not any(rows.values()):
                return
            self._file.reserve(contents.rows_bytes(self._problem, rows))
            start = {"s": self._run.n_saved - rows["s"], "event": self._run.n_events - rows["event"]}
            contents.write_rows(self._file.handles, self._problem.flow, self._buffer.read, start)
            self._buffer = _Buffer(self._problem.flow)

    def _publish_checkpoint(self) -> None:
        """Publish what there is, with status "running" and the state to go on from, and go on."""
        began = time.monotonic()
        self._flush()
        self.hold()
        with self._guarded():
            if self._run.n_saved:
                self._run.attrs |= {"status": "running", "message": ""}
                contents.write_end(self._file.handles, self._run)
                self._file.close()
                try:
                    self._file.publish_copy(self._checkpoint)
                except OSError:
                    self._salvage()
                    raise
                self._published_s = self._s
        now = time.monotonic()
        self._next_checkpoint = now + max(self._checkpoint_every, (now - began) / CHECKPOINT_SHARE)

    def _salvage(self) -> None:
        """Without room for a copy, publish the working file itself, unless another run's file is there."""
        first = not self._file.target.exists()
        if not (first or self._file.published):
            return
        self._file.open()
        try:
            self._file.add_checkpoint(self._checkpoint)
        except OSError:
            if not first:  # what is published can be gone on with
                return
        self._run.attrs["status"] = "interrupted"
        self._close_and_publish()
        self._published_s = self._s
        self.finished = True


def write_certificates(path: Path, certificates: Sequence[Certificate]) -> None:
    """Write certificates in place of those that a finished run file has, which nobody is writing, in one step.

    Raises:
        UserError: the file is being written by a run, or the disk does not take it; the file is unchanged.
    """
    with undisturbed(), explained(path):
        file = WorkingFile(path)
        try:
            file.open_copy()
            file.add_certificates(certificates)
            file.close()
            file.publish()
            sync_folder(file.target.parent)
        finally:
            file.discard()
