"""The run file: written while a run goes on, read by everything that looks at one."""

from truncflow_cli.store.contents import estimate_bytes
from truncflow_cli.store.origin import Origin, origin_of
from truncflow_cli.store.reader import RunFile, open_run
from truncflow_cli.store.recertify import write_certificates
from truncflow_cli.store.record import Record
from truncflow_cli.store.reopen import Earlier, check_origin, find_checkpoint
from truncflow_cli.store.working import sync_folder
from truncflow_cli.store.writer import RunWriter, create

__all__ = [
    "Earlier",
    "Origin",
    "Record",
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
