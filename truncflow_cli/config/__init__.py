"""Configurations: read, checked, and turned into problems.

What is offered here is imported when it is first used: reports read configurations too, without the schema.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from truncflow_cli.config.builder import Built, build
    from truncflow_cli.config.experiment import Experiment, load, load_text, of_document
    from truncflow_cli.config.schema import json_schema

__all__ = ["Built", "Experiment", "build", "json_schema", "load", "load_text", "of_document"]

#: Where each name is defined.
_MODULES = {
    "Built": "builder",
    "build": "builder",
    "Experiment": "experiment",
    "load": "experiment",
    "load_text": "experiment",
    "of_document": "experiment",
    "json_schema": "schema",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
