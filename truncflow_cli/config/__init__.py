"""Configurations: read, checked, and turned into problems."""

from truncflow_cli.config.build import Built, build
from truncflow_cli.config.load import Experiment, load, load_text
from truncflow_cli.config.schema import json_schema

__all__ = ["Built", "Experiment", "build", "json_schema", "load", "load_text"]
