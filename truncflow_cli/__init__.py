"""Event-exact gradient-flow equations of cumulative biases and rotations of a ReLU network.

The Python door has three functions, and ``truncflow_cli.api.sweep``::

    import truncflow_cli as truncflow

    experiment = truncflow.load("configs/iris.yaml", ["integrator.rtol=1e-10"])
    run = truncflow.run(experiment, out="iris.h5")
    run = truncflow.open_run("iris.h5")

``load`` reads a config, ``run`` solves it and returns the run, ``open_run`` opens a file that is there.
Whatever the user can put right is a ``truncflow_cli.errors.UserError``, and a run that cannot go on is a
``RunFailed``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from truncflow_cli.api import load, open_run, run

__version__ = "0.1.0"

__all__ = ["__version__", "load", "open_run", "run"]

#: Imported when they are first used, so that the command line starts at once.
_DOOR = frozenset(__all__) - {"__version__"}


def __getattr__(name: str) -> Any:
    if name not in _DOOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_DOOR])
