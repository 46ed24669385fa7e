"""``truncflow schema``."""

from __future__ import annotations

from truncflow_cli.cli.options import Debug


def schema(debug: Debug = False) -> None:
    """Print the JSON Schema of the config, for editors.

    With the YAML language server, this as the first line of a config gives completion and help on every key:
    # yaml-language-server: $schema=truncflow.schema.json
    """
    from truncflow_cli.cli.output import print_json
    from truncflow_cli.config.schema import json_schema

    print_json(json_schema())
