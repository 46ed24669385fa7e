"""The resolved configuration: the text kept in every run file, from which the same run can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from truncflow_cli.config.files import absolute
from truncflow_cli.config.schema import Config
from truncflow_cli.config.yaml_nodes import resolve

_SafeDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_SafeDumper):  # type: ignore[misc]
    """Writes what this package's reader reads back as the same value."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quote a text that would be read as something else, such as '1e-9'."""
    try:
        is_text = isinstance(resolve(text), str) and text != "<<"
    except ValueError:
        is_text = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_text else "'")


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    """Write vectors in one line, and everything that contains lists or mappings an item a line."""
    nested = any(isinstance(item, list | dict) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=not nested)


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(str, _represent_str)


def resolved_values(config: Config, base_dir: Path) -> dict[str, Any]:
    """Return ``config`` as a mapping, every setting written out and the paths of data files absolute."""
    values: dict[str, Any] = _with_absolute_files(config.model_dump(exclude_none=True), base_dir)
    return values


def as_yaml(values: Mapping[str, Any]) -> str:
    """Return resolved values as the text that is kept."""
    return yaml.dump(
        values, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=110
    )


def _with_absolute_files(value: Any, base_dir: Path) -> Any:
    if isinstance(value, dict):
        return {
            key: absolute(item, base_dir) if key == "file" else _with_absolute_files(item, base_dir)
            for key, item in value.items()
        }
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return [_with_absolute_files(item, base_dir) for item in value]
    return value
