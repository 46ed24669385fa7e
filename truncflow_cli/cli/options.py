"""Options and arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Argument(help="The config, a YAML file.", metavar="CONFIG.yaml")]
RunPath = Annotated[Path, typer.Argument(help="The run file.", metavar="RUN.h5")]
RunPaths = Annotated[list[Path], typer.Argument(help="The run files.", metavar="RUN.h5")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Replace a setting: a dotted path and a YAML value, as clusters.0.size=50. Can be repeated.",
        metavar="KEY.PATH=VALUE",
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything, say what would be run, and write nothing.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, not the path.")]
