"""Rotations and biases for which the hypotheses of the theorems hold, or the reason why there are none."""
