"""Configurations that several tests start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from truncflow_cli import config
from truncflow_cli.config import Built, Experiment
from truncflow_cli.errors import UserError

GOOD = """\
flow: separated
seed: 3
clusters:
  - {name: a, center: [2.0, 0.0], shape: ball, radius: 0.5, size: 12}
  - {points: [[0.1, 1.9], [-0.2, 2.1]]}
labels: {scale: 2.0}
initial:
  rotation: [[[0.8, 0.6], [-0.6, 0.8]], [[1, 0], [0, 1]]]
  bias: [[3.0, 3.0], [3.0, 3.0]]
integrator:
  s_end: 4
  rtol: 1e-8
save: {at: [1, 2.5]}
"""

ROWS_OF_TWO = "clusters: [{points: [[2, 0], [2.2, 0.1]]}, {points: [[0, 2]]}]\n"


def read(text: str, *overrides: str, folder: Path = Path("/nowhere")) -> Experiment:
    return config.load_text(text, folder, "demo", overrides)


def built(text: str, *overrides: str, folder: Path = Path("/nowhere")) -> Built:
    return config.build(read(text, *overrides, folder=folder))


def complaint(text: str, *overrides: str, folder: Path = Path("/nowhere")) -> str:
    """Return the message of the error that reading and building the configuration ends with."""
    with pytest.raises(UserError) as caught:
        built(text, *overrides, folder=folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 420
    return message
