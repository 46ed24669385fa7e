"""The run file: written while a run goes on, read by everything that looks at one."""

from truncflow_cli.run_data import Run
from truncflow_cli.runfile.atomic import sync_folder
from truncflow_cli.runfile.contents import estimate_bytes
from truncflow_cli.runfile.origin import Origin, origin_of
from truncflow_cli.runfile.reader import open_run
from truncflow_cli.runfile.recertify import write_certificates
from truncflow_cli.runfile.reopen import Earlier, check_origin, find_checkpoint
from truncflow_cli.runfile.writer import RunWriter, create

#: Former names of the same class.
RunFile = Run
Record = Run

__all__ = [
    "Earlier",
    "Origin",
    "Record",
    "Run",
    "RunFile",
    "RunWriter",
    "check_origin",
    "create",
    "estimate_bytes",
    "find_checkpoint",
    "open_run",
    "origin_of",
    "sync_folder",
    "write_certificates",
]
