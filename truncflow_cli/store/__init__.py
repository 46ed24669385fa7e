"""The run file: written while a run goes on, read by everything that looks at one."""

from truncflow_cli.store.contents import estimate_bytes
from truncflow_cli.store.reader import RunFile, open_run
from truncflow_cli.store.writer import RunWriter, create, write_certificates

__all__ = ["RunFile", "RunWriter", "create", "estimate_bytes", "open_run", "write_certificates"]
