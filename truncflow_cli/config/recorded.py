"""The configuration that a run file keeps, as certificates and reports read it.

The file may come from anywhere and from another version of the program: the text is read within the limits of any
configuration, and only the settings that are read again have to be what they should be.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from truncflow_cli.config.errors import shown
from truncflow_cli.config.yaml_nodes import parse
from truncflow_cli.errors import one_line

#: Numbers of the section integrator that certificates and reports go by.
_NUMBERS = ("rtol", "atol")


@lru_cache(maxsize=4)
def recorded_settings(text: str, label: str) -> Mapping[str, Any]:
    """Return the settings in the text of a resolved configuration, fit to be shown; nothing for no text.

    Args:
        text: the YAML.
        label: what messages call it, such as "run.h5: config".

    Raises:
        UserError: not a configuration within the limits, or a tolerance that is not a number.
    """
    if not text:
        return {}
    document = parse(text, label)
    settings: Mapping[str, Any] = fit_to_show(document.plain())
    section = settings.get("integrator")
    if section is not None and not isinstance(section, dict):
        raise document.error(("integrator",), f"must be a mapping of keys, not {shown(section)}")
    for name in _NUMBERS:
        value = (section or {}).get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise document.error(("integrator", name), f"must be a number, not {shown(value)}")
    return settings


def fit_to_show(value: Any) -> Any:
    """Return settings in which every text can be shown: a terminal obeys what quoted YAML can hold."""
    if isinstance(value, dict):
        return {one_line(key): fit_to_show(item) for key, item in value.items()}
    if isinstance(value, list):
        return [fit_to_show(item) for item in value]
    return one_line(value) if isinstance(value, str) else value
