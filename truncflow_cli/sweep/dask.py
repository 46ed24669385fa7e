"""A sweep on a Dask cluster: an existing one, or one made for the occasion."""

from __future__ import annotations

import logging
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

import truncflow_cli
from truncflow_cli.errors import UserError
from truncflow_cli.sweep import folder
from truncflow_cli.sweep.grid import Member
from truncflow_cli.sweep.local import Take
from truncflow_cli.sweep.member import Result, perform
from truncflow_cli.sweep.plan import Source

#: distributed's functions have no types.
Client = Any

#: ``--dask`` with this address makes a cluster on this machine.
LOCAL = "local"
#: Seconds in which a scheduler has to answer.
_TIMEOUT = 10.0
#: Seconds between two looks at whether the sweep is still wanted.
_LOOK_EVERY = 1.0


def run_dask(source: Source, members: Iterable[Member], address: str, workers: int, take: Take) -> None:
    """Perform members on a Dask cluster whose workers see the same files.

    When this ends early, what has not begun is withdrawn, and what is running stops within a second or so. A cluster
    that was there before is left as it was found.

    Args:
        source, members, take: as for ``run_local``; of reports there are results only.
        address: of the scheduler, as tcp://host:8786; or "local".
        workers: number of workers of a local cluster.

    Raises:
        UserError: Dask is not installed, nobody answers at the address, or the workers cannot run members.
    """
    with _client(address, workers) as client:
        _check_workers(client)
        shared = client.scatter(source, hash=False) if client.scheduler_info()["workers"] else source
        run = uuid.uuid4().hex
        futures = {
            client.submit(_perform, shared, member, key=f"truncflow-{run}-{member.index}", pure=False): member
            for member in members
        }
        try:
            for future in _distributed().as_completed(list(futures), loop=client.loop):
                take(_result(future, futures[future]))
        finally:
            client.cancel(list(futures), force=True)


def _result(future: Any, member: Member) -> Result:
    """Return the result of a future; one has none if its worker died, or could not take the member."""
    if future.status == "finished":
        found: Result = future.result()
        return found
    error = future.exception() if future.status == "error" else None
    text = f"{type(error).__name__}: {error}".partition("\n")[0] if error is not None else "cancelled"
    return Result(member.index, "failed", 1, f"Dask could not run it ({text})")


def _perform(source: Source, member: Member) -> Result:
    """Perform a member on a worker, for as long as the sweep is wanted."""
    if not folder.is_led(source.folder):
        why = f"the Dask worker on {socket.gethostname()} does not see {source.folder}"
        return Result(member.index, "refused", 2, f"{why}; it needs the same files")
    next_look = time.monotonic() + _LOOK_EVERY

    def stop_if_unwanted(share: float) -> None:
        nonlocal next_look
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + _LOOK_EVERY
            if not folder.is_led(source.folder):
                raise KeyboardInterrupt

    return perform(source, member, stop_if_unwanted)


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError:
        raise UserError("--dask needs Dask; install it with: pip install 'truncflow[dask]'") from None


@contextmanager
def _client(address: str, workers: int) -> Iterator[Client]:
    distributed = _distributed()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if address == LOCAL:
            quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
            cluster = distributed.LocalCluster(n_workers=workers, threads_per_worker=1, **quiet)
            address = stack.enter_context(cluster).scheduler_address
        try:
            client = stack.enter_context(distributed.Client(address, timeout=_TIMEOUT, set_as_default=False))
        except (OSError, ValueError, TimeoutError) as error:
            what = f"--dask {address}: no Dask scheduler answers ({str(error).partition(chr(10))[0]})"
            raise UserError(f"{what}; allowed: local, or an address such as tcp://127.0.0.1:8786") from error
        yield client


def _check_workers(client: Client) -> None:
    """Refuse a cluster whose workers have another truncflow, or none; workers may also come later."""
    if not client.scheduler_info()["workers"]:
        return
    here = truncflow_cli.__version__
    try:
        found = client.run(_version, on_error="return")
    except OSError as error:
        raise UserError(f"--dask: the workers do not answer ({error})") from error
    for worker, version in found.items():
        if version != here:
            what = f"has truncflow {version}" if isinstance(version, str) else "cannot import truncflow"
            raise UserError(f"--dask: worker {worker} {what}; install truncflow {here} there")


def _version() -> str:
    return truncflow_cli.__version__
