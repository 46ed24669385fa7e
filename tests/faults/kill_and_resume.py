"""Runs that are killed, interrupted and terminated at random moments, resumed, and compared with one left in peace.

``python -m tests.faults.kill_and_resume`` does it for every flow, a hundred times each; with ``--seconds 600`` it is
one long run with its usual checkpoints, killed at twenty random moments.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from run_file_equality import differences  # noqa: E402

import truncflow_cli as truncflow  # noqa: E402
from truncflow_cli import runfile  # noqa: E402
from truncflow_cli.errors import UserError  # noqa: E402

#: A signal, how often it is chosen, and the exit code that it has to lead to.
SIGNALS = {signal.SIGKILL: (4, -signal.SIGKILL), signal.SIGINT: (1, 130), signal.SIGTERM: (1, 143)}
#: How often one run is stopped in a row.
IN_A_ROW = 10
#: Wall time after which a run that has been let alone must have ended.
PATIENCE = 600.0

_TWO_CLUSTERS = """\
clusters:
  - {center: [2.0, 0.0], shape: gaussian, std: 0.7, size: 25}
  - {center: [0.0, 2.0], shape: gaussian, std: 0.7, size: 25}
labels: [[1.5, -0.5], [0.2, 1.6]]
"""

#: A small run of every kind: without and with pins, with each way that separation can end, in closed form, ...
CONFIGS = {
    "separated": f"flow: separated\n{_TWO_CLUSTERS}initial: {{rotation: random, bias: {{normal: 1.0}}}}\n"
    "integrator: {s_end: 5.0}\nsave: {count: 61}\n",
    "pins": "flow: separated\nseed: 12\nclusters: [{center: [0, 0, 0], shape: gaussian, std: 1.0, size: 12}]\n"
    "initial: {rotation: random, bias: {normal: 1.0}}\nintegrator: {s_end: 6.0}\nsave: {every: 0.1}\n",
    "printed": f"flow: separated\nequations: printed\n{_TWO_CLUSTERS}"
    "initial: {rotation: random, bias: {normal: 1.0}}\nintegrator: {s_end: 3.0}\nsave: {count: 41}\n",
    "batched": "flow: separated\nclusters:\n  - {center: [2.0, 0.0], shape: gaussian, std: 0.7, size: 3000}\n"
    "  - {center: [0.0, 2.0], shape: gaussian, std: 0.7, size: 3000}\n"
    "initial: {rotation: random, bias: {normal: 1.0}}\n"
    "integrator: {s_end: 2.0, events: batched, rtol: 1.0e-6}\nsave: {count: 41}\n",
    "stop": f"flow: separated\nseed: 5\n{_TWO_CLUSTERS}initial: {{construct: separated}}\n"
    "integrator: {s_end: 9.0, on_separation_lost: stop}\nsave: {count: 91}\n",
    "switch": f"flow: separated\nseed: 5\n{_TWO_CLUSTERS}initial: {{construct: separated}}\n"
    "integrator: {s_end: 6.0, on_separation_lost: switch}\nsave: {count: 61}\n",
    "frozen": f"flow: separated\n{_TWO_CLUSTERS}initial: {{rotation: random, bias: {{normal: 1.0}}}}\n"
    "integrator: {s_end: 9.0, freeze_rotation: true}\nsave: {count: 91}\n",
    "general": f"flow: general\nseed: 7\nlayers: 2\n{_TWO_CLUSTERS}"
    "initial: {rotation: random, bias: {normal: 0.7}}\nintegrator: {s_end: 5.0}\nsave: {count: 61}\n",
    "collapsed": "flow: collapsed\nlabels: [[2, 0, 0], [0, 2, 0], [0, 0, 2], [-1, -1, 1]]\n"
    "initial: {bias: {normal: 0.5}, output_weight: {scale: 1.3}}\nintegrator: {s_end: 9.0}\nsave: {count: 8001}\n",
    "clustered": f"flow: clustered\n{_TWO_CLUSTERS}integrator: {{s_end: 9.0}}\nsave: {{count: 60001}}\n",
}


@dataclass
class Counts:
    """How many times a run was stopped, and how many of these it survived."""

    tried: int = 0
    lost: int = 0

    @property
    def survived(self) -> int:
        """The number of times that nothing was lost."""
        return self.tried - self.lost


@dataclass(frozen=True)
class Process:
    """A run in a process of its own: its id and how to wait for its exit code."""

    pid: int
    wait: Callable[[], int]


def run(
    count: int, seed: int, folder: Path, names: list[str] | None = None
) -> Iterator[tuple[str, Counts, list[str]]]:
    """Stop a run of each kind ``count`` times, and compare what comes of it with the run that nobody stopped.

    The processes are forks of this one, and make a checkpoint whenever they can.

    Yields:
        The kind, the counts, and what has been lost.
    """
    for name in names or CONFIGS:
        place = folder / name
        place.mkdir(parents=True)
        (place / "run.yaml").write_text(CONFIGS[name] + "output: whole.h5\n")
        truncflow.run(
            place / "run.yaml", place / "at-first.h5"
        ).close()  # imports and compiles for all the forks
        began = time.monotonic()
        assert forked(place, "--quiet").wait() == 0, (place / "said.txt").read_text()
        took = time.monotonic() - began
        counts, faults = Counts(), []
        while counts.tried < count:
            tries, found = stop_and_resume(
                place, forked, Random(f"{seed}/{name}/{counts.tried}"), took, min(count, IN_A_ROW)
            )
            counts.tried += tries
            counts.lost += bool(found)
            faults += found
        yield name, counts, faults


def stop_and_resume(
    place: Path, start: Callable[..., Process], chance: Random, took: float, most: int
) -> tuple[int, list[str]]:
    """Stop one run again and again, at most ``most`` times, until it is complete.

    Returns:
        How often it was stopped, and what was lost.
    """
    target = place / "again.h5"
    target.unlink(missing_ok=True)
    faults: list[str] = []
    stops, reached = 0, -1.0
    kinds, weights = list(SIGNALS), [weight for weight, _ in SIGNALS.values()]
    while True:
        process = start(place, "--resume", "--quiet", "-o", target.name)
        number = chance.choices(kinds, weights)[0] if stops < most else None
        if number is not None:
            time.sleep(chance.uniform(0.0, 0.6 * took))
            os.kill(process.pid, number)
        code = process.wait()
        if code == 0:
            break
        stops += 1
        if number is None or code not in (SIGNALS[number][1], -number):
            faults.append(
                f"exit code {code} after signal {number}: {(place / 'said.txt').read_text()[-300:]}"
            )
            break
        reached = max(reached, yet := _reached(target, faults))
        if yet < reached:
            faults.append(f"back from s = {reached} to {yet}")
    if not faults and (different := differences(place / "whole.h5", target)):
        faults.append(f"differs after {stops} stops: {different[:5]}")
    hidden = [entry.name for entry in place.iterdir() if entry.name.startswith(".again")]
    if hidden:
        faults.append(f"left behind: {hidden}")
    return max(stops, 1), faults


def _reached(target: Path, faults: list[str]) -> float:
    """Return how far a run file goes that its writer has not finished; read all of it."""
    if not target.exists():
        return -1.0
    try:
        with runfile.open_run(target) as found:
            assert len(found.events) == found.n_events
            assert len(found.loss) == len(found.s)
            assert runfile.find_checkpoint(target) is not None
            return float(found.s[-1])
    except (UserError, AssertionError) as error:
        faults.append(f"cannot be read after a stop: {error!r}")
        return -1.0


def forked(place: Path, *options: str) -> Process:
    """Start a run as a fork of this process, with a checkpoint at every step."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _command(place, options)
        except KeyboardInterrupt:  # before the command has begun
            code = 130
        finally:
            os._exit(code)
    return Process(child, lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _command(place: Path, options: tuple[str, ...]) -> int:
    """Run the command line in this process, which is its own; return the exit code."""
    from truncflow_cli.cli.app import main
    from truncflow_cli.runfile import writer

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(place)
    said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = ["truncflow", "run", "run.yaml", *options]
    writer.FIRST_CHECKPOINT, writer.CHECKPOINT_SHARE = 0.0, float("inf")
    with _checkpoints_at_once(writer):
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


@contextmanager
def _checkpoints_at_once(writer: object) -> Iterator[None]:
    """Let the config say 30 seconds, as everybody's does, and make a checkpoint at every chunk nevertheless."""
    original = writer.RunWriter.due
    writer.RunWriter.due = property(lambda _: True)
    try:
        yield
    finally:
        writer.RunWriter.due = original


def started(place: Path, *options: str) -> Process:
    """Start a run as a command of its own, with its usual checkpoints."""
    with (place / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "truncflow_cli", "run", "run.yaml", *options],
            cwd=place,
            stdout=said,
            stderr=said,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            preexec_fn=_heed_interrupts,
        )
    return Process(process.pid, lambda: process.wait(PATIENCE))


def _heed_interrupts() -> None:
    """Undo what shells do to commands in the background, whose children would ignore Ctrl-C too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def long_run(seconds: float, kills: int, seed: int, folder: Path) -> tuple[Counts, list[str]]:
    """Stop a run that takes about ``seconds`` at random moments, as often as ``kills``, and compare."""
    place = folder / "long"
    place.mkdir()
    config = """\
flow: separated
clusters:
  - {{center: [2.0, 0.0, 0.0, 0.0, 0.0, 0.0], shape: gaussian, std: 1.0, size: {size}}}
  - {{center: [0.0, 2.0, 0.0, 0.0, 0.0, 0.0], shape: gaussian, std: 1.0, size: {size}}}
initial: {{rotation: random, bias: {{normal: 0.5}}}}
integrator: {{s_end: 2.0, max_events: 10000000}}
save: {{count: 2001, checkpoint_every: 1}}
output: whole.h5
"""
    size, took = 500, 0.0
    while took < 0.7 * seconds:  # the number of events, and so the time, grows with the number of points
        size = int(size * min(max(seconds / took, 1.5), 20.0)) if took else size
        (place / "run.yaml").write_text(config.format(size=size))
        began = time.monotonic()
        assert started(place, "--quiet", "--force").wait() == 0, (place / "said.txt").read_text()
        took = time.monotonic() - began
    print(f"long: {size} points a cluster, {took:.0f} s when nobody stops it", file=sys.stderr, flush=True)
    tries, faults = stop_and_resume(place, started, Random(f"{seed}/long"), 2.0 * took / kills, kills)
    return Counts(tries, len(faults)), faults


def main() -> int:
    """Try everything and print the counts; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kill_and_resume", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="how often a run of each kind is stopped")
    parser.add_argument("--seed", type=int, default=0, help="other moments for another seed")
    parser.add_argument("--only", nargs="+", choices=list(CONFIGS), help="kinds of runs")
    parser.add_argument("--seconds", type=float, help="one long run instead of many short ones")
    parser.add_argument("--kills", type=int, default=20, help="how often the long one is stopped")
    options = parser.parse_args()
    lost = 0
    print(f"{'killed and resumed':18} {'tried':>7} {'survived':>9} {'lost':>5}   seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="kill-and-resume-") as name:
        folder = Path(name)
        if options.seconds:
            counts, faults = long_run(options.seconds, options.kills, options.seed, folder)
            results = iter([("long", counts, faults)])
        else:
            results = run(options.count, options.seed, folder, options.only)
        for kind, counts, faults in results:
            print(f"{kind:18} {counts.tried:7} {counts.survived:9} {counts.lost:5}", flush=True)
            for fault in faults:
                print(f"lost: {kind}: {fault}", file=sys.stderr, flush=True)
            lost += counts.lost
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
