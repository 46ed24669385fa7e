"""Cases in a process of its own, which may crash or hang: that is counted, and another one takes its place."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import shutil
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from . import data_cases, hdf5_cases, yaml_cases
from .commands import faults_of, files_in, truncflow
from .samples import Samples

PARTS = {"yaml": yaml_cases, "data": data_cases, "hdf5": hdf5_cases}
#: Wall time after which a case hangs; what it may cost in processor time is less.
HANGS_AFTER = 60.0
#: What one process may take of the machine: address space, and the size of a file.
_LIMITS = {resource.RLIMIT_AS: 16 << 30, resource.RLIMIT_FSIZE: 1 << 30, resource.RLIMIT_CORE: 0}


def outcome(part: str, seed: int, number: int, folder: Path, samples: Samples) -> list[str]:
    """Try a case in an empty folder, and return what is wrong with how it ended."""
    chance = Random(f"{seed}/{part}/{number}")
    command = PARTS[part].make(chance, folder, samples)
    (folder / "command.txt").write_bytes(repr(command).encode(errors="backslashreplace"))
    before = files_in(folder)
    with contextlib.chdir(folder):
        ending = truncflow(command)
    faults = faults_of(ending)
    if ending.code == 2 and files_in(folder) != before:
        faults.append(f"refused, and still wrote {sorted(files_in(folder).keys() - before.keys())}")
    return faults


def cases(
    part: str, seed: int, numbers: range, folder: Path, samples: Samples
) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each case and what is wrong with how it ended.

    The folder of a case that is lost stays: its input, and the command in command.txt.
    """
    worker = _Worker(samples)
    try:
        for number in numbers:
            place = folder / f"{part}-{seed}-{number}"
            place.mkdir(parents=True)
            faults = worker.outcome(part, seed, number, place)
            if not faults:
                shutil.rmtree(place)
            yield number, faults
    finally:
        worker.end()


class _Worker:
    """The process that tries cases."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.begin()

    def begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.samples), daemon=True)
        self.process.start()
        theirs.close()

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()

    def outcome(self, part: str, seed: int, number: int, folder: Path) -> list[str]:
        self.connection.send((part, seed, number, folder))
        try:
            if self.connection.poll(HANGS_AFTER):
                faults: list[str] = self.connection.recv()
            else:
                faults = [f"hangs: no end after {HANGS_AFTER:.0f} s"]
        except EOFError:
            self.process.join()
            faults = [f"crashes: the process ended with {self.process.exitcode}"]
        if faults:  # a high-water mark of memory, say, must not be counted twice
            self.end()
            self.begin()
        return faults


def _serve(connection: Connection, samples: Samples) -> None:
    for kind, limit in _LIMITS.items():
        resource.setrlimit(kind, (limit, limit))
    os.environ["COLUMNS"] = "100"
    while True:
        try:
            part, seed, number, folder = connection.recv()
        except EOFError:
            return
        try:
            connection.send(outcome(part, seed, number, folder, samples))
        except Exception as error:  # the case could not even be made
            connection.send([f"the case cannot be made: {type(error).__name__}: {error}"])
