"""The run file: written while a run goes on, read by everything that looks at one."""

from truncflow_cli.run_data import Run
from truncflow_cli.runfile.atomic import sync_folder
from truncflow_cli.runfile.checkpoint import find_checkpoint
from truncflow_cli.runfile.contents import estimate_bytes
from truncflow_cli.runfile.reader import open_run
from truncflow_cli.runfile.writer import RunWriter, write_certificates

__all__ = [
    "Run",
    "RunWriter",
    "estimate_bytes",
    "find_checkpoint",
    "open_run",
    "sync_folder",
    "write_certificates",
]
