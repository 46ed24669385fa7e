"""The mathematical objects of the paper, as arrays and pure functions."""
