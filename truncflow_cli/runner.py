"""One run from config to run file: what the command ``run``, the Python door and sweeps share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from truncflow_cli import certify, config, integrate, store
from truncflow_cli.config import Built, Experiment
from truncflow_cli.errors import RunFailed, UserError
from truncflow_cli.model.chunk import Chunk
from truncflow_cli.store import RunFile

#: How many differing keys a message names.
_NAMED_KEYS = 3


@dataclass(frozen=True)
class Plan:
    """A run that is ready to start.

    Attributes:
        experiment: the validated config.
        built: the problem as arrays, with warnings and notes.
        target: the run file to write.
        config: the resolved config as YAML.
    """

    experiment: Experiment
    built: Built
    target: Path
    config: str


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        run: the run file; None if the run ended before it had anything to keep.
        error: what ended it early: a RunFailed or a KeyboardInterrupt; None if it is complete.
    """

    run: RunFile | None
    error: RunFailed | KeyboardInterrupt | None = None


def load(path: Path | str, overrides: Sequence[str] = ()) -> Experiment:
    """Read and validate a config.

    Args:
        path: the YAML file.
        overrides: settings that replace its own, as ``key.path=value``.

    Raises:
        UserError: it cannot be read or is not valid.
    """
    return config.load(Path(path), overrides)


def run(
    experiment: Experiment | Path | str,
    out: Path | str | None = None,
    force: bool = False,
    overrides: Sequence[str] = (),
) -> RunFile:
    """Solve an experiment and return its run file; a finished file of the same run is returned as it is.

    Args:
        experiment: what ``load`` returned, or the path of a config.
        out: the run file to write, instead of the config's ``output``.
        force: whether a file that exists may be replaced.
        overrides: settings that replace those of the config at that path.

    Raises:
        UserError: the config is not valid, or the file exists and is of another run, or cannot be written.
        RunFailed: the integration could not go on; the file has what there was.
        KeyboardInterrupt: the run was interrupted; the file has what there was.
    """
    if not isinstance(experiment, Experiment):
        experiment = load(experiment, overrides)
    elif overrides:
        raise UserError("overrides go with the path of a config; an Experiment has been validated already")
    plan = prepare(experiment, Path(out) if out is not None else None)
    if not force and (finished := finished_run(plan)) is not None:
        return finished
    outcome = execute(plan, force=force, command="truncflow_cli.run")
    if outcome.error is not None:
        raise outcome.error
    assert outcome.run is not None, "a complete run has a sample"
    return outcome.run


def prepare(experiment: Experiment, out: Path | None = None) -> Plan:
    """Build the problem and decide where its run file goes.

    Raises:
        UserError: the problem cannot be built, or the output would replace the config.
    """
    target = out if out is not None else experiment.output
    if experiment.path.exists() and target.exists() and target.samefile(experiment.path):
        raise UserError(f"{target}: the output would replace the config; choose another name with -o")
    return Plan(experiment, config.build(experiment), target, experiment.resolved())


def finished_run(plan: Plan) -> RunFile | None:
    """Return the finished run file of the same config and data that lies at the target, None if nothing does.

    Raises:
        UserError: something else lies there.
    """
    if not plan.target.exists():
        return None
    advice = "--force replaces it, -o chooses another name"
    try:
        found = store.open_run(plan.target)
    except UserError as error:
        raise UserError(f"{error}; {advice}") from error
    difference = _difference(plan, found)
    if not difference:
        return found
    found.close()
    raise UserError(f"{plan.target} exists {difference}; {advice}")


def execute(
    plan: Plan, *, force: bool = False, command: str = "", watch: Callable[[Chunk], None] = lambda chunk: None
) -> Outcome:
    """Solve a problem, streaming it into its run file.

    Args:
        plan: the run.
        force: whether a file that exists may be replaced.
        command: the command, for the file.
        watch: called with each chunk once the file has it.

    Raises:
        UserError: the file exists or cannot be written, or memory does not suffice.
    """
    settings = plan.experiment.config
    problem = plan.built.problem
    with store.create(
        plan.target,
        problem,
        plan.config,
        command,
        force,
        seed=settings.seed,
        notes=plan.built.notes,
        warnings=plan.built.warnings,
        checkpoint_every=settings.save.checkpoint_every,
    ) as writer:
        error: RunFailed | KeyboardInterrupt | None = None
        try:
            for chunk in integrate.solve(problem):
                writer.append(chunk)
                watch(chunk)
            writer.finish("complete", certify.certify)
        except RunFailed as failure:
            error = failure
            writer.finish("failed", certify.certify, str(failure))
        except KeyboardInterrupt as interrupt:
            error = interrupt
            writer.finish("interrupted")
        except UserError:
            raise
        except MemoryError as shortage:
            writer.finish("failed", message="out of memory")
            raise UserError(f"{plan.target}: out of memory; the file has the run up to there") from shortage
        except Exception as defect:
            writer.finish("failed", message=f"defect of the program: {type(defect).__name__}: {defect}")
            raise
    return Outcome(store.open_run(plan.target) if writer.finished else None, error)


def _difference(plan: Plan, found: RunFile) -> str:
    """Say in what a run file is not the finished file of the plan; nothing if it is."""
    if found.config != plan.config:
        return f"and was made with another config{_named_difference(plan, found)}"
    problem = plan.built.problem
    for name in ("x", "cluster", "y", "y_tilde"):
        if not np.array_equal(getattr(found, name), getattr(problem, name)):
            return f"and was made from other data (data/{name} differs)"
    if found.status != "complete":
        return f"with status {found.status}, up to s = {found.s[-1]:.6g}"
    return ""


def _named_difference(plan: Plan, found: RunFile) -> str:
    try:
        there = config.load_text(found.config, found.path.parent, found.path.name).config.model_dump()
    except UserError:  # a config of another version of the program
        return ""
    keys = list(_differing_keys(plan.experiment.config.model_dump(), there))
    return f" ({', '.join(keys[:_NAMED_KEYS])}{', ...' if len(keys) > _NAMED_KEYS else ''})" if keys else ""


def _differing_keys(here: Any, there: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted paths at which two configs differ."""
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        for key in {**here, **there}:
            yield from _differing_keys(here.get(key), there.get(key), f"{path}.{key}" if path else str(key))
    elif here != there:
        yield path
