"""From a file, or a text, to a validated experiment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from truncflow_cli.config.document import Document
from truncflow_cli.config.errors import shown
from truncflow_cli.config.files import read_text_file
from truncflow_cli.config.overrides import override
from truncflow_cli.config.resolved import as_yaml, resolved_values
from truncflow_cli.config.schema import Config, completed
from truncflow_cli.config.validation_errors import explain
from truncflow_cli.config.yaml_nodes import MAX_BYTES, decode, parse
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
        return resolved_values(self.config, self.base_dir)

    def resolved(self) -> str:
        """Return these settings as YAML: loading it gives an equal configuration, whose resolved text is the same."""
        return as_yaml(self.settings)


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read a configuration file.

    Args:
        path: the YAML file.
        overrides: "key.path=value" each, put over the file's values.

    Raises:
        UserError: the file cannot be read, or does not hold a valid configuration.
    """
    path = Path(path)
    label = str(path) if str(path).isprintable() else shown(str(path), 200)
    try:
        data = read_text_file(path, MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{label}: cannot read the configuration: {reason}") from error
    document = override(parse(decode(data, label), label), overrides)
    return _experiment(document, path, path.absolute().parent, path.stem)


def load_text(text: str, base_dir: Path, name: str, overrides: Sequence[str] = ()) -> Experiment:
    """Read a configuration that is not a file of its own, such as the one in a run file.

    Args:
        text: the YAML.
        base_dir: folder that relative data files start from.
        name: what messages call the text, and the run's name unless the text has a ``name``.
        overrides: "key.path=value" each, put over the text's values.

    Raises:
        UserError: the text does not hold a valid configuration.
    """
    return of_document(parse(text, name), base_dir, overrides)


def of_document(document: Document, base_dir: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Validate a text that has been parsed; see ``load_text``, whose ``name`` is the document's label.

    Raises:
        UserError: it is not a valid configuration.
    """
    name = document.label
    return _experiment(override(document, overrides), Path(name), Path(base_dir).absolute(), name)


def _experiment(document: Document, path: Path, base_dir: Path, name: str) -> Experiment:
    try:
        values = document.plain()
        if not str(base_dir).isprintable():
            raise document.error((), f"folder {shown(str(base_dir), 120)}: its name must be printable text")
        if values.get("name") is None:
            values["name"] = name
        config = completed(Config.model_validate(values))
    except ValidationError as error:
        raise explain(error, document) from error
    return Experiment(config, document, path, Path(os.path.normpath(base_dir)))
