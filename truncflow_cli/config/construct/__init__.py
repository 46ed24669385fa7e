"""Rotations and biases for which the hypotheses of the theorems hold, or the reason why there are none."""

from truncflow_cli.config.construct.methods import Constructed, construct

__all__ = ["Constructed", "construct"]
