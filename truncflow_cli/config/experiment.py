"""From a file, or a text, to a validated experiment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from truncflow_cli.config.document import Document, parse
from truncflow_cli.config.errors import Fault, reason, shown, text_of
from truncflow_cli.config.files import absolute, read_text_file
from truncflow_cli.config.schema import Config, completed
from truncflow_cli.config.validation_errors import explain
from truncflow_cli.config.yaml_nodes import MAX_BYTES, is_text, too_large
from truncflow_cli.errors import UserError


@dataclass(frozen=True)
class Experiment:
    """A configuration that has passed the schema, and where each of its values was written.

    Attributes:
        config: the settings, every default filled in.
        document: the text they come from, for messages.
        path: the configuration file (for a text, the name it was given).
        base_dir: folder that relative data files start from.
    """

    config: Config
    document: Document
    path: Path
    base_dir: Path

    @property
    def name(self) -> str:
        """The ``name`` key, or the stem of the file's name."""
        return str(self.config.name)

    @property
    def output(self) -> Path:
        """The run file, {name} filled in; relative to the current folder."""
        return Path(self.config.output.replace("{name}", self.name))

    def at(self, *path: str | int) -> AbstractContextManager[None]:
        """Give a fault raised inside the place of the setting at ``path``."""
        return self.document.at(*path)

    def error(self, path: Sequence[str | int], message: str) -> UserError:
        """Return the error that says: the setting at ``path`` is wrong."""
        return self.document.error(path, message)

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The configuration as a mapping that gives the same run from anywhere.

        Every default is written out, the paths of data files are absolute, ``name`` is explicit.
        """
        values: dict[str, Any] = self.config.model_dump(exclude_none=True)
        return _with_absolute_files(values, self.base_dir)  # type: ignore[no-any-return]

    def resolved(self) -> str:
        """Return these settings as YAML: loading it gives an equal configuration, whose resolved text is the same."""
        style: Any = {"sort_keys": False, "default_flow_style": False, "allow_unicode": True, "width": 110}
        return str(yaml.dump(self.settings, Dumper=_Dumper, **style))


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read a configuration file; ``overrides``, "key.path=value" each, are put over its values.

    Raises:
        UserError: the file cannot be read, or does not hold a valid configuration.
    """
    document = parsed(Path(path))
    experiment = of_document(document, Path(path).absolute().parent, overrides, Path(path).stem)
    return replace(experiment, path=Path(path))


def load_text(text: str, base_dir: Path, name: str, overrides: Sequence[str] = ()) -> Experiment:
    """Read a configuration that is not a file of its own, such as the one in a run file.

    Data files are relative to ``base_dir``; ``name`` is what messages call the text, and the run's name unless the
    text has a ``name``; ``overrides`` are put over its values.

    Raises:
        UserError: the text does not hold a valid configuration.
    """
    return of_document(parse(text, name), base_dir, overrides)


def parsed(path: Path) -> Document:
    """Return what a configuration file says, UTF-8 or UTF-16, not validated.

    Raises:
        UserError: the file cannot be read, or holds no YAML mapping.
    """
    label = str(path) if str(path).isprintable() else shown(str(path), 200)
    try:
        data = read_text_file(path, MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{label}: cannot read the configuration: {reason(error)}") from error
    if len(data) > MAX_BYTES:
        raise too_large(label)
    try:
        return parse(text_of(data, f"{label}:"), label)
    except Fault as fault:
        raise UserError(str(fault)) from fault


def of_document(
    document: Document, base_dir: Path, overrides: Sequence[str] = (), name: str | None = None
) -> Experiment:
    """Validate a text that has been parsed; see ``load_text``, whose ``name`` is the document's label.

    Raises:
        UserError: it is not a valid configuration.
    """
    document = document.override(overrides)
    base_dir = base_dir.absolute()
    if not str(base_dir).isprintable():
        raise document.error((), f"folder {shown(str(base_dir), 120)}: its name must be printable text")
    values = document.plain()
    if values.get("name") is None:
        values["name"] = name or document.label
    try:
        config = completed(Config.model_validate(values))
    except ValidationError as error:
        raise explain(error, document) from error
    return Experiment(config, document, Path(document.label), Path(os.path.normpath(base_dir)))


_SafeDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_SafeDumper):  # type: ignore[misc]
    """Writes what this package's reader reads back as the same value."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quote a text that would be read as something else, such as '1e-9'."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_text(text) else "'")


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    """Write vectors in one line, and everything that contains lists or mappings an item a line."""
    nested = any(isinstance(item, list | dict) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=not nested)


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(str, _represent_str)


def _with_absolute_files(value: Any, base_dir: Path) -> Any:
    if isinstance(value, dict):
        return {
            key: absolute(item, base_dir) if key == "file" else _with_absolute_files(item, base_dir)
            for key, item in value.items()
        }
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return [_with_absolute_files(item, base_dir) for item in value]
    return value
