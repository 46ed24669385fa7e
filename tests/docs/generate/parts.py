"""The generated parts of pages: what is made for which page, and where it stands there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from tests.docs.generate.configpage import config_keys
from tests.docs.generate.runfilepage import run_file_layout
from truncflow_cli.cli.app import app
from truncflow_cli.docs import pages

FOLDER = Path(pages.__file__).parent


@dataclass(frozen=True)
class Part:
    """The part of a page that is generated; the rest of the page is written by hand, in the page.

    Attributes:
        begins: the heading that it begins with.
        ends: the heading after it; nothing if it goes on to the end.
        make: returns it.
    """

    begins: str
    ends: str
    make: Callable[[], str]

    def put_into(self, page: str) -> str:
        """Return the page with this part as it is now."""
        before, _, rest = page.partition(f"\n{self.begins}\n")
        _, ends, after = rest.partition(f"\n{self.ends}\n") if self.ends else ("", "", "")
        return f"{before}\n{self.make()}{ends}{after}"


def commands() -> str:
    """Return what `--help` says of every command."""
    group: Any = typer.main.get_command(app)
    return "\n".join(_command(name, command) for name, command in group.commands.items())


def _command(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    usage = " ".join(["truncflow", name, *map(_argument, arguments), "[OPTIONS]"])
    lines = [f"- `{_argument(each)}`: {each.help}\n" for each in arguments if each.help]
    lines += [f"- `{_option(each)}`: {each.help}{_default(each)}\n" for each in options]
    return f"## {name}\n\n`{usage}`\n\n{inspect.cleandoc(command.help)}\n\n{''.join(lines)}"


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name.upper())
    several = "..." if parameter.nargs == -1 else ""
    return f"{name}{several}" if parameter.required else f"[{name}]{several}"


def _option(parameter: Any) -> str:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {parameter.metavar or 'PATH'}"


def _default(parameter: Any) -> str:
    silent = parameter.is_flag or parameter.default is None or parameter.default in ((), [])
    return "" if silent else f" Default: {parameter.default}."


#: Packages whose files are listed; of the others there is one line.
LISTED = ("", "flows", "solver", "kernels", "diagnostics", "diagnostics/certificates", "runfile")


def files() -> str:
    """Return the first line of every package, and of every file of the packages ``LISTED``."""
    root = FOLDER.parent
    blocks = []
    for folder in sorted({path.parent for path in root.rglob("*.py")}):
        name = folder.relative_to(root).as_posix().removeprefix(".")
        blocks.append(f"**`{name or root.name}/`** {_first_line(folder / '__init__.py')}\n")
        if name in LISTED:
            sources = (path for path in sorted(folder.iterdir()) if path.suffix in (".py", ".c", ".h"))
            lines = (f"- `{path.name}`: {_first_line(path)}\n" for path in sources if path.stem != "__init__")
            blocks.append("".join(lines))
    return "\n".join(["## Files\n", *blocks])


def _first_line(path: Path) -> str:
    text = path.read_text(encoding="utf-8").lstrip().removeprefix("/*").removeprefix('"""')
    return text.strip().partition("\n")[0].removesuffix('"""').removesuffix("*/").replace("``", "`").strip()


#: The pages with a generated part.
PAGES = {
    "architecture": Part("## Files", "", files),
    "commands": Part("## run", "## Exit codes", commands),
    "config": Part("## Top level", "", config_keys),
    "run-file": Part("## Sizes", "## Config, notes, counters", run_file_layout),
}


def outdated() -> list[str]:
    """Return the pages that are not what would be written now."""
    return [name for name, part in PAGES.items() if part.put_into(_read(name)) != _read(name)]


def write(names: Iterable[str]) -> list[Path]:
    """Write pages, and return their files."""
    for name in names:
        _path(name).write_text(PAGES[name].put_into(_read(name)), encoding="utf-8")
    return [_path(name) for name in names]


def _path(name: str) -> Path:
    return FOLDER / f"{name}.md"


def _read(name: str) -> str:
    return _path(name).read_text(encoding="utf-8")
