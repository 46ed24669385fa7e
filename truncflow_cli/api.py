"""One run from config to run file: what the command ``run``, the Python door and sweeps share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truncflow_cli import config, diagnostics, kernels, resources, runfile, solver
from truncflow_cli.config import Built, Experiment
from truncflow_cli.errors import RunFailed, UserError
from truncflow_cli.problem import Problem
from truncflow_cli.run_data import Run
from truncflow_cli.runfile import RunWriter, open_run
from truncflow_cli.runfile.resume import Resumption, finished_run, resumption
from truncflow_cli.saved_state import Chunk, StateError
from truncflow_cli.signals import StopRequests

__all__ = [
    "Outcome",
    "Plan",
    "Resumption",
    "execute",
    "finished_run",
    "load",
    "open_run",
    "prepare",
    "resumption",
    "run",
    "sweep",
]

#: From so many coordinates on, a solver uses the problem's own array of points.
LENT = 1 << 18


@dataclass(frozen=True)
class Plan:
    """A run that is ready to start."""

    experiment: Experiment
    #: The problem as arrays, with warnings and notes.
    built: Built
    #: The run file to write.
    target: Path
    #: The resolved config as YAML.
    config: str
    #: Seconds that this has taken.
    prepared_in: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    #: The run file; None if the run ended before it had anything to keep.
    path: Path | None
    #: What that file holds, as far as it has been certified.
    record: Run | None = None
    #: What ended it early; None if it is complete.
    error: RunFailed | KeyboardInterrupt | None = None

    def open(self) -> Run | None:
        """Open the run file; None if there is none."""
        return None if self.path is None else runfile.open_run(self.path)


def load(path: Path | str, overrides: Sequence[str] = ()) -> Experiment:
    """Read and validate a config, a YAML file; overrides ``key.path=value`` replace settings of its own.

    Raises:
        UserError: it cannot be read or is not valid.
    """
    return config.load(Path(path), overrides)


def run(
    experiment: Experiment | Path | str,
    out: Path | str | None = None,
    force: bool = False,
    overrides: Sequence[str] = (),
    resume: bool = False,
) -> Run:
    """Solve an experiment and return its run file; a finished file of the same run is returned as it is.

    Args:
        experiment: what ``load`` returned, or the path of a config.
        out: the run file to write, instead of the config's ``output``.
        force: whether a file that exists may be replaced.
        overrides: settings that replace those of the config at that path.
        resume: whether to go on with a file that has been begun; if nothing is there, the run starts at the beginning.

    Raises:
        UserError: the config is not valid, or the file exists and is of another run, or cannot be written.
        RunFailed: the integration could not go on; the file has what there was.
        KeyboardInterrupt: the run was interrupted; the file has what there was.
    """
    if not isinstance(experiment, Experiment):
        experiment = load(experiment, overrides)
    elif overrides:
        raise UserError("overrides go with the path of a config; an Experiment has been validated already")
    if force and resume:
        raise UserError("force starts again and resume goes on; give one of them")
    plan = prepare(experiment, Path(out) if out is not None else None)
    there = resumption(plan) if resume else None if force else finished_run(plan)
    if isinstance(there, Run):
        return there
    outcome = execute(plan, force=force, command="truncflow_cli.run", resume=there)
    if outcome.error is not None:
        raise outcome.error
    run = outcome.open()
    assert run is not None, "a complete run has a sample"
    return run


def sweep(
    path: Path | str,
    grid: Sequence[str] = (),
    zipped: Sequence[str] = (),
    out: Path | str | None = None,
    overrides: Sequence[str] = (),
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """Run a config for every combination of settings, a run file each, and return the rows of ``sweep.csv``.

    Finished run files are left alone. Processes are started as ``multiprocessing`` does it: a script calls this below
    ``if __name__ == "__main__":``.

    Args:
        path: the config.
        grid: keys that are crossed, "key.path=values" each, as ``truncflow sweep --grid`` takes them.
        zipped: keys that change side by side.
        out: the folder of the run files, instead of runs/{name}-sweep.
        overrides: settings of all members.
        workers: number of processes; default: one a core.

    Raises:
        UserError: a setting is not valid, or the folder cannot be used. How each run ended is in its row.
    """
    from truncflow_cli.sweep.local import number_of_workers  # sweeps run members by this module
    from truncflow_cli.sweep.plan import plan_sweep
    from truncflow_cli.sweep.run import run_sweep

    folder = None if out is None else Path(out)
    plan = plan_sweep(Path(path), grid, zipped, overrides, folder, "truncflow_cli.sweep")
    return run_sweep(plan, number_of_workers(workers, len(plan.members))).rows()


@resources.one_thread()
def prepare(experiment: Experiment, out: Path | None = None) -> Plan:
    """Build the problem and decide where its run file goes.

    Raises:
        UserError: the problem cannot be built, or the output would replace the config.
    """
    began = time.monotonic()
    target = out if out is not None else experiment.output
    if experiment.path.exists() and target.exists() and target.samefile(experiment.path):
        raise UserError(f"{target}: the output would replace the config; choose another name with -o")
    built, text = config.build(experiment), experiment.resolved()
    return Plan(experiment, built, target, text, time.monotonic() - began)


@resources.one_thread()
def execute(
    plan: Plan,
    *,
    force: bool = False,
    command: str = "",
    watch: Callable[[Chunk], None] = lambda chunk: None,
    say: Callable[[str], None] = lambda message: None,
    resume: Resumption | None = None,
    one_of_many: bool = False,
) -> Outcome:
    """Solve a problem, streaming it into its run file.

    Args:
        plan: the run.
        force: whether a file that exists may be replaced, and a run begun that may not fit the machine.
        command: the command, for the file.
        watch: called with each chunk once the file has it.
        say: called with what somebody who waits, or has asked the run to stop, should know.
        resume: how to go on with the file that is there.
        one_of_many: whether the caller has the folder synced, once for many files.

    Raises:
        UserError: the file exists or cannot be written or gone on with, or memory or disk do not suffice.
    """
    settings = plan.experiment.config
    problem = plan.built.problem if resume is None else resume.problem
    if not force:
        resources.check_needs(problem, plan.target)
    kernels.prepare(problem.settings.backend, say)
    resources.claim_memory_of_linear_algebra()
    error: RunFailed | KeyboardInterrupt | None = None
    with RunWriter(
        plan.target,
        problem,
        plan.config,
        command,
        force or (resume is not None and resume.replaces),
        settings=plan.experiment.settings,
        seed=settings.seed,
        notes=plan.built.notes,
        warnings=plan.built.warnings,
        checkpoint_every=settings.save.checkpoint_every,
        earlier=None if resume is None else resume.earlier,
        prepared_in=plan.prepared_in,
    ) as writer:
        try:
            _solve(problem, writer, watch, say)
            writer.finish("complete", diagnostics.certify)
        except RunFailed as failure:
            error = failure
            writer.finish("failed", diagnostics.certify, str(failure))
        except KeyboardInterrupt as interrupt:
            error = interrupt
            writer.finish("interrupted")
        except StateError as misfit:
            raise UserError(f"{plan.target}: {misfit}; --force starts again at the beginning") from misfit
        except UserError:
            raise
        except MemoryError as shortage:
            shortage.__traceback__ = None  # it holds the solver, whose memory is needed now
            writer.finish("failed", message="out of memory")
            kept = "the file has the run up to there, --resume goes on"
            left = kept if writer.finished else "there is nothing to keep"
            raise UserError(f"{plan.target}: out of memory; {left}") from shortage
        except Exception as defect:
            writer.finish("failed", message=f"defect of the program: {type(defect).__name__}: {defect}")
            raise
    if writer.finished and not one_of_many:
        runfile.sync_folder(writer.path.parent)
    return Outcome(plan.target if writer.finished else None, writer.record, error)


def _solve(
    problem: Problem, writer: RunWriter, watch: Callable[[Chunk], None], say: Callable[[str], None]
) -> None:
    """Solve a problem into its run file. Afterwards the solver's memory is free, for the certificates."""
    lent = problem.x.size >= LENT
    with writer.points_lent() if lent else nullcontext(), StopRequests(say) as stop:
        for chunk in solver.solve(problem, writer.state, lambda: stop.asked or writer.due, lent):
            writer.append(chunk)
            watch(chunk)
            del chunk  # it can have very many events, and so can the next one
            if stop.asked:
                break
        writer.hold()
