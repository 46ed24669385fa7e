"""Writing a run file while the run goes on, with bounded memory and without ever showing a broken file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from truncflow_cli.certificate import Certificate
from truncflow_cli.chunk import Chunk
from truncflow_cli.errors import UserError
from truncflow_cli.problem import Problem
from truncflow_cli.run_data import Memory, Run
from truncflow_cli.runfile import contents, schema
from truncflow_cli.runfile.atomic import WorkingFile, explained, sync_folder
from truncflow_cli.runfile.buffer import Buffer
from truncflow_cli.runfile.checkpoint import Checkpoint, origin_of, packed, unpacked
from truncflow_cli.runfile.checks import readable
from truncflow_cli.runfile.handles import Handles
from truncflow_cli.runfile.resume import Earlier, reopen
from truncflow_cli.runfile.template import filled, image_of
from truncflow_cli.saved_state import State
from truncflow_cli.signals import undisturbed

#: Chunks are collected in memory up to this size, so that many small ones cost little.
BUFFER_BYTES = 1 << 20

#: Seconds until the first checkpoint, so that a run can be looked at soon after its start.
FIRST_CHECKPOINT = 1.0

#: A checkpoint that takes long is made less often: its cost stays below this share of the run.
CHECKPOINT_SHARE = 0.02

Certify = Callable[[Run], Sequence[Certificate]]


class RunWriter:
    """A run file that is being written; a context manager.

    Chunks go in with ``append``; ``finish`` gives the file its last status and its certificates. Leaving the
    block without ``finish`` keeps what the last checkpoint has published and drops the rest.
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
            config: the resolved config as YAML.
            command: the command that makes the file.
            force: whether a file that exists may be replaced.
            settings: the resolved config as a mapping, if it is at hand.
            seed: the seed of every random choice.
            notes: what was found while the problem was built.
            warnings: what the user was warned of.
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
        self._given: dict[str, NDArray[Any]] = {
            item.path: getattr(problem, item.field) for item in schema.ITEMS if item.field
        }
        self._run = Run(
            path,
            contents.root_attributes(problem, seed, command),
            config,
            schema.sizes_of(problem) | {"T": 0},
            Memory(self._read),
            notes=notes,
            warnings=tuple(warnings),
            settings=settings,
        )
        self._buffer = self._new_buffer()
        self._s = self._published_s = 0.0
        self._last_state: Callable[[], State] | None = None
        self._elapsed_before, self._solving_before = prepared_in, 0.0
        self._finished = self._certified = False
        self._origin = origin_of(problem)
        self._in_memory = earlier is None and contents.estimate_bytes(problem) <= BUFFER_BYTES
        self._checkpoint: Checkpoint | None = None
        file: WorkingFile | None = None
        try:
            with undisturbed(), explained(path):
                file = self._file = WorkingFile(path)
                with self._guarded():
                    if earlier is None:
                        self._prepare(force)
                    else:
                        self._go_on(earlier)
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
        """The state to go on from; None at the beginning.

        Raises:
            UserError: what the file holds is not a state.
        """
        if self._checkpoint is None:
            return None
        with readable(self.path, "its checkpoint"):
            return unpacked(self._checkpoint.state)

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() >= self._next_checkpoint

    @property
    def finished(self) -> bool:
        """Whether the file has been published for good."""
        return self._finished

    @property
    def record(self) -> Run | None:
        """What the published file holds; None if it has not been certified."""
        return self._run if self._finished and self._certified else None

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with undisturbed():
            self._file.discard()

    def append(self, chunk: Chunk) -> None:
        """Take over a chunk; it is in the published file from the next checkpoint on.

        Raises:
            UserError: the disk does not take it; what was published remains.
        """
        before = self._buffer.n_samples, self._buffer.n_events
        self._buffer.take(chunk)
        self._run.n_saved += self._buffer.n_samples - before[0]
        self._run.n_events += self._buffer.n_events - before[1]
        self._last_state = chunk.state
        self._s, self._run.counters = chunk.s, dict(chunk.counters)
        if chunk.switched_at is not None:
            self._run.attrs["switched_at"] = float(chunk.switched_at)
        self._run.attrs["solving_seconds"] = self._solving_before + time.monotonic() - self._began
        self._elapsed()
        if self.due:
            self._publish_checkpoint()
        elif self._buffer.nbytes >= BUFFER_BYTES:
            with self._guarded():
                self._flush()

    def hold(self) -> None:
        """Take the state after the last chunk: from there the run can be gone on with later.

        Called while that chunk's state is good. A solver that gives no state makes a file that cannot be gone on with.

        Raises:
            UserError: the disk does not take what has come with the chunks; what was published remains.
        """
        if not self._in_memory:
            with self._guarded():
                self._flush()
        if self._last_state is not None:
            state = packed(self._last_state())
            self._checkpoint = Checkpoint(state, self._s, self._run.n_saved, self._run.n_events, self._origin)
            self._last_state = None  # it holds the solver, whose memory is needed once it is done

    def keep_points(self) -> None:
        """Have the points in the file, whatever becomes of the problem's array.

        Raises:
            UserError: the disk does not take them.
        """
        if self._in_memory:
            with self._guarded():
                self._begin_file()

    def bring_back_points(self) -> None:
        """Fill the problem's array of points from the file, after a solver has used it for itself.

        Raises:
            UserError: they cannot be read.
        """
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
        if self._finished:
            return
        if not self._in_memory:
            with self._guarded():
                self._flush()
        if self._run.n_saved == 0:
            return
        self._run.attrs |= {"status": status, "message": message}
        try:
            if certify is not None:
                self._certify(certify)
        except (KeyboardInterrupt, MemoryError, UserError):
            if status == "complete":
                self._run.attrs["status"] = "interrupted"
            self._publish()
            raise
        except BaseException:
            self._publish()
            raise
        self._publish()

    def _new_buffer(self) -> Buffer:
        along_s = (item for item in schema.items(self._problem.flow) if item.axes[0] == "s")
        return Buffer({item.name for item in along_s})

    def _prepare(self, force: bool) -> None:
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
        self._file.open_new(image_of(self._problem))
        self._file.reserve(contents.start_bytes(self._problem, self._run.config))
        contents.write_start(self._file.handles, self._run)

    def _go_on(self, earlier: Earlier) -> None:
        run, self._checkpoint = reopen(self._file, earlier, self._run.config, self._origin)
        self._run.attrs, self._run.counters = run.attrs, run.counters
        self._run.notes, self._run.warnings = run.notes, run.warnings
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
            return self._given[path]
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
                self._file.publish_image(filled(self._run, self._checkpoint, self._elapsed))
            else:
                certificates = list(self._run.certificates.values())
                self._file.reserve(contents.certificates_bytes(certificates) + self._checkpoint_room)
                contents.write_certificates(self._file.handles, certificates)
                self._write_checkpoint(self._file.handles)
                self._elapsed()
                contents.write_end(self._file.handles, self._run)
                self._file.close()
                self._file.publish()
            self._finished = True

    @property
    def _checkpoint_room(self) -> int:
        return 0 if self._checkpoint is None else self._checkpoint.room

    def _write_checkpoint(self, handles: Handles) -> None:
        if self._checkpoint is not None:
            self._checkpoint.write(handles)

    def _flush(self) -> None:
        """Move the collected chunks into the working file."""
        if self._in_memory:
            self._begin_file()
        self._file.open()
        if not self._buffer:
            return
        rows = {"s": self._buffer.n_samples, "event": self._buffer.n_events}
        self._file.reserve(contents.rows_bytes(self._problem, rows))
        start = {"s": self._run.n_saved - rows["s"], "event": self._run.n_events - rows["event"]}
        contents.write_rows(self._file.handles, self._problem.flow, self._buffer.read, start)
        self._buffer = self._new_buffer()

    def _publish_checkpoint(self) -> None:
        """Publish what there is, with status "running" and the state to go on from, and go on."""
        began = time.monotonic()
        with self._guarded():
            self._flush()
        self.hold()
        with self._guarded():
            if self._run.n_saved:
                self._run.attrs |= {"status": "running", "message": ""}
                contents.write_end(self._file.handles, self._run)
                self._file.close()
                try:
                    self._file.publish_copy(self._write_checkpoint, self._checkpoint_room)
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
            self._file.reserve(self._checkpoint_room)
        except OSError:
            if not first:  # what is published can be gone on with
                return
        else:
            self._write_checkpoint(self._file.handles)
        self._run.attrs["status"] = "interrupted"
        contents.write_end(self._file.handles, self._run)
        self._file.close()
        self._file.publish()
        self._published_s = self._s
        self._finished = True


def write_certificates(path: Path, certificates: Sequence[Certificate]) -> None:
    """Write certificates in place of those that a finished run file has, in one step.

    Args:
        path: a run file that nobody is writing.
        certificates: what it shall have.

    Raises:
        UserError: the file is being written by a run, or the disk does not take it; the file is unchanged.
    """
    with undisturbed(), explained(path):
        file = WorkingFile(path)
        try:
            file.open_copy()
            file.reserve(contents.certificates_bytes(certificates))
            contents.make_certificates(file.handles)
            contents.write_certificates(file.handles, certificates)
            file.close()
            file.publish()
            sync_folder(file.target.parent)
        finally:
            file.discard()
