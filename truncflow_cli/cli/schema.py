"""``truncflow schema``."""

from __future__ import annotations

from truncflow_cli.cli.options import Debug


def schema(debug: Debug = False) -> None:
    """Print the JSON Schema of the config, by which editors complete and explain every key.

    Keep it in a file, truncflow.schema.json, beside the configs; a config that begins with the line
    "# yaml-language-server: $schema=truncflow.schema.json" is then known to editors that speak to the YAML
    language server. `truncflow docs editors` says more.
    """
    from truncflow_cli.config.schema import json_schema
    from truncflow_cli.report.json_output import print_json

    print_json(json_schema())
