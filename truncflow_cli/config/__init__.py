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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = {"Built": "builder", "build": "builder", "json_schema": "schema"}.get(name, "experiment")
    return getattr(import_module(f"{__name__}.{module}"), name)
