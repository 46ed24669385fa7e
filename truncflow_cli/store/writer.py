"""Writing a run file while the run goes on, with bounded memory and without ever showing a broken file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from truncflow_cli.errors import UserError
from truncflow_cli.model.certificate import Certificate
from truncflow_cli.model.chunk import Chunk
from truncflow_cli.model.problem import Problem
from truncflow_cli.store import contents, layout
from truncflow_cli.store.contents import Provenance
from truncflow_cli.store.reader import RunFile, open_run
from truncflow_cli.store.shield import undisturbed
from truncflow_cli.store.working import WorkingFile, explained

#: Chunks are collected in memory up to this size, so that many small ones cost little.
BUFFER_BYTES = 1 << 20

#: Seconds until the first checkpoint, so that a run can be looked at soon after its start.
FIRST_CHECKPOINT = 1.0

#: A checkpoint that takes long is made less often: its cost stays below this share of the run.
CHECKPOINT_SHARE = 0.02

Certify = Callable[[RunFile], Sequence[Certificate]]


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
    ) -> None:
        """Lock the target and prepare the working file; nothing appears under the target's name yet.

        Args:
            target: the run file to write.
            problem: what is being solved.
            provenance: where it came from.
            force: whether a file that exists may be replaced.
            checkpoint_every: seconds of wall time between checkpoints.

        Raises:
            UserError: the target exists (without ``force``), is being written by another run, or cannot be
                written.
        """
        self._began = time.monotonic()
        self._checkpoint_every = checkpoint_every
        self._next_checkpoint = self._began + min(FIRST_CHECKPOINT, checkpoint_every)
        self._problem = problem
        self._pending: list[Chunk] = []
        self._pending_bytes = 0
        self._counters: dict[str, int] = {}
        self._switched_at: float | None = None
        self._s = self._published_s = 0.0
        self._saved = 0
        self._elapsed = 0.0
        self._finished = False
        with undisturbed(), explained(target):
            self._file = WorkingFile(target)
            try:
                with self._guarded():
                    self._prepare(force, provenance)
            except BaseException:
                self._file.discard()
                raise

    @property
    def path(self) -> Path:
        """The target, symbolic links resolved."""
        return self._file.target

    @property
    def finished(self) -> bool:
        """Whether the file has been published for good."""
        return self._finished

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
        self._pending.append(chunk)
        self._pending_bytes += chunk.events.nbytes + sum(array.nbytes for array in chunk.samples.values())
        if time.monotonic() >= self._next_checkpoint:
            self._checkpoint()
        elif self._pending_bytes >= BUFFER_BYTES:
            with self._guarded():
                self._flush()

    def finish(self, status: layout.Status, certify: Certify | None = None, message: str = "") -> None:
        """Write the rest, the status and the certificates, and publish the file; once done, do nothing.

        A run that has no sample leaves no file. When ``certify`` is interrupted or fails, the file is
        published without certificates (and as "interrupted" in the first case), and the exception goes on.

        Args:
            status: how the run ended.
            certify: makes the certificates from the finished working file.
            message: why the run failed.

        Raises:
            UserError: the disk does not take it; what was published remains.
        """
        if self._finished:
            return
        with self._guarded():
            self._flush()
            self._write_status(status, message)
            self._file.close()
        if self._saved == 0:
            return
        try:
            certificates = self._certified(certify) if certify else []
        except KeyboardInterrupt:
            self._publish("interrupted" if status == "complete" else status, message, [])
            raise
        except BaseException:
            self._publish(status, message, [])
            raise
        self._publish(status, message, certificates)

    def _prepare(self, force: bool, provenance: Provenance) -> None:
        target = self._file.target
        if target.exists() and not target.is_file():
            raise UserError(f"{target} is not a regular file; choose another output with -o")
        if target.exists() and not force:
            raise UserError(f"{target} exists; --force replaces it, -o chooses another name")
        self._file.open(new=True)
        self._file.reserve(contents.fixed_bytes(self._problem, provenance))
        contents.write_fixed(self._file.h5, self._problem, provenance)
        self._file.h5.flush()

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

    def _certified(self, certify: Certify) -> Sequence[Certificate]:
        with open_run(self._file.path) as run:
            return certify(run)

    def _publish(self, status: layout.Status, message: str, certificates: Sequence[Certificate]) -> None:
        with self._guarded():
            self._file.open()
            self._file.reserve(contents.certificates_bytes(certificates))
            contents.write_certificates(self._file.h5, certificates)
            self._write_status(status, message)
            self._file.close()
            self._file.publish()
            self._finished = True

    def _write_status(self, status: layout.Status, message: str = "") -> None:
        contents.write_status(
            self._file.h5, status, message, self._elapsed, self._counters, self._switched_at
        )

    def _flush(self) -> None:
        """Move the collected chunks into the working file."""
        self._elapsed = time.monotonic() - self._began
        self._file.open()
        if self._pending:
            self._file.reserve(self._room_for_pending())
            with_samples = [chunk.samples for chunk in self._pending if len(chunk.samples.get("s", ()))]
            if with_samples:
                samples = {name: np.concatenate([s[name] for s in with_samples]) for name in with_samples[0]}
                contents.append_samples(self._file.h5, self._problem.flow, samples)
                self._saved += len(samples["s"])
            contents.append_events(self._file.h5, np.concatenate([chunk.events for chunk in self._pending]))
            self._counters = dict(self._pending[-1].counters)
            self._switched_at = self._pending[-1].switched_at
            self._s = self._pending[-1].s
            self._pending, self._pending_bytes = [], 0
        self._file.h5.flush()

    def _room_for_pending(self) -> int:
        n_samples = sum(len(chunk.samples.get("s", ())) for chunk in self._pending)
        n_events = sum(len(chunk.events) for chunk in self._pending)
        return contents.streamed_bytes(self._problem, n_samples, n_events)

    def _checkpoint(self) -> None:
        """Publish what there is, with status "running", and go on."""
        began = time.monotonic()
        with self._guarded():
            self._flush()
            if self._saved:
                self._write_status("running")
                self._file.close()
                try:
                    self._file.publish_copy()
                except OSError:
                    self._salvage()
                    raise
                self._published_s = self._s
        now = time.monotonic()
        self._next_checkpoint = now + max(self._checkpoint_every, (now - began) / CHECKPOINT_SHARE)

    def _salvage(self) -> None:
        """Without room for a copy, publish the working file itself, unless another run's file is there."""
        if self._file.published or not self._file.target.exists():
            self._file.open()
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
    seed: int = 0,
    notes: Mapping[str, str | float] | None = None,
    warnings: Sequence[str] = (),
    checkpoint_every: float = 30.0,
) -> RunWriter:
    """Start a run file; nothing appears under its name before the first checkpoint.

    Args:
        path: the run file to write; its folder is made if need be.
        problem: what is being solved.
        config: the resolved config as YAML.
        command: the command that makes the file.
        force: whether a file that exists may be replaced.
        seed: the seed of every random choice.
        notes: what was found while the problem was built.
        warnings: what the user was warned of.
        checkpoint_every: seconds of wall time between checkpoints.

    Raises:
        UserError: the file exists (without ``force``), is being written by another run, or cannot be written.
    """
    provenance = Provenance(config, seed, command, notes or {}, warnings)
    return RunWriter(path, problem, provenance, force=force, checkpoint_every=checkpoint_every)


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
            contents.write_certificates(file.h5, certificates)
            file.close()
            file.publish()
        finally:
            file.discard()
