"""The page on the commands, made from the command line itself."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from truncflow_cli.cli.app import app
from truncflow_cli.cli.guard import ExitCode

_EXIT_CODES = {
    ExitCode.DONE: "done",
    ExitCode.DEFECT: "a defect of the program",
    ExitCode.USAGE: "bad usage, config or input file: one sentence says what, where and what is allowed",
    ExitCode.FAILED: "a run failed numerically; what it had is kept",
    ExitCode.VIOLATED: "`--strict`, and a certificate is violated",
    ExitCode.INTERRUPTED: "interrupted; what there was is kept",
    ExitCode.TERMINATED: "terminated; what there was is kept",
}


def commands_page() -> str:
    """Return the page: what `--help` says of every command, and the exit codes."""
    group: Any = typer.main.get_command(app)
    parts = ["# Commands\n", _paragraphs(group.help)]
    parts += [_command(name, command) for name, command in group.commands.items()]
    codes = "".join(f"- {int(code)}: {meaning}\n" for code, meaning in _EXIT_CODES.items())
    parts.append(f"## Exit codes\n\n{codes}")
    return "\n".join(parts)


def _paragraphs(text: str) -> str:
    return inspect.cleandoc(text) + "\n"


def _command(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    usage = " ".join(["truncflow", name, *map(_argument, arguments), "[OPTIONS]"])
    lines = [f"- `{_argument(each)}`: {each.help}\n" for each in arguments if each.help]
    lines += [f"- `{_option(each)}`: {each.help}{_default(each)}\n" for each in options]
    return f"## {name}\n\n`{usage}`\n\n{_paragraphs(command.help)}\n{''.join(lines)}"


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name.upper())
    several = "..." if parameter.nargs == -1 else ""
    return f"{name}{several}" if parameter.required else f"[{name}]{several}"


def _option(parameter: Any) -> str:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if parameter.is_flag:
        return names
    return f"{names} {parameter.metavar or 'PATH'}"


def _default(parameter: Any) -> str:
    if parameter.is_flag or parameter.default is None or parameter.default in ((), []):
        return ""
    return f" Default: {parameter.default}."
