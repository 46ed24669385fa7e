"""``truncflow run``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from truncflow_cli.cli.guard import explain, say
from truncflow_cli.cli.options import AsJson, ConfigFile, Debug, DryRun, Quiet, Settings
from truncflow_cli.errors import UserError
from truncflow_cli.signals import terminated_by_exception, undisturbed

if TYPE_CHECKING:
    from truncflow_cli.api import Outcome, Plan, Resumption
    from truncflow_cli.run_data import Certificate, Run


#: Attributes of the run file that --json repeats.
_REPEATED = ("status", "message", "flow", "equations", "seed", "elapsed_seconds")


def run(
    config: ConfigFile,
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The run file to write, in place of the config's output."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a file that has been begun, bit for bit; with a larger integrator.s_end, extend one that "
            "is complete.",
        ),
    ] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Solve a config and write its run file, whose path is printed.

    A finished run file of the same config is left alone; one that is not finished needs --resume, any other --force.
    """
    terminated_by_exception()
    with undisturbed():  # interrupted imports end in errors of many kinds
        from truncflow_cli import api, runfile

    if force and resume:
        raise UserError("--force starts again and --resume goes on; give one of them")
    if out is not None and (out.is_dir() or out.name == ""):
        raise UserError(f"{out}: a folder; --out takes the name of a file, such as {out / 'run.h5'}")
    plan = api.prepare(api.load(config, settings or ()), out)
    for warning in plan.built.warnings:
        say(f"warning: {warning}")
    if dry_run:
        from truncflow_cli.cli.plan import print_plan

        print_plan(plan, force, resume, as_json)
        return
    there = api.resumption(plan) if resume else None if force else api.finished_run(plan)
    if isinstance(there, runfile.Run):
        if not quiet:
            say("already there, complete and of this config; --force runs it again")
        _print_result(there, as_json)
        return
    if there is not None and not quiet:
        say(f"{plan.target}: {there.note}")
    outcome = _execute(plan, force, there, quiet)
    if (written := outcome.record or outcome.open()) is not None:
        _print_result(written, as_json)
        _print_notes(written, quiet)
    if outcome.error is not None:
        raise typer.Exit(explain(outcome.error))


def _execute(plan: Plan, force: bool, resume: Resumption | None, quiet: bool) -> Outcome:
    from truncflow_cli import api
    from truncflow_cli.cli import progress
    from truncflow_cli.cli.output import command_line

    execute = partial(api.execute, plan, force=force, command=command_line(), say=say, resume=resume)
    if quiet or not progress.is_wanted():
        return execute()
    with progress.solving(plan.built.problem.settings.s_end) as watch:
        return execute(watch=watch)


def _print_result(run: Run, as_json: bool) -> None:
    from truncflow_cli.cli.output import print_path
    from truncflow_cli.report.json_output import print_json

    if as_json:
        print_json(_as_json(run))
    else:
        print_path(run.path)


def _as_json(run: Run) -> dict[str, Any]:
    from truncflow_cli.report.history import by_kind

    return {
        "path": run.path,
        **{name: run.attrs[name] for name in _REPEATED},
        "s": run.s[-1],
        "saved": len(run.s),
        "loss": {"first": run.loss[0], "last": run.loss[-1]},
        "energy_balance": run.energy_balance[-1],
        "events": by_kind(run),
        "certificates": {name: certificate.verdict for name, certificate in run.certificates.items()},
        "counters": run.counters,
        "notes": run.notes,
        "warnings": run.warnings,
    }


def _print_notes(run: Run, quiet: bool) -> None:
    for certificate in run.certificates.values():
        if certificate.verdict == "violated":
            say(f"warning: violated, {certificate.name}: {_finding(run, certificate)}")
    if not quiet:
        say(
            f"{run.status} at s = {run.s[-1]:.6g}: {run.n_events:,} events, loss {run.loss[0]:.6g} to "
            f"{run.loss[-1]:.6g}, D(s) = {run.energy_balance[-1]:.1e}, {run.attrs['elapsed_seconds']:.2f} s"
        )


def _finding(run: Run, certificate: Certificate) -> str:
    """Return what is not so: the statement, or, of the run's own measure of its error, what that means."""
    if certificate.name != "energy_balance":
        return certificate.statement
    from truncflow_cli.report.sentences import out_of_tolerance

    return " ".join(out_of_tolerance(run, run.certificates))
