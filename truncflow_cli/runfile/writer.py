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
from truncflow_cli.runfile import calls, checkpoint, checks, contents, schema
from truncflow_cli.runfile.atomic import WorkingFile, explained
from truncflow_cli.runfile.buffer import Gathered
from truncflow_cli.runfile.checkpoint import Checkpoint, packed, unpacked
from truncflow_cli.runfile.checks import readable
from truncflow_cli.runfile.contents import Provenance
from truncflow_cli.runfile.handles import Sheet
from truncflow_cli.runfile.origin import origin_of
from truncflow_cli.runfile.reopen import Earlier, provenance_in, reopen
from truncflow_cli.runfile.structure import image_of, sizes_of
from truncflow_cli.runfile.template import Filling, filled
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
        target: Path,
        problem: Problem,
        provenance: Provenance,
        *,
        force: bool = False,
        checkpoint_every: float = 30.0,
        earlier: Earlier | None = None,
        prepared_in: float = 0.0,
    ) -> None:
        """Lock the target and prepare the working file; nothing appears under the target's name yet.

        Args:
            target: the run file to write.
            problem: what is being solved.
            provenance: where it came from.
            force: whether a file that exists may be replaced.
            checkpoint_every: seconds of wall time between checkpoints.
            earlier: the run file at the target, if it is to be gone on with.
            prepared_in: seconds that the run has taken up to here.

        Raises:
            UserError: the target exists (without ``force``), is being written by another run, cannot be written, or
                cannot be gone on with.
        """
        self._began = time.monotonic()
        self._checkpoint_every = checkpoint_every
        self._next_checkpoint = self._began + min(FIRST_CHECKPOINT, checkpoint_every)
        self._problem = problem
        self._provenance = provenance
        self._target = target
        self._attributes = contents.root_attributes(problem, provenance)
        self._record: Run | None = None
        self._gathered = Gathered()
        self._counters: dict[str, int] = {}
        self._switched_at: float | None = None
        self._s = self._published_s = 0.0
        self._saved = self._n_events = 0
        self._last_state: Callable[[], State] | None = None
        self._elapsed = self._elapsed_before = prepared_in
        self._solving = self._solving_before = 0.0
        self._finished = False
        self._origin = origin_of(problem)
        self._in_memory = earlier is None and contents.estimate_bytes(problem) <= BUFFER_BYTES
        self._checkpoint: Checkpoint | None = None
        file: WorkingFile | None = None
        try:
            with undisturbed(), explained(target):
                file = self._file = WorkingFile(target)
                with self._guarded():
                    if earlier is None:
                        self._prepare(force)
                    else:
                        self._go_on(earlier, provenance.config)
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
        return self._record if self._finished else None

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
        self._gathered.take(chunk)
        self._last_state = chunk.state
        self._s, self._counters, self._switched_at = chunk.s, dict(chunk.counters), chunk.switched_at
        self._saved += len(chunk.samples.get("s", ()))
        self._n_events += len(chunk.events)
        self._solving = self._solving_before + time.monotonic() - self._began
        self._note_time()
        if self.due:
            self._publish_checkpoint()
        elif self._gathered.nbytes >= BUFFER_BYTES:
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
            self._checkpoint = Checkpoint(state, self._s, self._saved, self._n_events, self._origin)
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
        with self._guarded(), readable(self._target, "data/x"):
            self._file.open()
            calls.read_into(self._file.h5, "data/x", self._problem.x)

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
        if self._saved == 0:
            return
        try:
            certificates = self._certified(certify, status, message) if certify else []
        except (KeyboardInterrupt, MemoryError, UserError):
            self._publish("interrupted" if status == "complete" else status, message, [])
            raise
        except BaseException:
            self._publish(status, message, [])
            raise
        self._publish(status, message, certificates)

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
        self._file.reserve(contents.fixed_bytes(self._problem, self._provenance))
        contents.write_fixed(self._file.sheet, self._problem, self._provenance, self._attributes)

    def _go_on(self, earlier: Earlier, config: str) -> None:
        self._checkpoint = reopen(self._file, earlier, config, self._origin)
        self._s = self._published_s = self._checkpoint.s
        self._file.published = True  # as far as it goes
        self._saved, self._n_events = self._checkpoint.saved, self._checkpoint.events
        self._attributes = checks.attributes(self._target, self._file.h5)
        self._provenance = provenance_in(self._target, self._file.h5, config, self._attributes)
        self._elapsed_before += float(self._attributes["elapsed_seconds"])
        self._solving = self._solving_before = float(self._attributes.get("solving_seconds", 0.0))

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

    def _certified(self, certify: Certify, status: schema.Status, message: str) -> Sequence[Certificate]:
        run = Run(
            self._target,
            {**self._attributes, **self._ending(status, message)},
            self._provenance.config,
            {**sizes_of(self._problem), "T": self._saved, "E": self._n_events},
            Memory(self._reader()),
            counters=self._counters,
            notes=self._provenance.notes,
            warnings=tuple(self._provenance.warnings),
            settings=self._provenance.settings,
        )
        try:
            certificates = certify(run)
            run.certificates = {certificate.name: certificate for certificate in certificates}
            # What is told of a run once its file is closed.
            _ = run.s, run.loss, run.energy_balance, run.beta, run.events
        except UserError as error:  # too little memory to read it, say
            raise UserError(f"{self._target}: no certificates yet ({error}); --resume makes them") from error
        self._record = run
        return certificates

    def _note_time(self) -> float:
        self._elapsed = self._elapsed_before + time.monotonic() - self._began
        return self._elapsed

    def _reader(self) -> Callable[[str], NDArray[Any] | None]:
        """Return what gives the datasets that there are, by their paths."""
        given = {item.path: getattr(self._problem, item.field) for item in schema.ITEMS if item.field}
        if not self._in_memory:
            return lambda path: given[path] if path in given else calls.read(self._file.h5, path)
        events = self._gathered.events
        given |= {f"trajectory/{name}": rows for name, rows in self._gathered.samples.items()}
        return (given | {item.path: events[item.name] for item in schema.EVENTS}).get

    def _publish(self, status: schema.Status, message: str, certificates: Sequence[Certificate]) -> None:
        with self._guarded():
            if self._in_memory:
                self._file.publish_image(self._image(status, message, certificates))
            else:
                self._file.reserve(contents.certificates_bytes(certificates) + self._checkpoint_room)
                contents.write_certificates(self._file.sheet, certificates)
                self._write_checkpoint(self._file.sheet)
                self._note_time()
                self._write_status(status, message)
                self._file.close()
                self._file.publish()
            self._finished = True
        if self._record is not None:
            self._record.attrs["elapsed_seconds"] = self._elapsed

    def _image(self, status: schema.Status, message: str, certificates: Sequence[Certificate]) -> bytes:
        attributes = self._attributes | self._ending(status, message)
        samples, events = self._gathered.samples, self._gathered.events
        what = self._problem, self._provenance, attributes, self._counters, samples, events
        return filled(Filling(*what, certificates, self._checkpoint, self._note_time))

    def _ending(self, status: schema.Status, message: str) -> dict[str, Any]:
        """Return the root attributes that change in the course of a run."""
        switched = {} if self._switched_at is None else {"switched_at": float(self._switched_at)}
        return {
            **switched,
            "status": status,
            "message": message,
            "elapsed_seconds": self._elapsed,
            "solving_seconds": self._solving,
        }

    def _write_status(self, status: schema.Status, message: str = "") -> None:
        contents.write_status(self._file.sheet, self._ending(status, message), self._counters)

    @property
    def _checkpoint_room(self) -> int:
        return 0 if self._checkpoint is None else self._checkpoint.room

    def _write_checkpoint(self, sheet: Sheet) -> None:
        if self._checkpoint is not None:
            checkpoint.write(sheet, self._checkpoint)

    def _flush(self) -> None:
        """Move the collected chunks into the working file."""
        if self._in_memory:
            self._begin_file()
        self._file.open()
        if not self._gathered:
            return
        n_samples, n_events = self._gathered.n_samples, self._gathered.n_events
        self._file.reserve(contents.streamed_bytes(self._problem, n_samples, n_events))
        if n_samples:
            start = self._saved - n_samples
            contents.write_samples(self._file.sheet, self._problem.flow, self._gathered.samples, start)
        contents.write_events(self._file.sheet, self._gathered.events, self._n_events - n_events)
        self._gathered = Gathered()

    def _publish_checkpoint(self) -> None:
        """Publish what there is, with status "running" and the state to go on from, and go on."""
        began = time.monotonic()
        with self._guarded():
            self._flush()
        self.hold()
        with self._guarded():
            if self._saved:
                self._write_status("running")
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
            self._write_checkpoint(self._file.sheet)
        self._write_status("interrupted")
        self._file.close()
        self._file.publish()
        self._published_s = self._s
        self._finished = True


def create(
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
) -> RunWriter:
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
        earlier: the run file at that path, if it is to be gone on with; its creation, seed, notes, warnings and command
            are kept.
        prepared_in: seconds that the run has taken up to here.

    Raises:
        UserError: the file exists (without ``force``), is being written by another run, cannot be written, or cannot be
            gone on with.
    """
    provenance = Provenance(config, seed, command, notes or {}, warnings, settings)
    return RunWriter(
        path,
        problem,
        provenance,
        force=force,
        checkpoint_every=checkpoint_every,
        earlier=earlier,
        prepared_in=prepared_in,
    )
